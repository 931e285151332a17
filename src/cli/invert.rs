//! `cigan invert`: stage 2.

use std::path::PathBuf;

use burn::tensor::Device;
use clap::Args;

use super::Done;
use super::common::Common;
use super::loaded;
use super::terminal::Terminal;
use super::training::{Given, Setup, TrainingArgs};
use crate::error::{Error, Result};
use crate::model::{Model, Stage};
use crate::settings::Layers;
use crate::systems::cigan::inversion::codes::{self, Codes};
use crate::systems::cigan::inversion::train::InversionTrainer;
use crate::systems::cigan::inversion::{Encoder, InversionSettings};
use crate::systems::cigan::text::train::forget_text;
use crate::systems::stylegan::NetworkSettings;
use crate::tensorfile;
use crate::train::Trainer;
use crate::vision::PerceptualChoice;

/// Train the cycle-consistent encoder, then encode every image (stage 2).
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  cigan invert --data birds32.zip --model runs/00000-train-stylegan-birds32 --preset birds32
  cigan invert --data birds32.zip --model M.safetensors --no-cycle     # the paper's ablation
  cigan invert --resume runs/00001-invert-birds32")]
pub struct InvertArgs {
    /// Archive of `cigan data prepare`.
    #[arg(long, value_name = "FILE.zip", required_unless_present = "resume")]
    pub data: Option<PathBuf>,
    /// Model or run of stage 1.
    #[arg(long, value_name = "MODEL", required_unless_present = "resume")]
    pub model: Option<PathBuf>,
    /// Features of the perceptual loss: discriminator, vgg16=FILE or squeezenet=FILE; the latter
    /// with ,layers=conv3_3+conv4_3 for layers of one's choice, or ,lpips=FILE for LPIPS's
    /// [default: discriminator].
    #[arg(long, value_name = "FEATURES")]
    pub perceptual: Option<PerceptualChoice>,
    /// Without the cycle: its two losses weigh 0.
    #[arg(long)]
    pub no_cycle: bool,
    /// Latent space of the codes [default: w].
    #[arg(long, value_name = "SPACE", value_parser = ["w", "w+"])]
    pub space: Option<String>,
    #[command(flatten)]
    pub training: TrainingArgs,
}

impl InvertArgs {
    fn flags(&self) -> Layers {
        let layers = Layers::new().set_some("inversion.network.space", self.space.clone());
        if self.no_cycle {
            layers
                .set("inversion.weights.cycle", 0.0)
                .set("inversion.weights.latent_adversarial", 0.0)
        } else {
            layers
        }
    }
}

pub(super) fn run(args: &InvertArgs, common: &Common, terminal: &mut Terminal) -> Result<Done> {
    let given = Given {
        command: "invert",
        section: "inversion",
        data: args.data.as_deref(),
        model: args.model.as_deref(),
        perceptual: args.perceptual.as_ref().map(ToString::to_string),
        eval: None,
        eval_features: None,
        flags: args.flags(),
    };
    let mut setup = Setup::new(
        &args.training,
        common,
        given,
        |_, _| InversionSettings::default(),
        |settings: &InversionSettings| settings.kimg,
    )?;
    let mut base = open_base(&mut setup)?;
    if base.has(Stage::Text) {
        terminal.note("the model's text encoder belongs to its present codes: `align-text` has to make a new one");
        forget_text(&mut base);
    }
    let network: NetworkSettings = base.settings(Stage::Stylegan)?;
    if network.classes > 0 {
        return Err(Error::user(format!("{}: was trained with classes", base.name()))
            .hint("the codes of stages 2 to 4 know no class; train without --condition"));
    }
    let device = common.open_device(terminal)?.device;
    let choice = match &setup.inputs.perceptual {
        None => PerceptualChoice::default(),
        Some(text) => text.parse().map_err(|e| {
            Error::user(format!("--perceptual {text}: {e}")).hint("give --perceptual again")
        })?,
    };
    setup.compared_by(&choice.identity()?)?;
    let perceptual = loaded::calibrated(&choice, &base, &setup.archive, &device)?;
    let seed = setup.run.seed;
    setup.drive(
        terminal,
        |setup, state, _| {
            let mut trainer = InversionTrainer::new(
                setup.settings.clone(),
                seed,
                setup.archive.clone(),
                base,
                perceptual,
                &device,
            )?;
            if let Some(state) = state {
                trainer.restore(state)?;
            }
            Ok(trainer)
        },
        |setup, trainer, directory, terminal| {
            let run = directory.path().display();
            let rest = format!("go on with: cigan invert --resume {run}");
            let codes = encode_all(setup, trainer.encoder(), &rest, &device, terminal)?;
            let model = directory.file(crate::train::directory::Series::Model, trainer.nimg());
            let path = directory.path().join(codes::FILE);
            codes.write(&path, &setup.archive, &tensorfile::content_hash(model)?)?;
            terminal.wrote(&path);
            Ok(())
        },
    )
}

/// Codes of all images of the run's archive; `rest` says what to do after an interruption.
pub(super) fn encode_all<S>(
    setup: &Setup<S>,
    encoder: &Encoder,
    rest: &str,
    device: &Device,
    terminal: &mut Terminal,
) -> Result<Codes> {
    let total = setup.archive.len() as u64;
    Codes::encode(&setup.archive, encoder, device, |done| {
        terminal.progress("encoding the images", done as u64, total);
        match terminal.interrupt().requested() {
            None => Ok(()),
            Some(signal) => Err(Error::interrupted(
                signal.exit_code(),
                format!("interrupted while encoding the images; {rest}"),
            )),
        }
    })
}

/// The model that the run starts from, with its hash checked or noted.
pub(super) fn open_base<T>(setup: &mut Setup<T>) -> Result<Model> {
    let Some(path) = setup.inputs.model.clone() else {
        return Err(Error::user("--model is missing").hint("give a model or run of stage 1"));
    };
    let base = Model::open(&path)?;
    if setup.run.model.is_empty() {
        setup.run.model = base.hash().to_owned();
    } else if setup.run.model != base.hash() {
        return Err(Error::user(format!("{}: not the model that the run began with", base.name()))
            .hint("give that model with --model, or start a new run"));
    }
    // A run directory moves on; the file that was meant stays the same.
    if path.is_dir() {
        setup.inputs.model = Some(PathBuf::from(base.name()));
    }
    Ok(base)
}
