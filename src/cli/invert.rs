//! `cigan invert`: stage 2.

use std::path::PathBuf;

use clap::Args;

use super::Done;
use super::common::Common;
use super::terminal::Terminal;
use super::training::{self, TrainingArgs};
use crate::error::Result;
use crate::settings::Layers;
use crate::train::Request;
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
    let request = Request {
        flags: args.flags(),
        data: args.data.clone(),
        model: args.model.clone(),
        perceptual: args.perceptual.as_ref().map(ToString::to_string),
        ..args.training.request(common)
    };
    training::run("invert", &request, common, terminal)
}
