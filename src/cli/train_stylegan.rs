//! `cigan train-stylegan`: trains stage 1, the generator.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, ValueEnum};

use super::common::Common;
use super::done::Done;
use super::terminal::Terminal;
use super::training::{self, RanksArgs, TrainingArgs};
use crate::error::{Error, Result};
use crate::settings::Layers;
use crate::systems::stylegan::{self, STYLEGAN};
use crate::systems::stylegan_text;
use crate::train::Request;
use crate::vision::{FeatureChoice, TrunkChoice};

/// Train StyleGAN2-ADA, unconditional by default (stage 1).
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  cigan train-stylegan --data birds32.zip
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
    /// Weight γ of the R1 penalty, or `auto` to raise it while the discriminator is too strong
    /// [default: the preset's, else 0.0002·resolution²/batch].
    ///
    /// `auto` begins at the default. It suits drawings and other images with flat colours.
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    pub gamma: Option<Gamma>,
    /// Augmentation: none, fixed:P or ada [default: the preset's, else ada].
    #[arg(long, value_name = "MODE")]
    pub aug: Option<String>,
    /// Precision of features: f32, or mixed for f16 in the four highest resolutions, on GPUs
    /// [default: the preset's, else f32].
    #[arg(long, value_name = "PRECISION", value_parser = ["f32", "mixed"])]
    pub precision: Option<String>,
    /// Train on mirrored images as well [default: the preset's, else false].
    #[arg(long, value_name = "BOOL")]
    pub mirror: Option<bool>,
    /// Number of convolutions of the discriminator to freeze (Freeze-D), for --transfer.
    ///
    /// They are counted from the input: fromrgb, then conv0, conv1 and skip of each block.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub freeze_d: Option<i64>,
    /// Start from the weights of this model instead of random weights.
    ///
    /// The networks have the sizes of the model's (stylegan.network.z_dim, w_dim, mapping_layers,
    /// channel_base and channel_max) instead of the preset's, unless --config or --set gives others.
    /// If the images of the model are smaller, training begins with the same images, enlarged.
    #[arg(long, value_name = "MODEL", conflicts_with = "resume")]
    pub transfer: Option<PathBuf>,
    /// Also let discriminators judge the features of a network that recognises objects:
    /// squeezenet=FILE or vgg16=FILE, with `,layers=fire3+fire9` to choose layers.
    ///
    /// Such discriminators may improve short runs (Kumari et al. 2022). Scores that use the same network
    /// no longer measure quality alone.
    #[arg(long, value_name = "NETWORK")]
    pub vision_aided: Option<TrunkChoice>,
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

impl ConditionName {
    /// The name that the stages know.
    fn name(self) -> &'static str {
        match self {
            Self::Class => stylegan::stage::CLASS,
            Self::Text => stylegan_text::stage::TEXT,
        }
    }
}

/// The value of `--gamma`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Gamma {
    /// Adapted to the scores of the discriminator.
    Auto,
    /// A constant weight.
    Constant(f64),
}

impl FromStr for Gamma {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            _ => text.parse().map(Self::Constant).map_err(|_| "expected a number or auto".into()),
        }
    }
}

impl TrainStyleganArgs {
    /// Whether γ is adapted, if the flags say so. A number also overrides `--config`; a resumed run
    /// keeps what it has.
    fn adapts(&self) -> Option<bool> {
        match self.gamma? {
            Gamma::Auto => Some(true),
            Gamma::Constant(_) => self.training.resume.is_none().then_some(false),
        }
    }

    fn flags(&self) -> Result<Layers> {
        let constant = match self.gamma {
            Some(Gamma::Constant(gamma)) => Some(gamma),
            Some(Gamma::Auto) | None => None,
        };
        let mut layers = Layers::new()
            .set_some("stylegan.batch", self.batch)
            .set_some("stylegan.r1_gamma", constant)
            .set_some("stylegan.adapt_gamma", self.adapts())
            .set_some("stylegan.precision", self.precision.clone())
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
        condition: args.condition.map(|condition| condition.name().to_owned()),
        data: args.data.clone(),
        model: args.transfer.clone(),
        vision: args.vision_aided.as_ref().map(ToString::to_string),
        eval: args.eval.clone(),
        eval_features: args.eval_features.as_ref().map(ToString::to_string),
        reduce: args.ranks.reduce,
        ..args.training.request(common)
    };
    training::run(STYLEGAN.command, &request, common, terminal)
}
