//! Flags and output of the training commands.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::common::Common;
use super::done::Done;
use super::terminal::{Terminal, human};
use crate::error::Result;
use crate::pipeline;
use crate::ranks::{self, Reduce};
use crate::train::run_settings::{KEEP_MODELS, SNAPSHOT_KIMG, STATE_MINUTES};
use crate::train::{Request, TrainingOutcome};

/// Flags of the training commands.
#[derive(Debug, Clone, Args)]
pub struct TrainingArgs {
    /// Folder for runs; each run gets a numbered subfolder [default: runs].
    #[arg(long, value_name = "RUNS", conflicts_with = "resume")]
    pub out: Option<PathBuf>,
    /// Preset to start from; `cigan config show` lists them [default: chosen by the resolution, the
    /// device and the number of images].
    ///
    /// Without a preset, settings of the sizes of the networks, in --config or --set, apply to the
    /// defaults of the command.
    #[arg(long, value_name = "NAME")]
    pub preset: Option<String>,
    /// TOML file with settings that override the preset.
    #[arg(long, value_name = "FILE.toml")]
    pub config: Option<PathBuf>,
    /// Setting that overrides the preset and --config; may be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Training length in thousands of images, such as 200 or 0.5 [default: the preset's].
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    pub kimg: Option<f64>,
    /// Resume a run exactly where it stopped.
    ///
    /// A folder of runs means the newest run of this command in it, and `latest` the newest one in
    /// the folder `runs`.
    #[arg(long, value_name = "RUN")]
    pub resume: Option<PathBuf>,
    /// Also write the metrics as an event file for TensorBoard (`tensorboard --logdir RUNS`).
    #[arg(long)]
    pub tensorboard: bool,
    /// Print the resolved settings, and the memory and time that training takes; write no files.
    #[arg(long)]
    pub dry_run: bool,
    #[arg(long, value_name = "X", help = format!(
        "Thousands of images between snapshots: a model and, where they apply, sample images and an \
         evaluation [default: {SNAPSHOT_KIMG}]"
    ))]
    pub snapshot_kimg: Option<f64>,
    #[arg(long, value_name = "X", help = format!(
        "Minutes between checkpoints for --resume [default: {STATE_MINUTES}]"
    ))]
    pub state_minutes: Option<f64>,
    #[arg(long, value_name = "N", help = format!(
        "Number of recent models to keep besides the best; 0 keeps all [default: {KEEP_MODELS}]"
    ))]
    pub keep_models: Option<usize>,
}

/// The flag of the training commands that run as several processes.
#[derive(Debug, Clone, Args)]
pub struct RanksArgs {
    /// Method for summing gradients across MPI processes: exact or fast.
    ///
    /// `exact` sums in the order of the batch, so that any number of processes computes the same
    /// bits as one. `fast` leaves the order to the MPI library.
    #[arg(long, value_name = "METHOD", default_value_t = Reduce::Exact)]
    pub reduce: Reduce,
}

impl TrainingArgs {
    /// Converts the flags to a training request.
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
            tensorboard: self.tensorboard,
            dry_run: self.dry_run,
            ..Request::default()
        }
    }
}

/// Runs a training command and prints its result. If mpirun started several processes, they train
/// together.
pub fn run(
    command: &str,
    request: &Request,
    common: &Common,
    terminal: &mut Terminal,
) -> Result<Done> {
    let (ranks, _session) = ranks::join(request.reduce)?;
    let interrupt = terminal.interrupt().clone();
    let trained =
        pipeline::train_among(&ranks, command, request, common.device, &interrupt, terminal);
    let outcome = trained.map_err(|error| match ranks.all_know() || ranks.size() == 1 {
        true => error,
        false => {
            // The others wait for this rank, so the job ends here.
            let error = error.context(ranks.name());
            terminal.unmute();
            terminal.error(&error);
            ranks.abort(error.kind.exit_code());
            error
        }
    })?;
    match outcome {
        TrainingOutcome::Finished { .. } => Ok(Done::Finished),
        TrainingOutcome::Interrupted(signal) => Ok(Done::Interrupted(signal)),
        TrainingOutcome::DryRun { config, peak_mb, kimg, seconds_per_kimg, space } => {
            terminal.print(&config);
            terminal.note(&match peak_mb {
                Some(mb) => format!(
                    "one iteration, including its sample images, uses up to {mb:.0} MB of memory"
                ),
                None => "memory use cannot be measured on this system".to_owned(),
            });
            let whole = Duration::try_from_secs_f64(kimg * seconds_per_kimg).unwrap_or_default();
            terminal.note(&format!(
                "{kimg} kimg take about {} at {seconds_per_kimg:.1} s/kimg, without snapshots",
                human(whole)
            ));
            terminal.note(&space.summary());
            Ok(Done::Finished)
        }
    }
}
