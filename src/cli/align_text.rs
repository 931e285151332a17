//! `cigan align-text`: trains stage 3, the text encoder.

use std::path::PathBuf;

use clap::Args;

use super::common::Common;
use super::done::Done;
use super::terminal::Terminal;
use super::training::{self, RanksArgs, TrainingArgs};
use crate::error::Result;
use crate::systems::cigan::text::TEXT;
use crate::train::Request;

/// Train a text encoder that maps captions to the codes of their images (stage 3).
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  cigan align-text --data birds32.zip --model runs/00001-invert-small32 --preset small32
  cigan align-text --data birds32.zip --model M.safetensors --set text.symmetric=true
  cigan align-text --resume runs/00002-align-text-small32")]
pub struct AlignTextArgs {
    /// Archive with captions, made by `cigan data prepare`.
    #[arg(long, value_name = "FILE.zip", required_unless_present = "resume")]
    pub data: Option<PathBuf>,
    /// Model file or run directory of stage 2.
    #[arg(long, value_name = "MODEL", required_unless_present = "resume")]
    pub model: Option<PathBuf>,
    #[command(flatten)]
    pub training: TrainingArgs,
    #[command(flatten)]
    pub ranks: RanksArgs,
}

pub(super) fn run(args: &AlignTextArgs, common: &Common, terminal: &mut Terminal) -> Result<Done> {
    let request = Request {
        data: args.data.clone(),
        model: args.model.clone(),
        reduce: args.ranks.reduce,
        ..args.training.request(common)
    };
    training::run(TEXT.command, &request, common, terminal)
}
