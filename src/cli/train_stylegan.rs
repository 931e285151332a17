//! `cigan train-stylegan`: trains stage 1, the generator.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::common::Common;
use super::done::Done;
use super::terminal::Terminal;
use super::training::{self, RanksArgs, TrainingArgs};
use crate::error::{Error, Result};
use crate::settings::Layers;
use crate::systems::stylegan::STYLEGAN;
use crate::systems::stylegan::condition::Condition;
use crate::train::Request;
use crate::vision::FeatureChoice;

/// Train StyleGAN2-ADA, unconditional by default (stage 1).
#[derive(Debug, Clone, Args)]
#[command(mut_arg("preset", |preset| preset.help(
    "Preset to start from; `cigan config show` lists them [default: the settings of the published \
     code, which take a day or more on a GPU]"
)))]
#[command(after_help = "\
Examples:
  cigan train-stylegan --data birds32.zip --preset small32
  cigan train-stylegan --data birds256.zip --preset small256 --set stylegan.round=8
  cigan train-stylegan --data birds64.zip --preset small64 --condition text
  cigan train-stylegan --resume runs/00000-train-stylegan-small32 --kimg 400")]
pub struct TrainStyleganArgs {
    /// Archive made by `cigan data prepare`.
    #[arg(long, value_name = "FILE.zip", required_unless_present = "resume")]
    pub data: Option<PathBuf>,
    /// Condition to train on [default: the preset's, else none].
    #[arg(long, value_enum, value_name = "CONDITION")]
    pub condition: Option<ConditionName>,
    /// Batch size [default: the preset's, else depends on the resolution].
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub batch: Option<i64>,
    /// Weight γ of the R1 penalty [default: the preset's, else 0.0002·resolution²/batch].
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    pub gamma: Option<f64>,
    /// Augmentation: none, fixed:P or ada [default: the preset's, else ada].
    #[arg(long, value_name = "MODE")]
    pub aug: Option<String>,
    /// Train on mirrored images as well [default: the preset's, else false].
    #[arg(long, value_name = "BOOL")]
    pub mirror: Option<bool>,
    /// Number of convolutions of the discriminator to freeze (Freeze-D), for --transfer.
    ///
    /// They are counted from the input: fromrgb, then conv0, conv1 and skip of each block.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub freeze_d: Option<i64>,
    /// Start from the weights of this model instead of random weights.
    #[arg(long, value_name = "MODEL", conflicts_with = "resume")]
    pub transfer: Option<PathBuf>,
    /// Evaluate snapshots on the held-out images of this archive, and keep the one with the best
    /// KID.
    #[arg(long, value_name = "FILE.zip")]
    pub eval: Option<PathBuf>,
    /// Network for the features of --eval: inception=FILE, squeezenet=FILE or pixels
    /// [default: pixels].
    #[arg(long, value_name = "NETWORK")]
    pub eval_features: Option<FeatureChoice>,
    #[command(flatten)]
    pub training: TrainingArgs,
    #[command(flatten)]
    pub ranks: RanksArgs,
}

/// The values of `--condition`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ConditionName {
    /// The classes of the archive.
    Class,
    /// The captions. A sentence encoder is trained together with the discriminator, on matching and
    /// mismatched pairs.
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
                    return Err(Error::user(format!("--aug {how}: not an augmentation mode"))
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
        condition: args.condition.map(|name| Condition::from(name).name().to_owned()),
        data: args.data.clone(),
        model: args.transfer.clone(),
        eval: args.eval.clone(),
        eval_features: args.eval_features.as_ref().map(ToString::to_string),
        reduce: args.ranks.reduce,
        ..args.training.request(common)
    };
    training::run(STYLEGAN.command, &request, common, terminal)
}
