//! `cigan train-style`: trains the network that reads the style of images.

use std::path::PathBuf;

use clap::Args;

use super::common::Common;
use super::done::Done;
use super::terminal::Terminal;
use super::training::{self, RanksArgs, TrainingArgs};
use crate::error::Result;
use crate::systems::text_gan::style::STYLE;
use crate::train::Request;

/// Train a style encoder, which `restyle` needs.
///
/// It extends a model of `train-baseline` with a network that finds the noise of an image: all that
/// its text does not say, such as the pose and the background. It is trained on images that the model
/// generates for the captions of the archive.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  cigan train-style --data birds32.zip --preset baseline32 --model RUN
  cigan restyle --model runs/00002-train-style-baseline32 --image bird.jpg --text \"a red bird\"
  cigan train-style --resume runs/00002-train-style-baseline32")]
pub struct TrainStyleArgs {
    /// Archive with captions, made by `cigan data prepare`.
    #[arg(long, value_name = "FILE.zip", required_unless_present = "resume")]
    pub data: Option<PathBuf>,
    /// Model file or run directory of `train-baseline`, trained with captions.
    #[arg(long, value_name = "BASELINE", required_unless_present = "resume")]
    pub model: Option<PathBuf>,
    #[command(flatten)]
    pub training: TrainingArgs,
    #[command(flatten)]
    pub ranks: RanksArgs,
}

pub(super) fn run(args: &TrainStyleArgs, common: &Common, terminal: &mut Terminal) -> Result<Done> {
    let request = Request {
        data: args.data.clone(),
        model: args.model.clone(),
        reduce: args.ranks.reduce,
        ..args.training.request(common)
    };
    training::run(STYLE.command, &request, common, terminal)
}
