//! The reports of a whole training: its choices, its events and its outcome.

use std::path::PathBuf;
use std::time::Duration;

use super::facts::Facts;
use super::schedule::StageLength;
use crate::train::{EventSink, Signal};

/// How a whole training ended.
#[derive(Debug, Clone, PartialEq)]
pub enum WholeOutcome {
    /// The model is trained.
    Finished {
        /// The run directory.
        run: PathBuf,
    },
    /// A signal stopped the run. All its work is saved, unless it had only been prepared.
    Interrupted {
        /// The run directory.
        run: PathBuf,
        /// The signal.
        signal: Signal,
    },
}

/// The choices made before the training starts, with their reasons.
#[derive(Debug, Clone, PartialEq)]
pub struct Choices {
    /// The data of the archive.
    pub facts: Facts,
    /// Warnings about missing images or captions, each with a remedy.
    pub warnings: Vec<String>,
    /// Preset of all stages.
    pub preset: String,
    /// The reason for the preset, if the program chose it; absent in the runs of earlier versions.
    pub why: Option<String>,
    /// The settings that matter most, and the quality to expect, as sentences.
    pub outlook: Vec<String>,
    /// The stages with their lengths and measured speeds.
    pub stages: Vec<StageLength>,
    /// Name of the device.
    pub device: String,
}

impl Choices {
    /// Estimated time of all stages.
    pub fn time(&self) -> Duration {
        self.stages.iter().map(StageLength::time).sum()
    }

    /// Estimated disk space of all stages in bytes; 0 if it was not measured.
    pub fn bytes(&self) -> u64 {
        self.stages.iter().map(|stage| stage.bytes).sum()
    }
}

/// Receives the events of a whole training.
pub trait WholeSink: EventSink {
    /// Receives the choices before the training starts or resumes.
    fn chosen(&mut self, choices: &Choices);
}
