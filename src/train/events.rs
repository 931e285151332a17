//! What a run tells while it runs. Who listens decides what to show; nothing here prints.

use std::path::PathBuf;
use std::time::Duration;

use crate::report::Metrics;

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A run begins, or goes on at `resumed_at` images.
    Started { dir: PathBuf, resumed_at: Option<u64> },
    /// How far it is; ten times a second at most. `total` is in images, as `nimg` is.
    Progress { nimg: u64, total: u64, images_per_second: f64, eta: Option<Duration> },
    /// Work around the training, such as encoding images: `done` of `total` are done.
    Working { what: String, done: u64, total: u64 },
    /// Means since the last tick, as they stand in `metrics.jsonl`.
    Tick { nimg: u64, metrics: Metrics },
    /// A file stands whole on the disk.
    Saved { path: PathBuf, what: Artifact },
    /// Good to know.
    Note(String),
    /// Good to know for the curious.
    Detail(String),
    /// The run goes on, but the user may want to act: names cause and remedy.
    Warning(String),
    /// Everything is saved; `--resume dir` goes on at `nimg`.
    Interrupted { dir: PathBuf, nimg: u64, command: &'static str },
    /// The run has seen all its images.
    Finished { dir: PathBuf, nimg: u64 },
}

/// What a saved file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Artifact {
    /// Training goes on from it.
    State,
    /// For use.
    Model,
    /// The model with the lowest score so far.
    BestModel,
    Pictures,
    Report,
    /// Codes of all images of the archive.
    Codes,
}

impl Artifact {
    /// Its name in a sentence, such as `training state`.
    pub fn name(self) -> &'static str {
        match self {
            Artifact::State => "training state",
            Artifact::Model => "model",
            Artifact::BestModel => "best model",
            Artifact::Pictures => "pictures",
            Artifact::Report => "report",
            Artifact::Codes => "codes",
        }
    }
}

/// Who listens to [`Event`]s; every `FnMut(&Event)` does.
pub trait EventSink {
    /// Hears one event.
    fn emit(&mut self, event: &Event);
}

impl<F: FnMut(&Event)> EventSink for F {
    fn emit(&mut self, event: &Event) {
        self(event)
    }
}

/// Hears nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NullSink;

impl EventSink for NullSink {
    fn emit(&mut self, _: &Event) {}
}

impl Event {
    /// The event as a line of `log.txt`: no time of day, no path, no progress.
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
            Event::Interrupted { nimg, .. } => format!("interrupted at {nimg} images, all saved"),
            Event::Finished { nimg, .. } => format!("finished at {nimg} images"),
        })
    }
}
