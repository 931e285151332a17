//! `cigan train-damsm`: trains the image–text encoder of the baselines.

use std::path::PathBuf;

use clap::Args;

use super::common::Common;
use super::done::Done;
use super::terminal::Terminal;
use super::training::{self, RanksArgs, TrainingArgs};
use crate::error::Result;
use crate::systems::damsm::DAMSM;
use crate::train::Request;

/// Train DAMSM, the encoder of images and captions that the baselines use.
///
/// It needs captions, but no other model. Images without captions also train its image encoder.
/// `cigan generate --rank-by MODEL` ranks images with it.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  cigan train-damsm --data birds32.zip --preset baseline32
  cigan train-damsm --data birds32.zip --preset baseline32 --set damsm.loss.gamma1=5
  cigan train-damsm --resume runs/00000-train-damsm-baseline32")]
pub struct TrainDamsmArgs {
    /// Archive with captions, made by `cigan data prepare`.
    #[arg(long, value_name = "FILE.zip", required_unless_present = "resume")]
    pub data: Option<PathBuf>,
    #[command(flatten)]
    pub training: TrainingArgs,
    #[command(flatten)]
    pub ranks: RanksArgs,
}

pub(super) fn run(args: &TrainDamsmArgs, common: &Common, terminal: &mut Terminal) -> Result<Done> {
    let request = Request {
        data: args.data.clone(),
        reduce: args.ranks.reduce,
        ..args.training.request(common)
    };
    training::run(DAMSM.command, &request, common, terminal)
}
