//! The stage behind `train-baseline --system gan-int-cls`.

use toml::Table;

use super::settings::{MAX_RESOLUTION, MIN_RESOLUTION};
use super::train::GanIntClsTrainer;
use super::{GAN_INT_CLS, GanIntClsSettings};
use crate::error::Result;
use crate::language::Captions;
use crate::model::Section;
use crate::settings::layers::to_table;
use crate::settings::{Checked, Layers};
use crate::systems::damsm::{DAMSM, Damsm};
use crate::systems::text_gan::inputs;
use crate::train::{Context, Request, Setup, Stage, TrainingOutcome};

/// The stage that trains GAN-INT-CLS.
pub struct TrainGanIntCls;

impl Stage for TrainGanIntCls {
    fn section(&self) -> &'static Section {
        &GAN_INT_CLS
    }

    fn settings(&self, resolution: usize, layers: &Layers) -> Result<Table> {
        let settings = layers.resolve(GAN_INT_CLS.name, &GanIntClsSettings::at(resolution))?;
        settings.check()?;
        to_table(&settings)
    }

    fn accepts(&self, request: &Request, settings: &Layers) -> bool {
        request.means_system(&GAN_INT_CLS, settings)
    }

    fn runs_on_ranks(&self) -> bool {
        true
    }

    fn train(&self, request: &Request, context: &mut Context) -> Result<TrainingOutcome> {
        inputs::check_text(request, DAMSM.command)?;
        let mut setup = Setup::new(
            &GAN_INT_CLS,
            request,
            context,
            |archive, _| GanIntClsSettings::at(archive.resolution()),
            |settings: &GanIntClsSettings| settings.kimg,
        )?;
        let own = setup.settings.network.resolution;
        let supported = MIN_RESOLUTION..=MAX_RESOLUTION;
        inputs::check_resolution(&GAN_INT_CLS, own, &setup.archive, supported)?;
        Captions::check(&setup.archive)?;
        setup.model_flag = "--text";
        let base = setup.open_base(context)?;
        inputs::check_encoder(&base, &setup.archive, context)?;
        let (batch, round) = (setup.settings.batch, setup.settings.round);
        inputs::warn_of_small_batch(&GAN_INT_CLS, batch, round, context);
        let device = context.open_device(setup.settings.least_memory())?;
        let damsm = Damsm::load(&base, &device)?;
        let evaluator = setup.open_evaluator(context, &device)?;
        setup.drive(
            context,
            |setup, _, context| {
                let (settings, archive) = (setup.settings.clone(), setup.archive.clone());
                let base = base.only(&[&DAMSM]);
                let observe = &mut |done, all| context.progress("reading captions", done, all);
                let seed = setup.run.seed;
                let trainer =
                    GanIntClsTrainer::new(settings, seed, archive, base, damsm, observe, &device)?;
                trainer.evaluated_by(evaluator).among(context.ranks.clone())
            },
            |_, _, _, _| Ok(()),
        )
    }
}
