//! `cigan train-captioner`: trains the network that reads captions off images.

use std::path::PathBuf;

use clap::Args;

use super::common::Common;
use super::done::Done;
use super::terminal::Terminal;
use super::training::{self, RanksArgs, TrainingArgs};
use crate::error::Result;
use crate::systems::captioner::CAPTIONER;
use crate::train::Request;

/// Train a captioner, which MirrorGAN needs.
///
/// It extends a model of `train-damsm`: its captions have the words of that model, and its image
/// encoder starts from that model's. `cigan train-baseline --system mirrorgan` takes the new model as
/// --text.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  cigan train-captioner --data birds32.zip --preset baseline32 \\
    --model runs/00000-train-damsm-baseline32
  cigan train-captioner --resume runs/00001-train-captioner-baseline32")]
pub struct TrainCaptionerArgs {
    /// Archive with captions, made by `cigan data prepare`.
    #[arg(long, value_name = "FILE.zip", required_unless_present = "resume")]
    pub data: Option<PathBuf>,
    /// Model file or run directory of `train-damsm`.
    #[arg(long, value_name = "DAMSM", required_unless_present = "resume")]
    pub model: Option<PathBuf>,
    #[command(flatten)]
    pub training: TrainingArgs,
    #[command(flatten)]
    pub ranks: RanksArgs,
}

pub(super) fn run(
    args: &TrainCaptionerArgs,
    common: &Common,
    terminal: &mut Terminal,
) -> Result<Done> {
    let request = Request {
        data: args.data.clone(),
        model: args.model.clone(),
        reduce: args.ranks.reduce,
        ..args.training.request(common)
    };
    training::run(CAPTIONER.command, &request, common, terminal)
}
