//! `cigan train-baseline`: trains a published text-to-image GAN.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::common::Common;
use super::done::Done;
use super::terminal::Terminal;
use super::training::{self, RanksArgs, TrainingArgs};
use crate::error::{Error, Result};
use crate::model::Section;
use crate::settings::Layers;
use crate::systems::SYSTEMS;
use crate::systems::clip2gan::CLIP2GAN;
use crate::systems::gan_int_cls::{self, GAN_INT_CLS};
use crate::systems::stackgan::STACKGAN;
use crate::train::Request;
use crate::vision::{FeatureChoice, PerceptualChoice};

/// The command's name.
pub(super) const COMMAND: &str = "train-baseline";

/// Train a published text-to-image GAN as a baseline for CI-GAN.
///
/// It trains on the same archives as CI-GAN, and its models work with `generate`, `sample`,
/// `interpolate --texts`, `serve` and `evaluate`. A frozen model of `train-damsm` encodes the
/// captions and becomes part of the new model. The system clip2gan reads no captions; it extends a
/// trained StyleGAN by a mapper from vectors of images and texts to its codes.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  cigan train-baseline --system gan-int-cls --data birds32.zip --preset baseline32 \\
    --text runs/00000-train-damsm-baseline32
  cigan train-baseline --system gan-int-cls --variant gan-cls --data birds32.zip --text DAMSM
  cigan train-baseline --system stackgan-v2 --data birds32.zip --preset baseline32 --text DAMSM
  cigan train-baseline --system stackgan-v2 --unconditional --data birds32.zip --preset baseline32
  cigan train-baseline --system attngan --data birds32.zip --preset baseline32 --text DAMSM
  cigan train-baseline --system mirrorgan --data birds32.zip --preset baseline32 --text CAPTIONER
  cigan train-baseline --system clip2gan --data birds32.zip --model STYLEGAN --embedding DAMSM
  cigan train-baseline --system clip2gan --data birds32.zip --model ALIGNED --embedding codes
  cigan train-baseline --resume runs/00001-train-baseline-baseline32")]
pub struct TrainBaselineArgs {
    #[arg(
        long,
        value_name = "SYSTEM",
        value_parser = system,
        required_unless_present = "resume",
        conflicts_with = "resume",
        help = format!("System to train: {}", SYSTEMS.systems_of(COMMAND).join(", "))
    )]
    pub system: Option<String>,
    /// Archive made by `cigan data prepare`; with captions, unless --unconditional is given.
    ///
    /// For clip2gan, a few captions suffice, because they only give the mean vector of texts.
    #[arg(long, value_name = "FILE.zip", required_unless_present = "resume")]
    pub data: Option<PathBuf>,
    /// Model file or run directory of `train-damsm`, which encodes the captions; for mirrorgan, of
    /// `train-captioner`.
    #[arg(long, value_name = "DAMSM")]
    pub text: Option<PathBuf>,
    /// Model of clip2gan's generator: a model file or run directory of `train-stylegan`, `invert` or
    /// `align-text`.
    #[arg(long, value_name = "MODEL")]
    pub model: Option<PathBuf>,
    /// Encoders of images and texts for clip2gan: a model of `train-damsm` or `import clip`, or `codes`
    /// for those of --model, if `align-text` trained them.
    #[arg(long, value_name = "MODEL")]
    pub embedding: Option<PathBuf>,
    /// Features that clip2gan's perceptual loss compares: `discriminator` is that of --model; vgg16=FILE
    /// and squeezenet=FILE are ImageNet networks, with `,lpips=FILE` as in LPIPS [default:
    /// discriminator].
    #[arg(long, value_name = "FEATURES")]
    pub perceptual: Option<PerceptualChoice>,
    /// Variant of gan-int-cls [default: the preset's, else gan-int-cls].
    #[arg(long, value_enum, value_name = "VARIANT", conflicts_with = "resume")]
    pub variant: Option<VariantName>,
    /// Train stackgan-v2 without captions.
    #[arg(long, conflicts_with = "resume")]
    pub unconditional: bool,
    /// Archive with held-out images; evaluates each snapshot and keeps the best one, by KID.
    #[arg(long, value_name = "FILE.zip")]
    pub eval: Option<PathBuf>,
    /// Features for --eval: inception=FILE, squeezenet=FILE or pixels [default: pixels].
    #[arg(long, value_name = "FEATURES")]
    pub eval_features: Option<FeatureChoice>,
    #[command(flatten)]
    pub training: TrainingArgs,
    #[command(flatten)]
    pub ranks: RanksArgs,
}

/// The values of `--variant`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum VariantName {
    /// Both networks are conditioned on the caption.
    Gan,
    /// D also learns to reject real images with captions of another class.
    GanCls,
    /// G is also trained on means of two captions.
    GanInt,
    /// `gan-cls` and `gan-int` together.
    GanIntCls,
}

impl From<VariantName> for gan_int_cls::Variant {
    fn from(name: VariantName) -> Self {
        match name {
            VariantName::Gan => Self::Gan,
            VariantName::GanCls => Self::GanCls,
            VariantName::GanInt => Self::GanInt,
            VariantName::GanIntCls => Self::GanIntCls,
        }
    }
}

/// The value of `--embedding` for the encoders of the generator's model.
const CODES: &str = "codes";

/// Checks a value of `--system`.
fn system(text: &str) -> Result<String, String> {
    let known = SYSTEMS.systems_of(COMMAND);
    if known.iter().any(|name| name == text) {
        return Ok(text.to_owned());
    }
    Err(format!("expected {}", known.join(" or ")))
}

/// Checks that the system of the request is the one that has a flag.
///
/// # Errors
/// If it is another one; `finding` says why the flag does not apply to it.
fn only_for(owner: &Section, flag: &str, finding: &str, args: &TrainBaselineArgs) -> Result<()> {
    let owner = owner.system_name();
    match args.system.as_ref().filter(|system| **system != owner) {
        None => Ok(()),
        Some(system) => Err(Error::user(format!("{flag}: {system} {finding}"))
            .hint(format!("omit the flag, or use --system {owner}"))),
    }
}

pub(super) fn run(
    args: &TrainBaselineArgs,
    common: &Common,
    terminal: &mut Terminal,
) -> Result<Done> {
    let mut flags = Layers::new();
    if let Some(variant) = args.variant {
        only_for(&GAN_INT_CLS, "--variant", "has no variants", args)?;
        let (mismatched, interpolated) = gan_int_cls::Variant::from(variant).weights();
        flags = flags
            .set("gan_int_cls.mismatched", mismatched)
            .set("gan_int_cls.interpolated", interpolated);
    }
    if args.unconditional {
        only_for(&STACKGAN, "--unconditional", "needs captions", args)?;
        flags = flags.set("stackgan_v2.network.unconditional", true);
    }
    for (flag, given) in [
        ("--model", args.model.is_some()),
        ("--embedding", args.embedding.is_some()),
        ("--perceptual", args.perceptual.is_some()),
    ] {
        if given {
            only_for(&CLIP2GAN, flag, "does not extend a trained generator", args)?;
        }
    }
    if args.text.is_some() && args.system.as_ref() == Some(&CLIP2GAN.system_name()) {
        return Err(Error::user("--text: clip2gan does not read captions in training")
            .hint("give the encoders of images and texts with --embedding"));
    }
    let embedding = match &args.embedding {
        Some(codes) if codes.as_os_str() == CODES => args.model.clone(),
        embedding => embedding.clone(),
    };
    let request = Request {
        system: args.system.clone(),
        data: args.data.clone(),
        model: args.model.clone().or(args.text.clone()),
        embedding,
        perceptual: args.perceptual.as_ref().map(ToString::to_string),
        eval: args.eval.clone(),
        eval_features: args.eval_features.as_ref().map(ToString::to_string),
        flags,
        reduce: args.ranks.reduce,
        ..args.training.request(common)
    };
    training::run(COMMAND, &request, common, terminal)
}
