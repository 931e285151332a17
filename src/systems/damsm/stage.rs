//! The stage behind `train-damsm`.

use toml::Table;

use super::train::DamsmTrainer;
use super::{DAMSM, DamsmSettings};
use crate::data::Split;
use crate::error::Result;
use crate::language::Captions;
use crate::language::captions::captioned;
use crate::model::Section;
use crate::settings::layers::to_table;
use crate::settings::{Checked, Layers};
use crate::train::{Context, Request, Setup, Stage, TrainingOutcome};

/// The stage that trains the encoders of images and texts.
pub struct TrainDamsm;

impl Stage for TrainDamsm {
    fn section(&self) -> &'static Section {
        &DAMSM
    }

    fn settings(&self, resolution: usize, layers: &Layers) -> Result<Table> {
        let settings = layers.resolve(DAMSM.name, &DamsmSettings::at(resolution))?;
        settings.check()?;
        to_table(&settings)
    }

    fn runs_on_ranks(&self) -> bool {
        true
    }

    fn train(&self, request: &Request, context: &mut Context) -> Result<TrainingOutcome> {
        let setup = Setup::new(
            &DAMSM,
            request,
            context,
            |archive, _| DamsmSettings::at(archive.resolution()),
            |settings: &DamsmSettings| settings.kimg,
        )?;
        Captions::check(&setup.archive)?;
        if setup.run.kimg > setup.settings.schedule_kimg {
            context.warn(format!(
                "the learning rate is 0 after {} kimg (damsm.schedule_kimg), so training longer \
                 has no effect",
                setup.settings.schedule_kimg
            ));
        }
        let all = setup.archive.indices_of(Split::Train).len();
        let count = captioned(&setup.archive, Split::Train).len();
        if count < all {
            context.note(format!(
                "{count} of the {all} training images have captions; the others only teach the \
                 image encoder to recognise views of one image"
            ));
        }
        let device = context.open_device(setup.settings.least_memory())?;
        setup.drive(
            context,
            |setup, _, context| {
                let (settings, archive) = (setup.settings.clone(), setup.archive.clone());
                DamsmTrainer::new(settings, setup.run.seed, archive, &device)?
                    .among(context.ranks.clone())
            },
            |_, _, _, _| Ok(()),
        )
    }
}
