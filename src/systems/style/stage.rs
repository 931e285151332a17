//! The stage behind `train-style`.

use burn::tensor::Device;
use toml::Table;

use super::settings::StyleSettings;
use super::train::StyleTrainer;
use crate::error::{Error, Result};
use crate::language::Captions;
use crate::model::{Model, Section};
use crate::settings::layers::to_table;
use crate::settings::{Checked, Layers};
use crate::systems::attention_gan::system::{AttnGan, MirrorGan};
use crate::systems::gan_int_cls::system::GanIntCls;
use crate::systems::stackgan::system::Stackgan;
use crate::systems::text_gan::inputs;
use crate::systems::text_gan::style::STYLE;
use crate::systems::{Loaded, System};
use crate::train::{Context, Request, Setup, Stage, TrainingOutcome};

/// The systems whose generators draw images of noise and a text.
static BASELINES: [&dyn System; 4] = [&GanIntCls, &Stackgan, &AttnGan, &MirrorGan];

/// The stage that trains a style encoder.
pub struct TrainStyle;

impl Stage for TrainStyle {
    fn section(&self) -> &'static Section {
        &STYLE
    }

    fn settings(&self, _resolution: usize, layers: &Layers) -> Result<Table> {
        let settings = layers.resolve(STYLE.name, &StyleSettings::default())?;
        settings.check()?;
        to_table(&settings)
    }

    fn runs_on_ranks(&self) -> bool {
        true
    }

    fn train(&self, request: &Request, context: &mut Context) -> Result<TrainingOutcome> {
        let mut setup = Setup::new(
            &STYLE,
            request,
            context,
            |_, _| StyleSettings::default(),
            |settings: &StyleSettings| settings.kimg,
        )?;
        Captions::check(&setup.archive)?;
        let base = setup.open_base(context)?;
        // The host suffices to learn the sizes.
        let sizes = open(&base, &Device::flex())?;
        let (side, z) = (sizes.resolution(), sizes.noise_space()?.z_size());
        drop(sizes);
        let (batch, round) = (setup.settings.batch, setup.settings.round);
        inputs::warn_of_small_batch(&STYLE, batch, round, context);
        let device = context.open_device(setup.settings.least_memory(side, z))?;
        setup.drive(
            context,
            |setup, _, context| {
                let (settings, archive) = (setup.settings.clone(), setup.archive.clone());
                let generator = open(&base, &device)?;
                let seed = setup.run.seed;
                StyleTrainer::new(settings, seed, archive, base.clone(), generator, &device)?
                    .among(context.ranks.clone())
            },
            |_, _, _, _| Ok(()),
        )
    }
}

/// Opens the baseline that a model contains.
///
/// # Errors
/// If it contains none that draws images of noise and a text, or is damaged.
fn open(base: &Model, device: &Device) -> Result<Box<dyn Loaded>> {
    let named = |error: Error| error.context(format!("--model {}", base.name()));
    let Some(system) = BASELINES.iter().find(|system| system.owns(base)) else {
        return Err(Error::user(format!(
            "--model {}: contains no generator that draws images of noise and a text",
            base.name()
        ))
        .hint(
            "give a model or run of `cigan train-baseline`, such as one of --system gan-int-cls",
        ));
    };
    let loaded = system.open(base, device)?;
    loaded.noise_space().map_err(named)?;
    Ok(loaded)
}
