//! One training command: what it is asked for, where it runs, how it ends.

use std::path::PathBuf;

use super::evaluator::OpenEvaluator;
use super::events::{Event, EventSink};
use crate::device::{self, Choice};
use crate::error::Result;
use crate::interrupt::{Interrupt, Signal};
use crate::model::{Model, Section};
use crate::settings::Layers;

/// A stage of a system that can be trained.
pub trait Stage: Sync {
    /// The section of a model that it writes. Its name is that of the stage's table of settings,
    /// its command that of the command line.
    fn section(&self) -> &'static Section;

    /// Whether a request with these settings means this stage, of several with the same command.
    fn accepts(&self, _request: &Request, _settings: &Layers) -> bool {
        true
    }

    /// Trains, or resumes a run.
    ///
    /// # Errors
    /// If the request, its inputs or its settings do not fit, the disk fails, or training diverges.
    fn train(&self, request: &Request, context: &mut Context) -> Result<TrainingOutcome>;
}

/// What a user asks of a training command.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// Name of the preset.
    pub preset: Option<String>,
    /// TOML file with settings that override the preset.
    pub config: Option<PathBuf>,
    /// Settings that override those.
    pub flags: Layers,
    /// `KEY=VALUE` assignments that override all of them.
    pub set: Vec<String>,
    /// What the networks are conditioned on, for systems that offer the choice.
    pub condition: Option<Condition>,
    /// Seed of every draw; 0 unless given.
    pub seed: Option<u64>,
    /// Thousands of images to see.
    pub kimg: Option<f64>,
    /// Thousands of images between snapshots.
    pub snapshot_kimg: Option<f64>,
    /// Minutes between checkpoints.
    pub state_minutes: Option<f64>,
    /// Newest models that are kept, besides the best; 0 keeps all.
    pub keep_models: Option<usize>,
    /// The archive.
    pub data: Option<PathBuf>,
    /// The model that the run starts from.
    pub model: Option<PathBuf>,
    /// Features of the perceptual loss, as on the command line.
    pub perceptual: Option<String>,
    /// The archive that snapshots are measured against.
    pub eval: Option<PathBuf>,
    /// Features of that measure, as on the command line.
    pub eval_features: Option<String>,
    /// Folder for the run's own folder.
    pub out: Option<PathBuf>,
    /// Run to resume, instead of a new one.
    pub resume: Option<PathBuf>,
    /// Only resolve the settings and measure one iteration.
    pub dry_run: bool,
}

impl Request {
    /// The settings that were given, merged: preset < file < flags < assignments. Of a run that is
    /// resumed, its own.
    ///
    /// # Errors
    /// If the preset is unknown, or a file or an assignment cannot be read.
    pub fn settings(&self) -> Result<Layers> {
        match &self.resume {
            Some(run) => Layers::new().file(&run.join(crate::run_files::CONFIG)),
            None => self.given(&[]),
        }
    }

    /// The settings that were given, whether a run is resumed or not. Of the file's table `[run]`
    /// the keys `without` are left out.
    pub(super) fn given(&self, without: &[&str]) -> Result<Layers> {
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

/// `--condition`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// The classes of the archive.
    Class,
    /// Captions.
    Text,
}

/// Where a training runs.
pub struct Context<'a> {
    /// The device to open.
    pub device: Choice,
    /// Asked between steps.
    pub interrupt: &'a Interrupt,
    /// Told about everything that happens.
    pub events: &'a mut dyn EventSink,
    /// The sections of all systems; see [`Section::fitted_to`].
    pub sections: &'a [&'static Section],
    /// Names of all tables of settings files.
    pub tables: &'a [&'static str],
    /// Opens what snapshots are measured with.
    pub open_evaluator: OpenEvaluator,
}

impl Context<'_> {
    /// Opens the device and says which one it is.
    ///
    /// # Errors
    /// If there is no such device.
    pub fn open_device(&mut self) -> Result<burn::tensor::Device> {
        let opened = device::open(self.device)?;
        self.events.emit(&match self.device == Choice::Auto && opened.is_cpu {
            true => Event::Note(format!("no GPU found, computing on the {}", opened.name)),
            false => Event::Detail(format!("computing on {}", opened.name)),
        });
        Ok(opened.device)
    }

    /// Tells the user something.
    pub fn note(&mut self, text: impl Into<String>) {
        self.events.emit(&Event::Note(text.into()));
    }

    /// Warns the user.
    pub fn warn(&mut self, text: impl Into<String>) {
        self.events.emit(&Event::Warning(text.into()));
    }

    /// Shows that `done` of `total` are done.
    pub fn progress(&mut self, what: &str, done: usize, total: usize) {
        let what = what.to_owned();
        self.events.emit(&Event::Working { what, done: done as u64, total: total as u64 });
    }

    /// Removes the sections of `model` that were fitted to `replaced`, and says so.
    pub fn discard_dependents(&mut self, model: &mut Model, replaced: &Section) {
        for section in self.sections.iter().filter(|section| section.depends_on(replaced)) {
            if model.has(section) {
                self.note(format!(
                    "the model's section `{}` was fitted to the codes that this training replaces: \
                     train it again with `cigan {}`",
                    section.name, section.command
                ));
                model.remove_section(section);
            }
        }
    }
}

/// How a training ended.
#[derive(Debug, Clone, PartialEq)]
pub enum TrainingOutcome {
    /// All images were seen.
    Finished {
        /// The run directory.
        run: PathBuf,
    },
    /// The user interrupted it; everything is saved.
    Interrupted(Signal),
    /// Nothing was trained.
    DryRun {
        /// The resolved settings, TOML.
        config: String,
        /// Peak memory of one iteration and its pictures in MB, where the system tells it.
        peak_mb: Option<f64>,
    },
}
