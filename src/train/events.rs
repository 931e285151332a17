//! The events that a run emits. The sink decides which ones to show; nothing here prints.

use std::path::PathBuf;
use std::time::Duration;

use crate::report::Metrics;

/// Something that happened during a run.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A run starts, or resumes at `resumed_at` images.
    Started { dir: PathBuf, resumed_at: Option<u64> },
    /// The progress of the run, at most ten times a second. `total` counts images, like `nimg`.
    Progress { nimg: u64, total: u64, images_per_second: f64, eta: Option<Duration> },
    /// The progress of work other than training steps, such as encoding images: `done` of `total`.
    Working { what: String, done: u64, total: u64 },
    /// Means since the last tick, as written to `metrics.jsonl`.
    Tick { nimg: u64, metrics: Metrics },
    /// A file was written completely.
    Saved { path: PathBuf, what: Artifact },
    /// Information for every user.
    Note(String),
    /// Information for users who ask for details (`--verbose`).
    Detail(String),
    /// A problem that does not stop the run. The text names the cause and the remedy.
    Warning(String),
    /// A signal stopped the run. All its work is saved, and `--resume dir` continues at `nimg`.
    Interrupted { dir: PathBuf, nimg: u64, command: String },
    /// The run has seen all its images.
    Finished { dir: PathBuf, nimg: u64 },
}

/// The kind of a saved file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Artifact {
    /// A checkpoint, from which training can be resumed.
    State,
    /// A model for use.
    Model,
    /// The model with the lowest score so far.
    BestModel,
    /// Pictures, such as a grid of samples.
    Pictures,
    /// The HTML report of the run.
    Report,
    /// Latent codes of all images of the archive.
    Codes,
}

impl Artifact {
    /// The name of the kind in messages, such as `checkpoint`.
    pub fn name(self) -> &'static str {
        match self {
            Artifact::State => "checkpoint",
            Artifact::Model => "model",
            Artifact::BestModel => "best model",
            Artifact::Pictures => "pictures",
            Artifact::Report => "report",
            Artifact::Codes => "codes",
        }
    }
}

/// A receiver of [`Event`]s. Every `FnMut(&Event) + Send` is one.
pub trait EventSink: Send {
    /// Handles one event.
    fn emit(&mut self, event: &Event);
}

impl<F: FnMut(&Event) + Send> EventSink for F {
    fn emit(&mut self, event: &Event) {
        self(event)
    }
}

/// A sink that discards all events.
#[derive(Debug, Clone, Copy, Default)]
pub struct NullSink;

impl EventSink for NullSink {
    fn emit(&mut self, _: &Event) {}
}

impl Event {
    /// The event as a line of `log.txt`, without time of day and path. `None` for events that are
    /// not logged.
    pub(super) fn log_line(&self) -> Option<String> {
        Some(match self {
            Event::Started { resumed_at: None, .. } => "started".into(),
            Event::Started { resumed_at: Some(nimg), .. } => format!("resumed at {nimg} images"),
            Event::Progress { .. } | Event::Working { .. } | Event::Detail(_) => return None,
            Event::Tick { nimg, metrics } => {
                let numbers: Vec<_> =
                    metrics.iter().map(|(name, value)| format!("{name} {value:.4}")).collect();
                format!("tick at {nimg} images: {}", numbers.join(", "))
            }
            Event::Saved { path, what } => {
                let file = path.file_name().unwrap_or_default();
                format!("saved {}: {}", what.name(), file.display())
            }
            Event::Note(text) => format!("note: {text}"),
            Event::Warning(text) => format!("warning: {text}"),
            Event::Interrupted { nimg, .. } => {
                format!("interrupted at {nimg} images; all work is saved")
            }
            Event::Finished { nimg, .. } => format!("finished at {nimg} images"),
        })
    }
}
