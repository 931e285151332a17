//! One training command: the request, the context that it runs in, and the outcome.

use std::path::PathBuf;

use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::Table;

use super::evaluator::OpenEvaluator;
use super::events::{Event, EventSink};
use super::setup::Setup;
use crate::device::{self, Choice};
use crate::error::Result;
use crate::interrupt::{Interrupt, Signal};
use crate::model::{Model, Section};
use crate::settings::limits::check_memory;
use crate::settings::{Checked, Layers};

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

    /// Starts or resumes a run.
    ///
    /// # Errors
    /// Fails if the request, its inputs or its settings are invalid, if a file cannot be read or
    /// written, or if training diverges.
    fn train(&self, request: &Request, context: &mut Context) -> Result<TrainingOutcome>;
}

/// The options of a training command.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// Name of the preset.
    pub preset: Option<String>,
    /// TOML file with settings that override the preset.
    pub config: Option<PathBuf>,
    /// Settings from flags, which override the file.
    pub flags: Layers,
    /// `KEY=VALUE` assignments that override the flags.
    pub set: Vec<String>,
    /// The kind of condition, for systems that offer a choice.
    pub condition: Option<Condition>,
    /// Seed of every random draw; 0 by default.
    pub seed: Option<u64>,
    /// Length of the training in thousands of images.
    pub kimg: Option<f64>,
    /// Thousands of images between snapshots.
    pub snapshot_kimg: Option<f64>,
    /// Minutes between checkpoints.
    pub state_minutes: Option<f64>,
    /// Number of newest models to keep, in addition to the best one; 0 keeps all.
    pub keep_models: Option<usize>,
    /// Write an event file for TensorBoard as well.
    pub tensorboard: bool,
    /// Archive with the training images.
    pub data: Option<PathBuf>,
    /// Model that the run starts from.
    pub model: Option<PathBuf>,
    /// Features of the perceptual loss, as written on the command line.
    pub perceptual: Option<String>,
    /// Archive that snapshots are evaluated on.
    pub eval: Option<PathBuf>,
    /// Features for the evaluation, as written on the command line.
    pub eval_features: Option<String>,
    /// Folder in which the run directory is created.
    pub out: Option<PathBuf>,
    /// Run directory to resume. Without it, a new run starts.
    pub resume: Option<PathBuf>,
    /// Resolve the settings and run one iteration, without creating a run.
    pub dry_run: bool,
}

impl Request {
    /// The settings of the request, merged: preset < file < flags < assignments. If a run is
    /// resumed, these are the settings of that run.
    ///
    /// # Errors
    /// Fails if the preset is unknown, or if a file or an assignment cannot be parsed.
    pub fn settings(&self) -> Result<Layers> {
        match &self.resume {
            Some(run) => {
                crate::run_files::check_run(run)?;
                Layers::new().file(&run.join(crate::run_files::CONFIG))
            }
            None => self.merged_settings(&[]),
        }
    }

    /// The settings of the request, merged, even if a run is resumed. Leaves the keys `without`
    /// out of the file's table `[run]`.
    pub(super) fn merged_settings(&self, without: &[&str]) -> Result<Layers> {
        let mut layers = Layers::new();
        if let Some(name) = &self.preset {
            layers = layers.preset(name)?;
        }
        if let Some(file) = &self.config {
            layers = layers.file(file)?.without("run", without);
        }
        layers = layers.over(&self.flags);
        for assignment in &self.set {
            layers = layers.assign(assignment)?;
        }
        Ok(layers)
    }
}

/// The kind of condition that the networks are trained with (`--condition`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// The classes of the archive's images.
    Class,
    /// The captions of the archive's images.
    Text,
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
}

impl Context<'_> {
    /// Opens the device and reports which one it is.
    ///
    /// # Errors
    /// Fails if the device does not exist, or if it is the CPU and training with `settings` cannot
    /// fit into the memory of the machine. The memory of a GPU is not known.
    pub fn open_device(&mut self, settings: &impl Checked) -> Result<burn::tensor::Device> {
        let opened = device::open(self.device)?;
        if opened.is_cpu {
            check_memory(settings.least_memory())?;
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

    /// Opens the model that a run of `section` extends. Removes the sections that were fitted to
    /// what the run replaces, with a note for each.
    ///
    /// # Errors
    /// Those of [`Setup::open_base`].
    pub fn open_base<T>(&mut self, setup: &mut Setup<T>, section: &Section) -> Result<Model>
    where
        T: Serialize + DeserializeOwned + Checked,
    {
        let mut model = setup.open_base()?;
        for dependent in self.sections.iter().filter(|other| other.depends_on(section)) {
            if model.has(dependent) {
                self.note(format!(
                    "the new model will not contain the section `{}`, because it was fitted to the \
                     old `{}`; train it again with `cigan {}`",
                    dependent.name, section.name, dependent.command
                ));
                model.remove_section(dependent);
            }
        }
        Ok(model)
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
    },
}
