//! `cigan invert`: trains stage 2, the encoder.

use std::path::PathBuf;

use clap::Args;

use super::common::Common;
use super::done::Done;
use super::terminal::Terminal;
use super::training::{self, RanksArgs, TrainingArgs};
use crate::error::Result;
use crate::settings::Layers;
use crate::systems::cigan::inversion::INVERSION;
use crate::train::Request;
use crate::vision::PerceptualChoice;

/// Train the cycle-consistent encoder and encode all images with it (stage 2).
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  cigan invert --data birds32.zip --model runs/00000-train-stylegan-small32 --preset small32
  cigan invert --data birds32.zip --model M.safetensors --no-cycle     # ablation
  cigan invert --data birds32.zip --model NEW --transfer OLD        # start from an earlier encoder
  cigan invert --resume runs/00001-invert-small32")]
pub struct InvertArgs {
    /// Archive made by `cigan data prepare`.
    #[arg(long, value_name = "FILE.zip", required_unless_present = "resume")]
    pub data: Option<PathBuf>,
    /// Model file or run directory of stage 1.
    #[arg(long, value_name = "MODEL", required_unless_present = "resume")]
    pub model: Option<PathBuf>,
    /// Network for the perceptual loss: discriminator, vgg16=FILE or squeezenet=FILE
    /// [default: discriminator].
    ///
    /// Append ,layers=conv3_3+conv4_3 to FILE to choose layers, or ,lpips=FILE for LPIPS.
    #[arg(long, value_name = "FEATURES")]
    pub perceptual: Option<PerceptualChoice>,
    /// Train without cycle consistency, as an ablation: set the weights of its two losses to 0.
    #[arg(long)]
    pub no_cycle: bool,
    /// Latent space of the encoder [default: w].
    #[arg(long, value_name = "SPACE", value_parser = ["w", "w+"])]
    pub space: Option<String>,
    /// Start from the encoder of this model instead of random weights, for example one that was
    /// trained with an earlier version of the generator. Its architecture must be the same.
    #[arg(long, value_name = "MODEL", conflicts_with = "resume")]
    pub transfer: Option<PathBuf>,
    #[command(flatten)]
    pub training: TrainingArgs,
    #[command(flatten)]
    pub ranks: RanksArgs,
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
        embedding: args.transfer.clone(),
        perceptual: args.perceptual.as_ref().map(ToString::to_string),
        reduce: args.ranks.reduce,
        ..args.training.request(common)
    };
    training::run(INVERSION.command, &request, common, terminal)
}
