//! One training command: the request, the context that it runs in, and the outcome.

use std::path::PathBuf;

use toml::Table;

use super::evaluator::OpenEvaluator;
use super::events::{Event, EventSink};
use super::request::Request;
use super::space::Space;
use crate::device::{self, Choice};
use crate::error::Result;
use crate::interrupt::{Interrupt, Signal};
use crate::model::Section;
use crate::ranks::Ranks;
use crate::settings::Layers;
use crate::settings::limits::check_memory;

/// A trainable stage of a system.
pub trait Stage: Sync {
    /// The section that the stage writes into a model. The section's name is also the name of the
    /// stage's settings table, and its command is the command on the command line.
    fn section(&self) -> &'static Section;

    /// The settings of the stage as its table: its defaults for images of `resolution`, overridden
    /// by `layers`.
    ///
    /// # Errors
    /// If a setting is unknown or out of range.
    fn settings(&self, resolution: usize, layers: &Layers) -> Result<Table>;

    /// Whether this stage handles a request with these settings. It decides between stages that
    /// share a command.
    fn accepts(&self, _request: &Request, _settings: &Layers) -> bool {
        true
    }

    /// Whether several processes can train it together; see [`Context::ranks`].
    fn runs_on_ranks(&self) -> bool {
        false
    }

    /// Starts or resumes a run.
    ///
    /// # Errors
    /// Fails if the request, its inputs or its settings are invalid, if a file cannot be read or
    /// written, or if training diverges.
    fn train(&self, request: &Request, context: &mut Context) -> Result<TrainingOutcome>;
}

/// The surroundings of a training command: device, interrupt, event sink, and the registry's data.
pub struct Context<'a> {
    /// Device to open.
    pub device: Choice,
    /// Checked between steps.
    pub interrupt: &'a Interrupt,
    /// Receives all events.
    pub events: &'a mut dyn EventSink,
    /// The sections of all systems. See [`Section::fitted_to`].
    pub sections: &'a [&'static Section],
    /// Names of all tables that a settings file may contain.
    pub tables: &'a [&'static str],
    /// Opens the evaluator for snapshots.
    pub open_evaluator: OpenEvaluator,
    /// The ranks that train together.
    pub ranks: Ranks,
    /// Model of the opened device; empty before it is opened.
    pub device_model: String,
}

impl Context<'_> {
    /// Opens the device and reports which one it is.
    ///
    /// # Errors
    /// Fails if the device does not exist, or if it is the CPU and the `least_memory` of training, in
    /// bytes, is more than the machine has. The memory of a GPU is not known.
    pub fn open_device(&mut self, least_memory: u64) -> Result<burn::tensor::Device> {
        let opened = device::open_for(self.device, self.ranks.local_rank())?;
        self.device_model.clone_from(&opened.model);
        if opened.is_cpu {
            check_memory(least_memory)?;
        }
        self.events.emit(&match self.device == Choice::Auto && opened.is_cpu {
            true => Event::Note(format!("no GPU found, computing on the {}", opened.name)),
            false => Event::Detail(format!("computing on {}", opened.name)),
        });
        Ok(opened.device)
    }

    /// Emits a note for the user.
    pub fn note(&mut self, text: impl Into<String>) {
        self.events.emit(&Event::Note(text.into()));
    }

    /// Emits a warning for the user.
    pub fn warn(&mut self, text: impl Into<String>) {
        self.events.emit(&Event::Warning(text.into()));
    }

    /// Reports that `done` of `total` items of the work `what` are done.
    pub fn progress(&mut self, what: &str, done: usize, total: usize) {
        let what = what.to_owned();
        self.events.emit(&Event::Working { what, done: done as u64, total: total as u64 });
    }
}

/// How a training command ended.
#[derive(Debug, Clone, PartialEq)]
pub enum TrainingOutcome {
    /// The run has seen all its images.
    Finished {
        /// The run directory.
        run: PathBuf,
    },
    /// A signal stopped the run. All its work is saved.
    Interrupted(Signal),
    /// The command was a dry run; nothing was saved.
    DryRun {
        /// The resolved settings as TOML.
        config: String,
        /// Peak memory of one iteration and its pictures in MB, if the system reports it.
        peak_mb: Option<f64>,
        /// Length of the training in thousands of images.
        kimg: f64,
        /// Measured time per thousand images in seconds, without snapshots.
        seconds_per_kimg: f64,
        /// Disk space that the run would take.
        space: Space,
    },
}
