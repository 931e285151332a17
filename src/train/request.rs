//! The options of a training command.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::model::Section;
use crate::ranks::Reduce;
use crate::run_files::{CONFIG, check_resumable};
use crate::settings::{Layers, RUN};

/// Keys of `[run]` that identify a run. They follow from the command and cannot be set.
pub(super) const IDENTITY: [&str; 8] =
    ["command", "name", "data", "model", "embedding", "eval", "perceptual", "vision"];

/// The options of a training command.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// Name of the preset.
    pub preset: Option<String>,
    /// Settings that follow from the model of the request; they override the preset.
    pub inherited: Layers,
    /// TOML file with settings that override the preset.
    pub config: Option<PathBuf>,
    /// Settings from flags, which override the file.
    pub flags: Layers,
    /// `KEY=VALUE` assignments that override the flags.
    pub set: Vec<String>,
    /// The kind of condition, as written on the command line, for systems that offer a choice.
    pub condition: Option<String>,
    /// The system to train, as written on the command line, for commands that train one of several.
    pub system: Option<String>,
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
    /// Model of encoders that the run reads in addition.
    pub embedding: Option<PathBuf>,
    /// Features of the perceptual loss, as written on the command line.
    pub perceptual: Option<String>,
    /// Frozen network whose features further discriminators judge, as written on the command line.
    pub vision: Option<String>,
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
    /// How ranks add up gradients.
    pub reduce: Reduce,
}

impl Request {
    /// The settings of the request, merged: preset < those of its model < file < flags <
    /// assignments. If a run is resumed, these are the settings of that run.
    ///
    /// # Errors
    /// Fails if the preset is unknown, or if a file or an assignment cannot be parsed.
    pub fn settings(&self) -> Result<Layers> {
        match &self.resume {
            Some(run) => {
                check_resumable(run)?;
                Layers::new().file(&run.join(CONFIG))
            }
            None => self.merged_settings(&[]),
        }
    }

    /// Whether the request means the system that writes `section`: the one of `--system`, or the
    /// one whose settings the resumed run has.
    pub fn means_system(&self, section: &Section, settings: &Layers) -> bool {
        match &self.resume {
            Some(_) => settings.table().contains_key(section.name),
            None => self.system.as_deref() == Some(section.system_name().as_str()),
        }
    }

    /// A note if the file of settings is the `config.toml` of a run: its keys [`IDENTITY`] say nothing
    /// about a new run.
    ///
    /// # Errors
    /// Fails if the file cannot be parsed, or if it is of no run but sets one of these keys.
    pub(super) fn note_on_copied_run(&self, section: &Section) -> Result<Option<String>> {
        let Some(path) = &self.config else { return Ok(None) };
        let file = Layers::new().file(path)?;
        let sets = |key: &str| file.get(&format!("{RUN}.{key}")).is_some();
        let Some(key) = IDENTITY.into_iter().find(|key| sets(key)) else { return Ok(None) };
        let path = path.display();
        if !["command", "name", "data"].into_iter().all(sets) {
            return Err(follows_from_the_command(&path.to_string(), key));
        }
        let unread = match file.get(section.name) {
            Some(_) => String::new(),
            None => format!("; it has no table [{}]", section.name),
        };
        Ok(Some(format!(
            "--config {path}: the settings of another run are used, except for its command, name and \
             inputs{unread}"
        )))
    }

    /// The settings of the request, merged, even if a run is resumed. Leaves the keys `without`
    /// out of the file's table `[run]`.
    pub(super) fn merged_settings(&self, without: &[&str]) -> Result<Layers> {
        let mut layers = Layers::new();
        if let Some(name) = &self.preset {
            layers = layers.preset(name)?;
        }
        layers = layers.over(&self.inherited);
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

/// The error for a key of `[run]` that cannot be set; `place` is a file or a flag.
pub(super) fn follows_from_the_command(place: &str, key: &str) -> Error {
    Error::user(format!(
        "{place}: {RUN}.{key}: the key cannot be set, because it follows from the command"
    ))
    .hint("remove it")
}

/// The error for `--resume` with a run of another command than `command`.
pub(crate) fn of_another_command(run: &Path, owner: &str, command: &str) -> Error {
    let run = run.display();
    Error::user(format!("--resume {run}: the run belongs to `{owner}`, not to `{command}`"))
        .hint(format!("use `cigan {owner} --resume {run}`"))
}
