//! A run: its directory, and the driver's state that every checkpoint contains.

use super::directory::RunDirectory;
use super::events::EventSink;
use crate::error::Result;
use crate::interrupt::Interrupt;
use crate::model::Section;
use crate::tensorfile::TensorFile;

/// Metadata key of a checkpoint with the settings of the run that determine its result.
pub(crate) const SETTINGS: &str = "run.settings";

/// A run directory with the driver's state of the run.
#[derive(Debug)]
pub struct Run {
    /// The directory that the files are written to.
    pub directory: RunDirectory,
    /// The command that resumes the run, such as `invert`.
    pub command: String,
    /// Checked between steps.
    pub interrupt: Interrupt,
    /// The settings that determine the result, as TOML. Checkpoints contain them, so that a resumed
    /// run can tell whether they have changed. Empty for none.
    pub settings: String,
    /// The section of the models that the run trains, in which they record their scores.
    pub section: Option<&'static Section>,
    pub(super) run_state: RunState,
}

/// The driver's state of a run, which it adds to every checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct RunState {
    /// Number of images seen when the checkpoint was taken.
    pub nimg: u64,
    /// Number of lines in `metrics.jsonl` at that time.
    pub lines: usize,
    /// The lowest score so far, which is that of `best.safetensors`.
    pub best: Option<f64>,
    /// Whether the warning about the training was emitted.
    pub warned: bool,
    /// The work at `nimg` that was not done yet when the checkpoint was taken.
    pub pending: Option<Pending>,
}

/// The work that follows a checkpoint. A run that is killed before it is done does it when resumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pending {
    /// A snapshot with its line of metrics.
    Snapshot,
    /// The additional snapshot at the end of training.
    End,
    /// The same, after a regular tick at the same `nimg`.
    EndAfterTick,
}

impl Pending {
    const ALL: [(Self, &str); 3] = [
        (Pending::Snapshot, "snapshot"),
        (Pending::End, "end"),
        (Pending::EndAfterTick, "end-after-tick"),
    ];
}

impl RunState {
    const LINES: &str = "run.metrics_lines";
    const BEST: &str = "run.best_score";
    const WARNED: &str = "run.warned";
    const PENDING: &str = "run.pending";

    fn read(nimg: u64, state: &TensorFile) -> Self {
        fn entry<T: std::str::FromStr>(state: &TensorFile, key: &str) -> Option<T> {
            state.metadata.get(key)?.parse().ok()
        }
        let lines = entry(state, Self::LINES).unwrap_or(0);
        let pending = state.metadata.get(Self::PENDING);
        let pending = Pending::ALL.iter().find(|(_, name)| Some(*name) == pending.map(|p| &**p));
        Self {
            nimg,
            lines,
            best: entry(state, Self::BEST),
            warned: entry(state, Self::WARNED).unwrap_or(false),
            pending: pending.map(|(p, _)| *p),
        }
    }

    pub fn write(&self, state: &mut TensorFile) {
        state.metadata.insert(Self::LINES.into(), self.lines.to_string());
        if let Some(best) = self.best {
            state.metadata.insert(Self::BEST.into(), best.to_string());
        }
        if self.warned {
            state.metadata.insert(Self::WARNED.into(), true.to_string());
        }
        for (_, name) in Pending::ALL.iter().filter(|(p, _)| Some(*p) == self.pending) {
            state.metadata.insert(Self::PENDING.into(), (*name).to_owned());
        }
    }
}

impl Run {
    /// A new run of `command` in a new directory.
    pub fn new(directory: RunDirectory, command: &str, interrupt: Interrupt) -> Self {
        Self {
            directory,
            command: command.to_owned(),
            interrupt,
            settings: String::new(),
            section: None,
            run_state: RunState::default(),
        }
    }

    /// Opens an existing run of `command` and returns it with the newest checkpoint that can be
    /// read. `None` means that the run has no such checkpoint and starts from the beginning in the
    /// same directory.
    ///
    /// No file changes until [`drive`](super::driver::drive) is called. `sink` receives a warning
    /// for each damaged checkpoint.
    ///
    /// # Errors
    /// Fails if the run directory cannot be listed.
    pub fn resume(
        directory: RunDirectory,
        command: &str,
        interrupt: Interrupt,
        sink: &mut dyn EventSink,
    ) -> Result<(Self, Option<TensorFile>)> {
        let newest = directory.newest_state(sink)?;
        let run_state = newest.as_ref().map(|(nimg, state)| RunState::read(*nimg, state));
        let mut run = Self::new(directory, command, interrupt);
        run.run_state = run_state.unwrap_or_default();
        Ok((run, newest.map(|(_, state)| state)))
    }
}
