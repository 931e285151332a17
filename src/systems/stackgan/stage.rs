//! The stage behind `train-baseline --system stackgan-v2`.

use toml::Table;

use super::train::{CaptionEncoder, StackganTrainer};
use super::{STACKGAN, StackganSettings};
use crate::error::{Error, Result};
use crate::language::Captions;
use crate::model::Section;
use crate::settings::layers::to_table;
use crate::settings::{Checked, Layers};
use crate::systems::damsm::{DAMSM, Damsm};
use crate::systems::text_gan::{branches, inputs};
use crate::train::{Context, Request, Setup, Stage, TrainingOutcome};

/// The stage that trains StackGAN++.
pub struct TrainStackgan;

impl Stage for TrainStackgan {
    fn section(&self) -> &'static Section {
        &STACKGAN
    }

    fn settings(&self, resolution: usize, layers: &Layers) -> Result<Table> {
        let defaults = StackganSettings::given(resolution, layers);
        let settings = layers.resolve(STACKGAN.name, &defaults)?;
        settings.check()?;
        to_table(&settings)
    }

    fn accepts(&self, request: &Request, settings: &Layers) -> bool {
        request.means_system(&STACKGAN, settings)
    }

    fn runs_on_ranks(&self) -> bool {
        true
    }

    fn train(&self, request: &Request, context: &mut Context) -> Result<TrainingOutcome> {
        let mut setup = Setup::new(
            &STACKGAN,
            request,
            context,
            |archive, layers| StackganSettings::given(archive.resolution(), layers),
            |settings: &StackganSettings| settings.kimg,
        )?;
        let network = setup.settings.network.clone();
        match network.unconditional {
            true => check_no_text(request)?,
            false => inputs::check_text(request, DAMSM.command)?,
        }
        let supported = branches::resolutions(network.branches);
        inputs::check_resolution(&STACKGAN, network.resolution, &setup.archive, supported)?;
        let base = match network.unconditional {
            true => None,
            false => {
                Captions::check(&setup.archive)?;
                setup.model_flag = "--text";
                let base = setup.open_base(context)?;
                inputs::check_encoder(&base, &setup.archive, context)?;
                Some(base.only(&[&DAMSM]))
            }
        };
        let (batch, round) = (setup.settings.batch, setup.settings.round);
        inputs::warn_of_small_batch(&STACKGAN, batch, round, context);
        let device = context.open_device(setup.settings.least_memory())?;
        let encoder = base
            .map(|base| Damsm::load(&base, &device).map(|damsm| CaptionEncoder { base, damsm }));
        let encoder = encoder.transpose()?;
        let evaluator = setup.open_evaluator(context, &device)?;
        setup.drive(
            context,
            |setup, _, context| {
                let (settings, archive) = (setup.settings.clone(), setup.archive.clone());
                let observe = &mut |done, all| context.progress("reading captions", done, all);
                let seed = setup.run.seed;
                let trainer =
                    StackganTrainer::new(settings, seed, archive, encoder, observe, &device)?;
                trainer.evaluated_by(evaluator).among(context.ranks.clone())
            },
            |_, _, _, _| Ok(()),
        )
    }
}

/// Checks that a run without captions has no encoder of captions.
///
/// # Errors
/// If it has one.
fn check_no_text(request: &Request) -> Result<()> {
    match &request.model {
        None => Ok(()),
        Some(text) => Err(Error::user(format!(
            "--text {}: a model with --unconditional reads no captions",
            text.display()
        ))
        .hint("omit one of the two flags")),
    }
}
