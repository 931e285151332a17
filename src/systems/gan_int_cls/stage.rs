//! The stage behind `train-baseline --system gan-int-cls`.

use toml::Table;

use super::settings::{MAX_RESOLUTION, MIN_RESOLUTION};
use super::train::GanIntClsTrainer;
use super::{GAN_INT_CLS, GanIntClsSettings};
use crate::error::{Error, Result};
use crate::language::Captions;
use crate::model::Section;
use crate::settings::layers::to_table;
use crate::settings::{Checked, Layers};
use crate::systems::damsm::{DAMSM, Damsm};
use crate::train::{Context, Request, Setup, Stage, TrainingOutcome};

/// The stage that trains GAN-INT-CLS.
pub struct TrainGanIntCls;

/// Smallest batch whose statistics are good enough for batch normalisation.
const SMALL_BATCH: usize = 16;

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

    fn train(&self, request: &Request, context: &mut Context) -> Result<TrainingOutcome> {
        if request.model.is_none() && request.resume.is_none() {
            return Err(Error::user("--text is missing").hint(
                "give a model or run of `cigan train-damsm`, which trains the caption encoder",
            ));
        }
        let mut setup = Setup::new(
            &GAN_INT_CLS,
            request,
            context,
            |archive, _| GanIntClsSettings::at(archive.resolution()),
            |settings: &GanIntClsSettings| settings.kimg,
        )?;
        let (own, given) = (setup.settings.network.resolution, setup.archive.resolution());
        if own != given {
            return Err(Error::user(format!(
                "--data: the images are {given}×{given}, but gan_int_cls.network.resolution is {own}"
            ))
            .hint(format!(
                "remove the setting, because it follows from the data, and use images of \
                 {MIN_RESOLUTION} to {MAX_RESOLUTION} pixels",
            )));
        }
        Captions::check(&setup.archive)?;
        let base = setup.open_base(context)?;
        if !base.has(&DAMSM) {
            return Err(Error::user(format!(
                "--text {}: contains no caption encoder",
                base.name()
            ))
            .hint("give a model or run of `cigan train-damsm`"));
        }
        if setup.settings.batch < SMALL_BATCH {
            context.warn(format!(
                "gan_int_cls.batch is {}: batch normalisation needs {SMALL_BATCH} or more images",
                setup.settings.batch
            ));
        }
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
                Ok(trainer.evaluated_by(evaluator))
            },
            |_, _, _, _| Ok(()),
        )
    }
}
