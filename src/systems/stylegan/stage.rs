//! The stage behind `train-stylegan`: defaults, conditions, transfer and the evaluation of
//! snapshots.

use burn::tensor::Device;
use toml::Table;

use super::conditioning::{Classes, Conditioning};
use super::train::StyleganTrainer;
use super::transfer::{Transferred, other_sizes, sizes};
use super::vision::VisionFeatures;
use super::{NetworkSettings, STYLEGAN, StyleganSettings};
use crate::data::Archive;
use crate::error::{Error, Result};
use crate::model::{Model, Section};
use crate::settings::layers::to_table;
use crate::settings::{Checked, Layers};
use crate::systems::gan::AdversarialLoss;
use crate::train::{Context, Request, Setup, Stage, TrainingOutcome};
use crate::vision::TrunkChoice;

/// The value of `--condition` for classes.
pub const CLASS: &str = "class";
/// The table of settings that makes the networks text-conditional.
pub const SENTENCE: &str = "stylegan.network.sentence";

/// Stage 1: an unconditional or class-conditional StyleGAN2-ADA.
pub struct TrainStylegan;

impl Stage for TrainStylegan {
    fn section(&self) -> &'static Section {
        &STYLEGAN
    }

    fn settings(&self, resolution: usize, layers: &Layers) -> Result<Table> {
        settings_at(resolution, layers)
    }

    fn runs_on_ranks(&self) -> bool {
        true
    }

    fn train(&self, request: &Request, context: &mut Context) -> Result<TrainingOutcome> {
        let with_classes = match request.condition.as_deref() {
            None => false,
            Some(CLASS) => true,
            Some(other) => {
                return Err(Error::user(format!("--condition {other}: unknown condition"))
                    .hint("use class or text, or omit the flag"));
            }
        };
        let setup = set_up(request, context, with_classes)?;
        if with_classes {
            check_classes(&setup, request.resume.is_some())?;
        }
        train::<Classes>(setup, context)
    }
}

/// Sets up a run from the archive and the request; `with_classes` conditions it on the classes of
/// the archive. The networks have the sizes of those of the request's model, unless its file or flags
/// set others.
///
/// # Errors
/// Those of [`Setup::new`], or if the model cannot be read.
pub fn set_up(
    request: &Request,
    context: &Context,
    with_classes: bool,
) -> Result<Setup<StyleganSettings>> {
    let mut inherited = Layers::new();
    if let (Some(model), None) = (&request.model, &request.resume) {
        let network: NetworkSettings = Model::open(model)?.settings(&STYLEGAN)?;
        for (name, size) in sizes(&network) {
            inherited = inherited.set(&format!("{}.network.{name}", STYLEGAN.name), size as i64);
        }
    }
    let request = &Request { inherited, ..request.clone() };
    let mut setup = Setup::new(
        &STYLEGAN,
        request,
        context,
        |archive, layers| {
            let settings = defaults(archive, layers, with_classes);
            if request.model.is_some() { settings.transferring() } else { settings }
        },
        |settings: &StyleganSettings| settings.kimg,
    )?;
    setup.without_checkpoints =
        "start a new run; `train-stylegan --transfer MODEL` starts from these weights";
    Ok(setup)
}

/// The default settings of a run from random weights.
fn defaults(archive: &Archive, layers: &Layers, with_classes: bool) -> StyleganSettings {
    let mut settings = defaults_at(archive.resolution(), layers);
    if with_classes {
        settings.network.classes = archive.classes();
    }
    settings
}

/// The default settings for images of `resolution`, as far as they depend on other settings.
fn defaults_at(resolution: usize, layers: &Layers) -> StyleganSettings {
    let batch = layers.get("stylegan.batch").and_then(|value| value.as_integer());
    let mut settings = StyleganSettings::auto(resolution, batch.map(|batch| batch.max(0) as usize));
    let loss: Option<AdversarialLoss> =
        layers.get("stylegan.loss").and_then(|value| value.clone().try_into().ok());
    if loss.is_some_and(AdversarialLoss::pairs) {
        // R2 gets the weight of R1, also if a preset or a flag sets that.
        let weight = layers.get("stylegan.r1_gamma");
        let weight = weight.and_then(|v| v.as_float().or(v.as_integer().map(|v| v as f64)));
        settings.r1_gamma = weight.unwrap_or(settings.r1_gamma);
        settings = settings.relativistic();
    }
    if layers.get(SENTENCE).is_some() {
        settings.network.sentence = Some(Default::default());
    }
    settings
}

/// The resolved settings for images of `resolution`, as a table.
///
/// # Errors
/// If a setting is unknown or out of range.
pub fn settings_at(resolution: usize, layers: &Layers) -> Result<Table> {
    let settings = layers.resolve(STYLEGAN.name, &defaults_at(resolution, layers))?;
    settings.check()?;
    to_table(&settings)
}

/// Trains networks with the condition `C`.
///
/// # Errors
/// If an input does not fit, a file cannot be written, or training diverges.
pub fn train<C: Conditioning>(
    mut setup: Setup<StyleganSettings>,
    context: &mut Context,
) -> Result<TrainingOutcome> {
    // A run that was stopped before its first checkpoint starts from the transferred weights again.
    let transferred = setup.inputs.model.is_some() || !setup.run.model.is_empty();
    setup.model_flag = "--transfer";
    let base = match transferred && !setup.has_checkpoint()? {
        true => Some(setup.open_model()?),
        false => None,
    };
    let device = context.open_device(setup.settings.least_memory())?;
    let evaluator = setup.open_evaluator(context, &device)?;
    let features = open_vision(&mut setup, &device)?;
    setup.drive(
        context,
        |setup, state, context| {
            let (settings, seed) = (setup.settings.clone(), setup.run.seed);
            let archive = setup.archive.clone();
            let mut trainer = StyleganTrainer::<C>::conditioned(settings, seed, archive, &device)?
                .among(context.ranks.clone())?
                .aided_by(features)
                .evaluated_by(evaluator);
            if let Some(round) = trainer.reduced_round() {
                context.note(format!(
                    "rounds of {round} images instead of {}, because of the largest tensor that the \
                     device can hold",
                    setup.settings.round
                ));
            }
            if transferred {
                setup.check_continues(state)?;
            }
            if let Some(base) = &base {
                let Transferred { taken, all, grown, .. } = trainer.transfer(base)?;
                context.note(format!("{taken} of {all} tensors come from {}", base.name()));
                let theirs: NetworkSettings = base.settings(&STYLEGAN)?;
                let other = other_sizes(&theirs, &setup.settings.network);
                let same = other.is_empty() && theirs.condition() == setup.settings.network.condition();
                if !other.is_empty() {
                    context.note(format!(
                        "layers whose sizes differ from those of the model start with random \
                         weights; to use more of its layers, omit {}",
                        other.join(" and ")
                    ));
                }
                match grown {
                    Some(true) if same => context.note("training begins with its images, enlarged"),
                    Some(true) => {}
                    Some(false) => context.note(
                        "the discriminator begins with new layers, which costs part of what the \
                         model has learnt; from a model with a discriminator, and with its \
                         stylegan.network.channel_base, training begins with its images, enlarged",
                    ),
                    None => {}
                }
            }
            Ok(trainer)
        },
        |_, _, _, _| Ok(()),
    )
}

/// The features that `--vision-aided` of a run chooses, with their unit measured on its archive.
///
/// # Errors
/// If the run used other features before, or if a file cannot be read.
fn open_vision(
    setup: &mut Setup<StyleganSettings>,
    device: &Device,
) -> Result<Option<VisionFeatures>> {
    let Some(text) = &setup.inputs.vision else {
        setup.record_vision(None)?;
        return Ok(None);
    };
    let choice: TrunkChoice = text.parse().map_err(|e| {
        Error::user(format!("--vision-aided {text}: {e}")).hint("pass the flag with another value")
    })?;
    setup.record_vision(Some(&choice.identity()?))?;
    let side = setup.settings.vision.side;
    VisionFeatures::calibrate(choice.load(device)?, side, &setup.archive, device).map(Some)
}

/// Checks that the archive and the settings have the classes that `--condition class` needs.
fn check_classes(setup: &Setup<StyleganSettings>, resumed: bool) -> Result<()> {
    if setup.settings.network.classes > 0 {
        return Ok(());
    }
    if resumed {
        return Err(contradiction("classes"));
    }
    Err(Error::user("--condition class: stylegan.network.classes is 0").hint(
        "give every image of --data a class (see `cigan data info FILE`), or remove \
         stylegan.network.classes from the settings",
    ))
}

/// The error for a `--condition` that differs from the condition of the resumed run.
pub fn contradiction(key: &str) -> Error {
    Error::user(format!(
        "--resume: --condition contradicts the run's setting stylegan.network.{key}"
    ))
    .hint("remove --condition, or start a new run")
}
