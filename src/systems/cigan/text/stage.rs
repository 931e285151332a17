//! The stage behind `align-text`: encodes the images, then trains T on their codes.

use std::path::Path;

use burn::tensor::Device;
use toml::Table;

use super::train::TextTrainer;
use super::{TEXT, TextSettings};
use crate::data::Archive;
use crate::error::Result;
use crate::language::Captions;
use crate::model::Section;
use crate::settings::layers::to_table;
use crate::settings::{Checked, Layers};
use crate::systems::cigan::inversion::codes::{self, Codes};
use crate::systems::cigan::inversion::section::load_encoder;
use crate::systems::cigan::inversion::stage::encode_all;
use crate::systems::stylegan::{NetworkSettings, STYLEGAN};
use crate::train::{Context, Request, Setup, Stage, TrainingOutcome};

/// Stage 3 of CI-GAN (paper §3.3).
pub struct AlignText {
    /// The work that follows the last caption.
    pub after: AfterTraining,
}

/// Completes the models of a finished run: run directory, archive, device, context.
pub type AfterTraining = fn(&Path, &Archive, &Device, &mut Context) -> Result<()>;

impl Stage for AlignText {
    fn section(&self) -> &'static Section {
        &TEXT
    }

    fn settings(&self, _resolution: usize, layers: &Layers) -> Result<Table> {
        let settings = layers.resolve(TEXT.name, &TextSettings::default())?;
        settings.check()?;
        to_table(&settings)
    }

    fn runs_on_ranks(&self) -> bool {
        true
    }

    fn train(&self, request: &Request, context: &mut Context) -> Result<TrainingOutcome> {
        let mut setup = Setup::new(
            &TEXT,
            request,
            context,
            |_, _| TextSettings::default(),
            |settings: &TextSettings| settings.kimg,
        )?;
        let base = setup.open_base(context)?;
        let network: NetworkSettings = base.settings(&STYLEGAN)?;
        network.check_unconditional(base.name())?;
        network.fits(setup.archive.resolution(), base.name())?;
        Captions::check(&setup.archive)?;
        if setup.run.kimg > setup.settings.schedule_kimg {
            context.warn(format!(
                "the learning rate is 0 after {} kimg (text.schedule_kimg), so training longer \
                 has no effect",
                setup.settings.schedule_kimg
            ));
        }
        let device = context.open_device(setup.settings.least_memory())?;
        let encoder = load_encoder(&base, &device)?;
        let beside = Path::new(base.name()).with_file_name(codes::FILE);
        let kept = Codes::read_matching(&beside, &setup.archive, &base).unwrap_or_else(|error| {
            context.warn(format!("{}; encoding the images again", error.message));
            None
        });
        let codes = match kept {
            Some(codes) => codes,
            None => {
                let rest = "run the same command again; nothing was lost";
                encode_all(&setup, &encoder, rest, &device, context)?
            }
        };
        setup.drive(
            context,
            |setup, _, context| {
                TextTrainer::new(
                    setup.settings.clone(),
                    setup.run.seed,
                    setup.archive.clone(),
                    codes,
                    base,
                    &device,
                )?
                .among(context.ranks.clone())
            },
            |setup, _, directory, context| {
                (self.after)(directory.path(), &setup.archive, &device, context)
            },
        )
    }
}
