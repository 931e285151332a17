//! `cigan train-stylegan`: stage 1.

use std::path::PathBuf;

use clap::Args;

use super::Done;
use super::common::Common;
use super::terminal::Terminal;
use super::training::{Given, Setup, TrainingArgs};
use crate::error::{Error, Result};
use crate::settings::Layers;
use crate::stylegan::StyleganSettings;
use crate::stylegan::train::StyleganTrainer;

/// Train an unconditional StyleGAN2-ADA (stage 1).
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  cigan train-stylegan --data birds32.zip --preset birds32
  cigan train-stylegan --data birds256.zip --preset birds256 --set stylegan.round=8
  cigan train-stylegan --resume runs/00000-train-stylegan-birds32 --kimg 400")]
pub struct TrainStyleganArgs {
    /// Archive of `cigan data prepare`.
    #[arg(long, value_name = "FILE.zip", required_unless_present = "resume")]
    pub data: Option<PathBuf>,
    /// Images of one iteration.
    #[arg(long, value_name = "N")]
    pub batch: Option<i64>,
    /// Weight γ of R1.
    #[arg(long, value_name = "X")]
    pub gamma: Option<f64>,
    /// Augmentation: none, fixed:P or ada.
    #[arg(long, value_name = "HOW")]
    pub aug: Option<String>,
    /// Train on mirrored images as well.
    #[arg(long, value_name = "BOOL")]
    pub mirror: Option<bool>,
    #[command(flatten)]
    pub training: TrainingArgs,
}

impl TrainStyleganArgs {
    fn flags(&self) -> Result<Layers> {
        let mut layers = Layers::new()
            .set_some("stylegan.batch", self.batch)
            .set_some("stylegan.r1_gamma", self.gamma)
            .set_some("stylegan.mirror", self.mirror);
        if let Some(how) = &self.aug {
            let (mode, p) = match how.split_once(':') {
                Some(("fixed", p)) => ("fixed", Some(p)),
                None if how == "none" || how == "ada" => (how.as_str(), None),
                _ => {
                    return Err(Error::user(format!("--aug {how}: not an augmentation"))
                        .hint("write none, ada or fixed:0.3"));
                }
            };
            layers = layers.set("stylegan.augment.mode", mode);
            if let Some(p) = p {
                let p: f64 =
                    p.parse().ok().filter(|p| (0.0..=1.0).contains(p)).ok_or_else(|| {
                        Error::user(format!("--aug {how}: `{p}` is not a probability"))
                            .hint("write fixed:0.3")
                    })?;
                layers = layers.set("stylegan.augment.p", p);
            }
        }
        Ok(layers)
    }
}

pub(super) fn run(
    args: &TrainStyleganArgs,
    common: &Common,
    terminal: &mut Terminal,
) -> Result<Done> {
    let given = Given {
        command: "train-stylegan",
        section: "stylegan",
        data: args.data.as_deref(),
        model: None,
        perceptual: None,
        flags: args.flags()?,
    };
    let setup = Setup::new(
        &args.training,
        common,
        given,
        |archive, layers| {
            let batch = layers.get("stylegan.batch").and_then(|v| v.as_integer());
            StyleganSettings::auto(archive.resolution(), batch.map(|b| b.max(0) as usize))
        },
        |settings: &StyleganSettings| settings.kimg,
    )?;
    let device = common.open_device(terminal)?.device;
    setup.drive(
        terminal,
        |setup, state| {
            let mut trainer = StyleganTrainer::new(
                setup.settings.clone(),
                setup.run.seed,
                setup.archive.clone(),
                &device,
            )?;
            if let Some(state) = state {
                trainer.restore(state)?;
            }
            Ok(trainer)
        },
        |_, _, _, _| Ok(()),
    )
}
