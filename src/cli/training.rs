//! Flags and output that all training commands share.

use std::path::PathBuf;

use clap::Args;

use super::Done;
use super::common::Common;
use super::terminal::Terminal;
use crate::error::Result;
use crate::pipeline;
use crate::train::{Request, TrainingOutcome};

/// Flags of everything that trains.
#[derive(Debug, Clone, Args)]
pub struct TrainingArgs {
    /// Folder in which the run gets a numbered folder of its own.
    ///
    /// [default: runs]
    #[arg(long, value_name = "RUNS", conflicts_with = "resume")]
    pub out: Option<PathBuf>,
    /// Settings to start from; `cigan config show` lists them [default: those of the paper's
    /// codes, for a day or more on a GPU].
    #[arg(long, value_name = "NAME")]
    pub preset: Option<String>,
    /// Settings of one's own, TOML, on top of the preset.
    #[arg(long, value_name = "FILE.toml")]
    pub config: Option<PathBuf>,
    /// One setting, on top of those; may be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Images to see, in thousands; fractions are allowed [default: the preset's].
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    pub kimg: Option<f64>,
    /// Go on with a run, exactly where it was.
    #[arg(long, value_name = "RUN")]
    pub resume: Option<PathBuf>,
    /// Print the resolved settings and the memory of one iteration; write nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Thousands of images between two snapshots (pictures, model, evaluation) [default: 20].
    #[arg(long, value_name = "X")]
    pub snapshot_kimg: Option<f64>,
    /// Minutes between two training states [default: 5].
    #[arg(long, value_name = "X")]
    pub state_minutes: Option<f64>,
    /// Newest models that stay, besides the best; 0 for all [default: 10].
    #[arg(long, value_name = "N")]
    pub keep_models: Option<usize>,
}

impl TrainingArgs {
    /// The request that these flags make.
    pub fn request(&self, common: &Common) -> Request {
        Request {
            preset: self.preset.clone(),
            config: self.config.clone(),
            set: self.set.clone(),
            seed: common.seed,
            kimg: self.kimg,
            snapshot_kimg: self.snapshot_kimg,
            state_minutes: self.state_minutes,
            keep_models: self.keep_models,
            out: self.out.clone(),
            resume: self.resume.clone(),
            dry_run: self.dry_run,
            ..Request::default()
        }
    }
}

/// Runs a training command and prints how it ends.
pub fn run(
    command: &str,
    request: &Request,
    common: &Common,
    terminal: &mut Terminal,
) -> Result<Done> {
    let interrupt = terminal.interrupt().clone();
    match pipeline::train(command, request, common.device, &interrupt, terminal)? {
        TrainingOutcome::Finished { .. } => Ok(Done::Finished),
        TrainingOutcome::Interrupted(signal) => Ok(Done::Interrupted(signal)),
        TrainingOutcome::DryRun { config, peak_mb } => {
            terminal.print(&config);
            terminal.note(&match peak_mb {
                Some(mb) => format!(
                    "one iteration and its pictures take up to {mb:.0} MB of this machine's memory"
                ),
                None => "memory: not known on this system".to_owned(),
            });
            Ok(Done::Finished)
        }
    }
}
