//! The stage behind `train-captioner`.

use toml::Table;

use super::train::CaptionerTrainer;
use super::{CAPTIONER, CaptionerSettings};
use crate::error::{Error, Result};
use crate::language::Captions;
use crate::model::Section;
use crate::settings::layers::to_table;
use crate::settings::{Checked, Layers};
use crate::systems::damsm::DAMSM;
use crate::systems::damsm::section::{load_vocabulary, network};
use crate::systems::text_gan::inputs::check_vocabulary;
use crate::train::{Context, Request, Setup, Stage, TrainingOutcome};

/// The stage that trains a captioner.
pub struct TrainCaptioner;

impl Stage for TrainCaptioner {
    fn section(&self) -> &'static Section {
        &CAPTIONER
    }

    fn settings(&self, _resolution: usize, layers: &Layers) -> Result<Table> {
        let settings = layers.resolve(CAPTIONER.name, &CaptionerSettings::default())?;
        settings.check()?;
        to_table(&settings)
    }

    fn runs_on_ranks(&self) -> bool {
        true
    }

    fn train(&self, request: &Request, context: &mut Context) -> Result<TrainingOutcome> {
        let mut setup = Setup::new(
            &CAPTIONER,
            request,
            context,
            |_, _| CaptionerSettings::default(),
            |settings: &CaptionerSettings| settings.kimg,
        )?;
        Captions::check(&setup.archive)?;
        let base = setup.open_base(context)?;
        if !base.has(&DAMSM) {
            return Err(Error::user(format!(
                "--model {}: contains no encoder of images and captions",
                base.name()
            ))
            .hint("give a model or run of `cigan train-damsm`"));
        }
        check_vocabulary("--model", &base, &setup.archive, context)?;
        let (image, tokens) = (network(&base)?, load_vocabulary(&base)?.len());
        let device = context.open_device(setup.settings.least_memory(&image, tokens))?;
        setup.drive(
            context,
            |setup, _, context| {
                let (settings, archive) = (setup.settings.clone(), setup.archive.clone());
                let base = base.only(&[&DAMSM]);
                CaptionerTrainer::new(settings, setup.run.seed, archive, base, &device)?
                    .among(context.ranks.clone())
            },
            |_, _, _, _| Ok(()),
        )
    }
}
