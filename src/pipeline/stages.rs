//! Training the stages of a pipeline one after the other, each from the model of the one before.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::schedule::StageLength;
use crate::device::Choice;
use crate::error::{Error, Kind, Result};
use crate::interrupt::Interrupt;
use crate::run_files::{Series, run_of};
use crate::settings::RUN;
use crate::systems::{Pipeline, PipelineStage};
use crate::train::{
    Artifact, Event, EventSink, NullSink, Request, RunDirectory, Signal, Space, TrainingOutcome,
};

/// Length, in thousands of images, of the training whose model is used to measure the next stage: a
/// single iteration.
const REHEARSAL_KIMG: f64 = 0.001;

/// Settings that all stages share.
pub(super) struct Stages<'a> {
    /// The stages, in their order.
    pub stages: Vec<&'static PipelineStage>,
    /// The archive.
    pub data: PathBuf,
    /// Preset of all stages.
    pub preset: &'a str,
    /// `KEY=VALUE` assignments that override the preset, for any of the stages.
    pub set: &'a [String],
    /// Seed of all stages.
    pub seed: u64,
    /// Whether the stages write event files for TensorBoard. A stage that has one continues it anyway.
    pub tensorboard: bool,
    /// Device to train on.
    pub device: Choice,
    /// Checked between steps.
    pub interrupt: &'a Interrupt,
}

/// The outcome of work that a signal can stop.
pub(super) enum Ended<T> {
    /// The result.
    Finished(T),
    /// The signal came first.
    Interrupted(Signal),
}

impl Stages<'_> {
    /// Trains the stages in the folder `runs`, or resumes those that have begun there. Returns
    /// their runs.
    ///
    /// Stages whose length is not among `lengths` have that of the preset.
    ///
    /// # Errors
    /// If a stage fails.
    pub fn train(
        &self,
        runs: &Path,
        lengths: &[StageLength],
        events: &mut dyn EventSink,
    ) -> Result<Ended<Vec<PathBuf>>> {
        let length = |stage: &PipelineStage| {
            lengths.iter().find(|length| length.command == stage.section.command)
        };
        let mut trained: Vec<PathBuf> = Vec::new();
        for (index, stage) in self.stages.iter().enumerate() {
            let command = stage.section.command;
            let (number, all) = (index + 1, self.stages.len());
            events.emit(&Event::Note(format!("stage {number} of {all}: {command}")));
            let later = self.stages[number..].iter().filter_map(|stage| length(stage));
            let later = later.map(StageLength::time).sum();
            let mut sink = WithLaterStages { events: &mut *events, later };
            let request = match run_of(runs, command) {
                // They may have been moved since the stage began.
                Some(begun) => Request {
                    resume: Some(begun),
                    data: Some(self.data.clone()),
                    model: trained.last().cloned(),
                    tensorboard: self.tensorboard,
                    ..Request::default()
                },
                None => Request {
                    tensorboard: self.tensorboard,
                    ..self.request(stage, length(stage), trained.last(), runs)
                },
            };
            let ended = super::train(command, &request, self.device, self.interrupt, &mut sink);
            let outcome = match (ended, self.interrupt.requested()) {
                (Ok(outcome), _) => outcome,
                // After the last image, a stage ends with an error that names its own command.
                (Err(error), Some(signal)) if matches!(error.kind, Kind::Interrupted(_)) => {
                    return Ok(Ended::Interrupted(signal));
                }
                (Err(error), _) => return Err(error),
            };
            match outcome {
                TrainingOutcome::Finished { run } => {
                    keep_one_checkpoint(&run);
                    trained.push(run);
                }
                TrainingOutcome::Interrupted(signal) => return Ok(Ended::Interrupted(signal)),
                TrainingOutcome::DryRun { .. } => {
                    return Err(Error::internal("a stage was a dry run"));
                }
            }
        }
        Ok(Ended::Finished(trained))
    }

    /// Measures the speed of the stages, each on a model of a single iteration of the stage
    /// before. The models are written to `folder`. The lengths are those of the preset; with each
    /// comes the disk space, which depends on the length.
    ///
    /// This also finds out, before hours of training, whether every stage can start, and what it
    /// warns about.
    ///
    /// # Errors
    /// If a stage fails.
    pub fn measure(
        &self,
        folder: &Path,
        events: &mut dyn EventSink,
    ) -> Result<Ended<Vec<(StageLength, Space)>>> {
        let mut model: Option<PathBuf> = None;
        let mut lengths = Vec::new();
        for (index, stage) in self.stages.iter().enumerate() {
            if let Some(signal) = self.interrupt.requested() {
                return Ok(Ended::Interrupted(signal));
            }
            let command = stage.section.command;
            let request = self.request(stage, None, model.as_ref(), folder);
            let dry = Request { dry_run: true, ..request.clone() };
            let mut sink = Warnings(&mut *events);
            match super::train(command, &dry, self.device, self.interrupt, &mut sink)? {
                TrainingOutcome::DryRun { kimg, seconds_per_kimg, space, .. } => {
                    let command = command.to_owned();
                    let bytes = space.total();
                    lengths.push((StageLength { command, kimg, seconds_per_kimg, bytes }, space));
                }
                TrainingOutcome::Interrupted(signal) => return Ok(Ended::Interrupted(signal)),
                TrainingOutcome::Finished { .. } => {
                    return Err(Error::internal("a dry run trained a model"));
                }
            }
            if index + 1 == self.stages.len() {
                break;
            }
            let short = Request { kimg: Some(REHEARSAL_KIMG), ..request };
            match super::train(command, &short, self.device, self.interrupt, &mut NullSink)? {
                TrainingOutcome::Finished { run } => model = Some(run),
                TrainingOutcome::Interrupted(signal) => return Ok(Ended::Interrupted(signal)),
                TrainingOutcome::DryRun { .. } => {
                    return Err(Error::internal("a rehearsal ran as a dry run"));
                }
            }
        }
        Ok(Ended::Finished(lengths))
    }

    /// The request that starts a stage.
    fn request(
        &self,
        stage: &PipelineStage,
        length: Option<&StageLength>,
        model: Option<&PathBuf>,
        runs: &Path,
    ) -> Request {
        let section = stage.section;
        let own = |assignment: &&String| [section.name, RUN].contains(&table_of(assignment));
        let mut set: Vec<String> = self.set.iter().filter(own).cloned().collect();
        if let (Some(length), Some(key)) = (length, stage.schedule) {
            // The learning rate reaches its end when the stage ends.
            let schedule = format!("{}.{key}", section.name);
            if !set.iter().any(|assignment| assignment.starts_with(&schedule)) {
                set.push(format!("{schedule}={}", length.kimg));
            }
        }
        Request {
            preset: Some(self.preset.to_owned()),
            set,
            system: Some(section.system_name()),
            seed: Some(self.seed),
            kimg: length.map(|length| length.kimg),
            data: Some(self.data.clone()),
            model: model.cloned(),
            out: Some(runs.to_owned()),
            ..Request::default()
        }
    }
}

/// Removes the older checkpoints of a finished stage. The newest one shows that the stage is
/// finished. Files that cannot be removed stay.
fn keep_one_checkpoint(run: &Path) {
    if let Ok(directory) = RunDirectory::open(run) {
        let _ = directory.prune(Series::State, u64::MAX, 1);
    }
}

/// Checks that every `KEY=VALUE` assignment belongs to a stage of the pipeline.
///
/// # Errors
/// If one does not. The hint lists the tables of the stages.
pub(super) fn check_assignments(all: &[String], pipeline: &Pipeline) -> Result<()> {
    let tables = pipeline.stages.iter().map(|stage| stage.section.name);
    let known: Vec<&str> = tables.chain([RUN]).collect();
    match all.iter().find(|assignment| !known.contains(&table_of(assignment))) {
        None => Ok(()),
        Some(other) => Err(Error::user(format!("--set {other}: not a setting of a stage"))
            .hint(format!("the tables of the stages are {}", known.join(", ")))),
    }
}

/// The table that an assignment sets a key of.
fn table_of(assignment: &str) -> &str {
    assignment.split(['.', '=']).next().unwrap_or_default()
}

/// Passes on only warnings.
struct Warnings<'a>(&'a mut dyn EventSink);

impl EventSink for Warnings<'_> {
    fn emit(&mut self, event: &Event) {
        if matches!(event, Event::Warning(_)) {
            self.0.emit(event);
        }
    }
}

/// Passes events on, with the estimated time of all stages instead of one.
struct WithLaterStages<'a> {
    events: &'a mut dyn EventSink,
    later: Duration,
}

impl EventSink for WithLaterStages<'_> {
    fn emit(&mut self, event: &Event) {
        match event {
            Event::Progress { nimg, total, images_per_second, eta } => {
                self.events.emit(&Event::Progress {
                    nimg: *nimg,
                    total: *total,
                    images_per_second: *images_per_second,
                    eta: eta.map(|eta| eta + self.later),
                });
            }
            // The whole run says how to resume, and where its results are.
            Event::Interrupted { .. } | Event::Finished { .. } => {}
            Event::Saved { path, what: Artifact::Codes } => {
                self.events.emit(&Event::Detail(format!("saved codes: {}", path.display())));
            }
            event => self.events.emit(event),
        }
    }
}
