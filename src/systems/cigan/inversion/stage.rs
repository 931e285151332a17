//! The stage behind `invert`: trains E, then encodes every image.

use burn::tensor::Device;
use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::Table;

use super::codes::{self, Codes};
use super::train::InversionTrainer;
use super::{Encoder, EncoderSettings, INVERSION, InversionSettings};
use crate::data::{Archive, Split};
use crate::error::{Error, Result};
use crate::model::{Model, Section};
use crate::run_files::Series;
use crate::settings::layers::to_table;
use crate::settings::{Checked, Layers};
use crate::systems::stylegan::section::load_discriminator;
use crate::systems::stylegan::{DiscriminatorFeatures, NetworkSettings, STYLEGAN, shapes};
use crate::tensorfile;
use crate::train::{Artifact, Context, Event, Request, Setup, Stage, Trainer, TrainingOutcome};
use crate::vision::{Perceptual, PerceptualChoice};

/// Stage 2 of CI-GAN (paper §3.2).
pub struct Invert;

impl Stage for Invert {
    fn section(&self) -> &'static Section {
        &INVERSION
    }

    fn settings(&self, _resolution: usize, layers: &Layers) -> Result<Table> {
        let settings = layers.resolve(INVERSION.name, &InversionSettings::default())?;
        settings.check()?;
        to_table(&settings)
    }

    fn runs_on_ranks(&self) -> bool {
        true
    }

    fn train(&self, request: &Request, context: &mut Context) -> Result<TrainingOutcome> {
        let mut setup = Setup::new(
            &INVERSION,
            request,
            context,
            |_, _| InversionSettings::default(),
            |settings: &InversionSettings| settings.kimg,
        )?;
        let base = setup.open_base(context)?;
        // A run that was stopped before its first checkpoint starts from the other encoder again.
        setup.embedding_flag = "--transfer";
        let transferred = setup.inputs.embedding.is_some() || !setup.run.embedding.is_empty();
        let earlier = match transferred && !setup.has_checkpoint()? {
            true => Some(setup.open_embedding()?),
            false => None,
        };
        let network: NetworkSettings = base.settings(&STYLEGAN)?;
        network.check_unconditional(base.name())?;
        if let Some(earlier) = &earlier {
            check_same_encoder(earlier, &setup.settings.network, &network)?;
        }
        let device = context.open_device(least_memory(&setup.settings, &network))?;
        let perceptual = open_perceptual(&mut setup, &base, &device)?;
        let seed = setup.run.seed;
        setup.drive(
            context,
            |setup, state, context| {
                if transferred {
                    setup.check_continues(state)?;
                }
                let mut trainer = InversionTrainer::new(
                    setup.settings.clone(),
                    seed,
                    setup.archive.clone(),
                    base,
                    perceptual,
                    &device,
                )?;
                if let Some(earlier) = &earlier {
                    trainer = trainer.starting_from(earlier)?;
                    context.note(format!("the encoder comes from {}", earlier.name()));
                }
                trainer.among(context.ranks.clone())
            },
            |setup, trainer, directory, context| {
                let run = directory.path().display();
                let rest = format!("resume with: cigan invert --resume {run}");
                let codes = encode_all(setup, trainer.encoder(), &rest, &device, context)?;
                let model = directory.file(Series::Model, trainer.nimg());
                let path = directory.path().join(codes::FILE);
                codes.write(&path, &setup.archive, &tensorfile::content_hash(model)?)?;
                context.events.emit(&Event::Saved { path, what: Artifact::Codes });
                Ok(())
            },
        )
    }
}

/// Checks that the encoder of the model of `--transfer` has the architecture `ours`, for codes of a
/// generator with the settings `network`.
///
/// # Errors
/// If it has none, or another one.
fn check_same_encoder(
    model: &Model,
    ours: &EncoderSettings,
    network: &NetworkSettings,
) -> Result<()> {
    let name = model.name();
    if !model.has(&INVERSION) {
        return Err(Error::user(format!("--transfer {name}: contains no encoder"))
            .hint("give a model that `cigan invert` trained, or omit --transfer"));
    }
    let theirs: EncoderSettings = model.settings(&INVERSION)?;
    let generator: NetworkSettings = model.settings(&STYLEGAN)?;
    if theirs.space == ours.space
        && Encoder::shapes(&theirs, &generator) == Encoder::shapes(ours, network)
    {
        return Ok(());
    }
    Err(Error::user(format!("--transfer {name}: its encoder has another architecture")).hint(
        "use the [inversion.network], resolution and w_dim of that model (`cigan info --json` shows \
         them), or omit --transfer",
    ))
}

/// A lower bound of the memory in bytes that training takes, for images of `generator`.
fn least_memory(settings: &InversionSettings, generator: &NetworkSettings) -> u64 {
    let encoder = Encoder::shapes(&settings.network, generator).values();
    // E has a moving average, E and D have two moments and a gradient, and G only its weights.
    let weights = (5 * encoder)
        .saturating_add(4 * shapes::discriminator(generator).values())
        .saturating_add(shapes::generator(generator).values());
    // Each resolution has two convolutions in G and two in D, and a block of E, whose outputs are
    // kept.
    let block = |block: usize| {
        let side = generator.resolution >> block;
        (settings.network.width(block) * side * side) as u64
    };
    let blocks = generator.resolutions().count();
    let activations = 4 * generator.activations() + (0..blocks).map(block).sum::<u64>();
    let images = (settings.batch as u64).saturating_mul(activations);
    weights.saturating_add(images).saturating_mul(4)
}

/// The perceptual distance that `--perceptual` of a run chooses, with its unit measured on the archive
/// of the run. By default, it compares features of the discriminator of `base`.
///
/// # Errors
/// If the run used another one before, a weight file cannot be read, or the model does not fit the
/// archive.
pub fn open_perceptual<S: Serialize + DeserializeOwned + Checked>(
    setup: &mut Setup<S>,
    base: &Model,
    device: &Device,
) -> Result<Perceptual> {
    let choice = match &setup.inputs.perceptual {
        None => PerceptualChoice::default(),
        Some(text) => text.parse().map_err(|e| {
            Error::user(format!("--perceptual {text}: {e}"))
                .hint("pass --perceptual with another value")
        })?,
    };
    setup.record_perceptual(&choice.identity()?)?;
    calibrated(&choice, base, &setup.archive, device)
}

fn calibrated(
    choice: &PerceptualChoice,
    model: &Model,
    archive: &Archive,
    device: &Device,
) -> Result<Perceptual> {
    let own = || -> Result<Box<dyn crate::vision::Features>> {
        Ok(Box::new(DiscriminatorFeatures::new(&load_discriminator(model, device)?)))
    };
    let features = choice.build(own, device)?;
    let network: NetworkSettings = model.settings(&STYLEGAN)?;
    network.fits(archive.resolution(), model.name())?;
    Perceptual::calibrate(features, archive, &archive.indices_of(Split::Train), device)
}

/// Encodes all images of the run's archive. `rest` ends the message after an interruption: it tells
/// the user how to continue.
///
/// # Errors
/// If an image cannot be read, or the user interrupts the run.
pub fn encode_all<S>(
    setup: &Setup<S>,
    encoder: &Encoder,
    rest: &str,
    device: &Device,
    context: &mut Context,
) -> Result<Codes> {
    let total = setup.archive.len();
    Codes::encode(&setup.archive, encoder, device, |done| {
        context.progress("encoding the images", done, total);
        match context.interrupt.requested() {
            None => Ok(()),
            Some(signal) => Err(Error::interrupted(
                signal.exit_code(),
                format!("interrupted while encoding the images; {rest}"),
            )),
        }
    })
}
