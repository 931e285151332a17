//! `cigan train-stylegan`: stage 1.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::Done;
use super::common::Common;
use super::terminal::Terminal;
use super::training::{self, TrainingArgs};
use crate::error::{Error, Result};
use crate::settings::Layers;
use crate::train::{Condition, Request};
use crate::vision::FeatureChoice;

/// Train a StyleGAN2-ADA, unconditional unless told otherwise (stage 1).
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  cigan train-stylegan --data birds32.zip --preset birds32
  cigan train-stylegan --data birds256.zip --preset birds256 --set stylegan.round=8
  cigan train-stylegan --data birds64.zip --preset birds64 --condition text
  cigan train-stylegan --resume runs/00000-train-stylegan-birds32 --kimg 400")]
pub struct TrainStyleganArgs {
    /// Archive of `cigan data prepare`.
    #[arg(long, value_name = "FILE.zip", required_unless_present = "resume")]
    pub data: Option<PathBuf>,
    /// What pictures are conditioned on: nothing unless given here or in the settings.
    #[arg(long, value_enum, value_name = "WHAT")]
    pub condition: Option<ConditionName>,
    /// Images of one iteration [default: the preset's, else by resolution].
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub batch: Option<i64>,
    /// Weight γ of R1 [default: the preset's, else 0.0002·resolution²/batch].
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    pub gamma: Option<f64>,
    /// Augmentation: none, fixed:P or ada [default: the preset's, else ada].
    #[arg(long, value_name = "HOW")]
    pub aug: Option<String>,
    /// Train on mirrored images as well [default: the preset's, else false].
    #[arg(long, value_name = "BOOL")]
    pub mirror: Option<bool>,
    /// First convolutions of D that stay as they are when a model is transferred: from RGB, then each
    /// block's conv0, conv1 and skip.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub freeze_d: Option<i64>,
    /// Start from the weights of a model instead of fresh ones.
    #[arg(long, value_name = "MODEL", conflicts_with = "resume")]
    pub transfer: Option<PathBuf>,
    /// Measure snapshots against the held-out pictures of an archive, and keep the best by KID.
    #[arg(long, value_name = "FILE.zip")]
    pub eval: Option<PathBuf>,
    /// Features of that measure: inception=FILE, squeezenet=FILE or pixels [default: pixels].
    #[arg(long, value_name = "NETWORK")]
    pub eval_features: Option<FeatureChoice>,
    #[command(flatten)]
    pub training: TrainingArgs,
}

/// `--condition`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ConditionName {
    /// The classes of the archive.
    Class,
    /// Captions: a sentence encoder is trained beside the discriminator, with mismatched pairs.
    Text,
}

impl From<ConditionName> for Condition {
    fn from(name: ConditionName) -> Self {
        match name {
            ConditionName::Class => Condition::Class,
            ConditionName::Text => Condition::Text,
        }
    }
}

impl TrainStyleganArgs {
    fn flags(&self) -> Result<Layers> {
        let mut layers = Layers::new()
            .set_some("stylegan.batch", self.batch)
            .set_some("stylegan.r1_gamma", self.gamma)
            .set_some("stylegan.mirror", self.mirror)
            .set_some("stylegan.freeze_d", self.freeze_d);
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
    let request = Request {
        flags: args.flags()?,
        condition: args.condition.map(Condition::from),
        data: args.data.clone(),
        model: args.transfer.clone(),
        eval: args.eval.clone(),
        eval_features: args.eval_features.as_ref().map(ToString::to_string),
        ..args.training.request(common)
    };
    training::run("train-stylegan", &request, common, terminal)
}
