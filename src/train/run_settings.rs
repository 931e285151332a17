//! The settings of a run that do not depend on its stage, and their defaults.

use serde::{Deserialize, Serialize};

use super::plan::Plan;
use super::request::Request;
use crate::error::{Error, Result, positive};
use crate::settings::limits::{MAX_KIMG, within};

/// Default of `run.snapshot_kimg`.
pub const SNAPSHOT_KIMG: f64 = 20.0;
/// Default of `run.state_minutes`.
pub const STATE_MINUTES: f64 = 5.0;
/// Default of `run.keep_models`.
pub const KEEP_MODELS: usize = 3;
/// Minutes until the first pictures of a run, so that a wrong set-up shows early.
const FIRST_PICTURES_MINUTES: f64 = 0.75;
/// Minutes after a report until a tick writes it again.
const REPORT_MINUTES: f64 = 0.5;
/// Upper limit of the number of files that a run keeps.
const MAX_KEPT: usize = 1_000_000;

/// The settings of a run that do not depend on its stage: the table `[run]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunSettings {
    /// Command that started the run.
    pub command: String,
    /// Last part of the run directory's name.
    pub name: String,
    /// Seed of every random draw.
    pub seed: u64,
    /// Length of the training in thousands of images.
    pub kimg: f64,
    /// Hash of the archive.
    pub data: String,
    /// Hash of the model that the run starts from; empty for none.
    pub model: String,
    /// Hash of the model of encoders that the run reads in addition; empty for none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub embedding: String,
    /// Identity of the evaluation: the features and the archive's hash; empty for none.
    #[serde(default)]
    pub eval: String,
    /// Identity of the perceptual loss's features; empty for runs without that loss.
    #[serde(default)]
    pub perceptual: String,
    /// Identity of the frozen network whose features further discriminators judge; empty for none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub vision: String,
    /// Thousands of images between two lines of metrics.
    pub tick_kimg: f64,
    /// Thousands of images between two snapshots.
    pub snapshot_kimg: f64,
    /// Minutes after a snapshot until an additional one.
    pub snapshot_minutes: f64,
    /// Minutes after a checkpoint until an additional one.
    pub state_minutes: f64,
    /// Number of newest checkpoints to keep; 0 keeps all.
    pub keep_states: usize,
    /// Number of newest models to keep, in addition to the best one; 0 keeps all.
    pub keep_models: usize,
}

impl RunSettings {
    pub(super) fn defaults(command: &str, name: &str, seed: u64, kimg: f64) -> Self {
        Self {
            command: command.to_owned(),
            name: name.to_owned(),
            seed,
            kimg,
            data: String::new(),
            model: String::new(),
            embedding: String::new(),
            eval: String::new(),
            perceptual: String::new(),
            vision: String::new(),
            tick_kimg: 1.0,
            snapshot_kimg: SNAPSHOT_KIMG,
            snapshot_minutes: 60.0,
            state_minutes: STATE_MINUTES,
            keep_states: 2,
            keep_models: KEEP_MODELS,
        }
    }

    /// Overrides the settings that the request contains.
    pub(super) fn override_with(&mut self, args: &Request) {
        self.kimg = args.kimg.unwrap_or(self.kimg);
        self.snapshot_kimg = args.snapshot_kimg.unwrap_or(self.snapshot_kimg);
        self.state_minutes = args.state_minutes.unwrap_or(self.state_minutes);
        self.keep_models = args.keep_models.unwrap_or(self.keep_models);
    }

    pub(super) fn check(&self) -> Result<()> {
        positive("--kimg (run.kimg)", self.kimg)?;
        if self.kimg > MAX_KIMG {
            return Err(Error::user(format!("--kimg (run.kimg) is {}", self.kimg))
                .hint("the unit is a thousand images; 25000 is a long run"));
        }
        positive("run.tick_kimg", self.tick_kimg)?;
        positive("--snapshot-kimg (run.snapshot_kimg)", self.snapshot_kimg)?;
        positive("run.snapshot_minutes", self.snapshot_minutes)?;
        positive("--state-minutes (run.state_minutes)", self.state_minutes)?;
        within("run.keep_states", self.keep_states, 0..=MAX_KEPT)?;
        within("--keep-models (run.keep_models)", self.keep_models, 0..=MAX_KEPT)
    }

    /// The schedule for the driver.
    pub fn plan(&self) -> Plan {
        let images = |kimg: f64| (kimg * 1000.0).round().max(0.0) as u64;
        Plan {
            // Less than an image would end without a model.
            until_nimg: images(self.kimg).max(1),
            tick_nimg: images(self.tick_kimg).max(1),
            snapshot_nimg: images(self.snapshot_kimg).max(1),
            snapshot_minutes: Some(self.snapshot_minutes),
            first_pictures_minutes: Some(FIRST_PICTURES_MINUTES),
            state_nimg: images(self.snapshot_kimg).max(1),
            state_minutes: Some(self.state_minutes),
            report_minutes: Some(REPORT_MINUTES),
            tensorboard: false,
            keep_states: self.keep_states,
            keep_models: self.keep_models,
        }
    }
}
