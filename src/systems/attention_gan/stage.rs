//! The stages behind `train-baseline --system attngan` and `--system mirrorgan`.

use toml::Table;

use super::train::{AttentionGanTrainer, Readers};
use super::{ATTN_GAN, AttentionGanSettings, MIRROR_GAN};
use crate::error::Result;
use crate::language::Captions;
use crate::model::Section;
use crate::settings::layers::to_table;
use crate::settings::{Checked, Layers};
use crate::systems::captioner::load_captioner;
use crate::systems::damsm::{DAMSM, Damsm};
use crate::systems::text_gan::{branches, inputs};
use crate::train::{Context, Request, Setup, Stage, TrainingOutcome};

/// A stage that trains a GAN with attention.
pub struct TrainAttentionGan {
    section: &'static Section,
    /// The default settings for images of a side and a number of stages.
    defaults: fn(usize, usize) -> AttentionGanSettings,
    /// The command that trains the model of `--text`.
    reader: &'static str,
}

impl TrainAttentionGan {
    /// The default settings, as far as they depend on other settings.
    fn given(&self, resolution: usize, layers: &Layers) -> AttentionGanSettings {
        (self.defaults)(resolution, branches::asked_for(layers, self.section.name))
    }
}

/// The stage that trains AttnGAN.
pub static TRAIN_ATTN_GAN: TrainAttentionGan = TrainAttentionGan {
    section: &ATTN_GAN,
    defaults: AttentionGanSettings::attn_gan,
    reader: "train-damsm",
};

/// The stage that trains MirrorGAN.
pub static TRAIN_MIRROR_GAN: TrainAttentionGan = TrainAttentionGan {
    section: &MIRROR_GAN,
    defaults: AttentionGanSettings::mirror_gan,
    reader: "train-captioner",
};

impl Stage for TrainAttentionGan {
    fn section(&self) -> &'static Section {
        self.section
    }

    fn settings(&self, resolution: usize, layers: &Layers) -> Result<Table> {
        let settings = layers.resolve(self.section.name, &self.given(resolution, layers))?;
        settings.check_in(self.section.name)?;
        to_table(&settings)
    }

    fn accepts(&self, request: &Request, settings: &Layers) -> bool {
        request.means_system(self.section, settings)
    }

    fn runs_on_ranks(&self) -> bool {
        true
    }

    fn train(&self, request: &Request, context: &mut Context) -> Result<TrainingOutcome> {
        inputs::check_text(request, self.reader)?;
        let mut setup = Setup::new(
            self.section,
            request,
            context,
            |archive, layers| self.given(archive.resolution(), layers),
            |settings: &AttentionGanSettings| settings.kimg,
        )?;
        let network = &setup.settings.network;
        let supported = branches::resolutions(network.branches);
        inputs::check_resolution(self.section, network.resolution, &setup.archive, supported)?;
        Captions::check(&setup.archive)?;
        setup.model_flag = "--text";
        let base = setup.open_base(context)?;
        inputs::check_encoder(&base, &setup.archive, context)?;
        let (batch, round) = (setup.settings.batch, setup.settings.round);
        inputs::warn_of_small_batch(self.section, batch, round, context);
        let device = context.open_device(setup.settings.least_memory())?;
        let damsm = Damsm::load(&base, &device)?;
        let captioner = match setup.settings.stream_weight > 0.0 {
            true => Some(load_captioner(&base, &device)?),
            false => None,
        };
        let readers = Readers { base: base.only(&[&DAMSM]), damsm, captioner };
        let evaluator = setup.open_evaluator(context, &device)?;
        setup.drive(
            context,
            |setup, _, context| {
                let (settings, archive) = (setup.settings.clone(), setup.archive.clone());
                let observe = &mut |done, all| context.progress("reading captions", done, all);
                let trainer = AttentionGanTrainer::new(
                    self.section,
                    settings,
                    setup.run.seed,
                    archive,
                    readers,
                    observe,
                    &device,
                )?;
                trainer.evaluated_by(evaluator).among(context.ranks.clone())
            },
            |_, _, _, _| Ok(()),
        )
    }
}
