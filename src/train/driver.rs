//! The training loop: ticks, snapshots, checkpoints, the best model, signals.
//!
//! At `nimg` = 0 the driver saves pictures of the untrained model. A tick writes a line of metrics.
//! A snapshot is a tick that also saves pictures and a model and evaluates the model. All of these
//! depend only on `nimg`, so a resumed run writes the same lines as an uninterrupted one. The clock
//! only adds pictures, models and checkpoints.
//!
//! If training ends between two regular snapshots, the driver makes an additional one at the end.
//! Its lines of metrics are removed when the run is resumed with more images, because the
//! checkpoint was taken before they were written.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use super::clock::{Clock, Timer};
use super::directory::RunDirectory;
use super::events::{Artifact, Event, EventSink};
use super::means::DIVERGED;
use super::plan::{Plan, passes};
use super::run::{Pending, Run, RunState, SETTINGS};
use super::space::Space;
use super::trainer::{Picture, Trainer};
use crate::atomic_file::persistently;
use crate::error::Kind;
use crate::interrupt::{Interrupt, Signal};
use crate::memory;
use crate::model::{Model, Section};
use crate::report::{self, Metrics};
use crate::run_files::Series;
use crate::tensorfile::TensorFile;
use crate::{Error, Result};

/// Minutes after a checkpoint that could not be written until the next one.
const RETRY_MINUTES: f64 = 1.0;

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The run has seen all its images.
    Finished,
    /// A signal stopped the run. All its work is saved.
    Interrupted(Signal),
}

/// Runs `trainer` until it has seen `plan.until_nimg` images or a signal arrives.
///
/// A picture, a line of metrics or a report that cannot be written is a warning. So is a checkpoint
/// or a model, except at the end: the next one is due soon.
///
/// # Errors
/// Fails if a step fails, training diverges, or the last checkpoint or model cannot be written. The
/// checkpoints that were saved before remain, and the hint names the newest one.
pub fn drive(
    trainer: &mut dyn Trainer,
    run: &mut Run,
    plan: &Plan,
    sink: &mut dyn EventSink,
) -> Result<Outcome> {
    if trainer.nimg() != run.run_state.nimg {
        return Err(Error::internal(format!(
            "the trainer is at {} images, its checkpoint at {}",
            trainer.nimg(),
            run.run_state.nimg
        )));
    }
    let mut driver = Driver {
        clock: Clock::new(trainer.nimg()),
        saved: (run.run_state.nimg > 0)
            .then(|| run.directory.file(Series::State, run.run_state.nimg)),
        trainer,
        directory: &run.directory,
        command: &run.command,
        interrupt: &run.interrupt,
        settings: &run.settings,
        section: run.section,
        run_state: &mut run.run_state,
        plan,
        sink: Recorder { directory: &run.directory, listener: sink },
        snapshot_timer: Timer::start(),
        state_timer: Timer::start(),
        report_timer: Timer::start(),
        pictures_at: None,
        unsaved_lines: Vec::new(),
        state_failed: None,
        warned: BTreeSet::new(),
    };
    driver.run().map_err(|error| {
        let error = driver.with_checkpoint_hint(error);
        driver.directory.log(&format!("error: {}", driver.without_path(&error.message)));
        error
    })
}

/// A sink that appends events to `log.txt` and passes them on.
struct Recorder<'a> {
    directory: &'a RunDirectory,
    listener: &'a mut dyn EventSink,
}

impl EventSink for Recorder<'_> {
    fn emit(&mut self, event: &Event) {
        if let Some(line) = event.log_line() {
            self.directory.log(&line);
        }
        self.listener.emit(event);
    }
}

struct Driver<'a> {
    trainer: &'a mut dyn Trainer,
    directory: &'a RunDirectory,
    command: &'a str,
    interrupt: &'a Interrupt,
    settings: &'a str,
    section: Option<&'static Section>,
    run_state: &'a mut RunState,
    plan: &'a Plan,
    sink: Recorder<'a>,
    clock: Clock,
    snapshot_timer: Timer,
    state_timer: Timer,
    report_timer: Timer,
    /// `nimg` of the newest pictures since the run was started or resumed.
    pictures_at: Option<u64>,
    /// The newest checkpoint.
    saved: Option<PathBuf>,
    /// Lines of metrics that could not be written yet.
    unsaved_lines: Vec<String>,
    /// Started when a checkpoint could not be written.
    state_failed: Option<Timer>,
    /// The warnings about files that were emitted.
    warned: BTreeSet<String>,
}

impl Driver<'_> {
    fn run(&mut self) -> Result<Outcome> {
        match (self.train(), self.interrupt.requested()) {
            // The signal stopped an evaluation. The checkpoint before it is already saved.
            (Err(error), Some(signal)) if matches!(error.kind, Kind::Interrupted(_)) => {
                Ok(self.end_interrupted(signal))
            }
            (outcome, _) => outcome,
        }
    }

    fn train(&mut self) -> Result<Outcome> {
        let dir = self.directory.path().to_owned();
        let renamed = self.directory.rename_damaged_states(self.run_state.nimg);
        self.tolerate(renamed);
        let start = self.trainer.nimg();
        let pending = self.run_state.pending.take();
        // With more images to train on, the pending end is no longer the end.
        let pending = pending.filter(|p| *p == Pending::Snapshot || start >= self.plan.until_nimg);
        if start < self.plan.until_nimg || pending.is_some() {
            // A run with nothing left to do keeps the lines after its last checkpoint.
            let kept = self.directory.truncate_metrics(self.run_state.lines);
            self.run_state.lines = self.tolerate(kept).unwrap_or(self.run_state.lines);
        }
        let resumed_at = (start > 0).then_some(start);
        self.sink.emit(&Event::Started { dir: dir.clone(), resumed_at });
        if start == 0 {
            self.reference_pictures()?;
            self.pictures("-init")?;
        } else if let Some(pending) = pending {
            self.complete_pending(pending)?;
        } else if start >= self.plan.until_nimg {
            let until = self.plan.until_nimg;
            let text = format!("the run has already seen {start} of {until} images");
            self.sink.emit(&Event::Note(text));
            // A newer version of the program may write a better report.
            self.report();
        }
        while self.trainer.nimg() < self.plan.until_nimg {
            if let Some(signal) = self.interrupt.requested() {
                return self.interrupted(signal);
            }
            let before = self.trainer.nimg();
            self.clock.training(|| self.trainer.step())?;
            let now = self.trainer.nimg();
            if now <= before {
                return Err(Error::internal("a training step saw no image"));
            }
            if before == 0 {
                self.note_space()?;
            }
            self.progress(now);
            let last = now >= self.plan.until_nimg;
            let snapshot = passes(before, now, self.plan.snapshot_nimg);
            if last && !snapshot {
                self.irregular_end(passes(before, now, self.plan.tick_nimg))?;
            } else {
                if snapshot {
                    // A snapshot takes long. With a checkpoint before it, a kill loses nothing.
                    self.save_pending(Pending::Snapshot, last)?;
                }
                if snapshot || passes(before, now, self.plan.tick_nimg) {
                    self.tick(snapshot, last)?;
                }
                if last || snapshot || passes(before, now, self.plan.state_nimg) {
                    self.save_state(last)?;
                }
            }
            if !last {
                self.save_if_time_is_up()?;
            }
        }
        let nimg = self.trainer.nimg();
        self.sink.emit(&Event::Finished { dir, nimg });
        Ok(Outcome::Finished)
    }

    /// Says how much disk space the run takes. Before the first step, optimisers have no moments, which
    /// are most of a checkpoint.
    fn note_space(&mut self) -> Result<()> {
        let space = Space::of(self.trainer, self.plan)?;
        self.sink.emit(&Event::Note(space.summary()));
        Ok(())
    }

    /// The additional snapshot after the last step, if the plan has none there.
    fn irregular_end(&mut self, regular_tick: bool) -> Result<()> {
        if regular_tick {
            self.tick(false, true)?;
        }
        self.end(if regular_tick { Pending::EndAfterTick } else { Pending::End })
    }

    fn end(&mut self, pending: Pending) -> Result<()> {
        // The state of a longer run at this point: before the sums behind the metrics are reset,
        // and without the lines of metrics that follow.
        let state = self.clock.training(|| self.trainer.state())?;
        let run_state = *self.run_state;
        self.write_state(state.clone(), RunState { pending: Some(pending), ..run_state }, true)?;
        let after_tick = pending == Pending::EndAfterTick;
        let metrics = if after_tick { Metrics::new() } else { self.metrics()? };
        self.snapshot_line(metrics, true)?;
        // The best model may have been saved meanwhile, so the checkpoint must contain its score.
        let run_state = RunState { best: self.run_state.best, ..run_state };
        self.write_state(state, run_state, true)
    }

    /// Does the work after the checkpoint that a killed run did not get to.
    fn complete_pending(&mut self, pending: Pending) -> Result<()> {
        if pending != Pending::Snapshot {
            return self.end(pending);
        }
        let last = self.trainer.nimg() >= self.plan.until_nimg;
        self.tick(true, last)?;
        self.save_state(last)
    }

    fn save_pending(&mut self, pending: Pending, last: bool) -> Result<()> {
        let state = self.clock.training(|| self.trainer.state())?;
        let run_state = *self.run_state;
        self.write_state(state, RunState { pending: Some(pending), ..run_state }, last)
    }

    /// Writes a line of metrics. At a snapshot, it also saves pictures and a model, and the line
    /// includes the evaluation. `last` tells whether training ends here.
    fn tick(&mut self, snapshot: bool, last: bool) -> Result<()> {
        let metrics = self.metrics()?;
        if snapshot {
            return self.snapshot_line(metrics, last);
        }
        self.write_line(metrics)?;
        if self.report_timer.reached(self.plan.report_minutes) {
            self.write_report();
        }
        Ok(())
    }

    fn metrics(&mut self) -> Result<Metrics> {
        self.clock.training(|| self.trainer.metrics())
    }

    fn snapshot_line(&mut self, mut metrics: Metrics, last: bool) -> Result<()> {
        let model = self.snapshot_files(last)?;
        metrics.extend(self.trainer.snapshot_metrics()?.iter());
        let evaluation = self.trainer.evaluate()?;
        metrics.extend(evaluation.iter().flat_map(|evaluation| evaluation.metrics.iter()));
        let model = self.record_scores(model, &metrics.scores(), last)?;
        if let Some(evaluation) = evaluation {
            self.keep_best(evaluation.score, &model, last)?;
        }
        if !metrics.is_empty() {
            self.write_line(metrics)?;
        }
        self.report();
        Ok(())
    }

    fn write_line(&mut self, metrics: Metrics) -> Result<()> {
        let nimg = self.trainer.nimg();
        let mut line: Metrics = [("nimg", nimg as f64)].into_iter().collect();
        line.extend(metrics.iter());
        line.extend(self.clock.seconds_per_kimg(nimg).map(|seconds| ("sec_per_kimg", seconds)));
        line.extend(memory::resident_mb().map(|mb| ("rss_mb", mb)));
        if !self.run_state.warned
            && let Some(warning) = self.trainer.warning(&line)
        {
            self.run_state.warned = true;
            self.sink.emit(&Event::Warning(warning));
        }
        let text = serde_json::to_string(&line)
            .map_err(|e| Error::internal(format!("cannot write metrics: {e}")).caused_by(e))?;
        self.unsaved_lines.push(text);
        self.run_state.lines += 1;
        self.save_lines();
        self.sink.emit(&Event::Tick { nimg, metrics: line });
        Ok(())
    }

    /// Writes the lines of metrics that are not written yet. Those that fail stay for the next time.
    fn save_lines(&mut self) {
        while let Some(line) = self.unsaved_lines.first() {
            let appended = persistently(|| self.directory.append_metrics(line));
            if self.tolerate(appended).is_none() {
                return;
            }
            self.unsaved_lines.remove(0);
        }
    }

    /// Saves pictures and a model, and returns the model. A model that cannot be written is an error
    /// only at the end.
    fn snapshot_files(&mut self, last: bool) -> Result<TensorFile> {
        let nimg = self.trainer.nimg();
        self.pictures(&format!("-{nimg:09}"))?;
        let model = self.trainer.model()?;
        check_finite(&model, nimg)?;
        let model = model.sealed();
        let path = self.directory.file(Series::Model, nimg);
        let written = persistently(|| model.write(&path));
        if self.needed(written, last)?.is_some() {
            let directory = self.directory;
            let keep = self.plan.keep_models;
            let pruned = persistently(|| directory.prune(Series::Model, nimg, keep));
            self.tolerate(pruned);
            self.saved(path, Artifact::Model);
        }
        self.snapshot_timer = Timer::start();
        Ok(model)
    }

    /// Adds its scores to the model of a snapshot, which was saved before the evaluation in case that
    /// this takes long.
    fn record_scores(
        &mut self,
        model: TensorFile,
        scores: &Metrics,
        last: bool,
    ) -> Result<TensorFile> {
        let Some(section) = self.section.filter(|_| !scores.is_empty()) else { return Ok(model) };
        let mut model = Model::from_file(model, "model");
        model.file_mut().unseal();
        model.record_scores(section, scores.iter())?;
        let model = model.into_file().sealed();
        let path = self.directory.file(Series::Model, self.trainer.nimg());
        let written = persistently(|| model.write(&path));
        self.needed(written, last)?;
        Ok(model)
    }

    fn keep_best(&mut self, score: f64, model: &TensorFile, last: bool) -> Result<()> {
        if score.is_finite() && self.run_state.best.is_none_or(|best| score < best) {
            let path = self.directory.best();
            let written = persistently(|| model.write(&path));
            if self.needed(written, last)?.is_some() {
                self.run_state.best = Some(score);
                self.saved(path, Artifact::BestModel);
            }
        }
        Ok(())
    }

    /// The value of a result; `None` after a warning if it is an error.
    fn tolerate<T>(&mut self, result: Result<T>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                let hint = error.hint.unwrap_or_default();
                let text = format!("{}; training continues ({hint})", error.message);
                // A full disk fails at every tick.
                if self.warned.insert(text.clone()) {
                    self.sink.emit(&Event::Warning(text));
                }
                None
            }
        }
    }

    /// Like [`tolerate`](Self::tolerate), but an error at the end of training is an error.
    fn needed<T>(&mut self, result: Result<T>, last: bool) -> Result<Option<T>> {
        if last { result.map(Some) } else { Ok(self.tolerate(result)) }
    }

    fn reference_pictures(&mut self) -> Result<()> {
        let pictures = self.trainer.reference_pictures()?;
        self.write_pictures(&pictures, "", None);
        Ok(())
    }

    fn pictures(&mut self, suffix: &str) -> Result<()> {
        let nimg = self.trainer.nimg();
        let pictures = self.trainer.pictures()?;
        self.write_pictures(&pictures, suffix, Some(nimg));
        self.pictures_at = Some(nimg);
        Ok(())
    }

    fn write_pictures(&mut self, pictures: &[Picture], suffix: &str, at: Option<u64>) {
        let text: Vec<_> = at.map(|nimg| ("nimg", nimg.to_string())).into_iter().collect();
        for picture in pictures {
            let directory = self.directory;
            let written = persistently(|| directory.write_picture(picture, suffix, &text));
            if let Some(path) = self.tolerate(written) {
                self.saved(path, Artifact::Pictures);
            }
        }
    }

    fn save_state(&mut self, last: bool) -> Result<()> {
        let state = self.clock.training(|| self.trainer.state())?;
        let run_state = *self.run_state;
        self.write_state(state, run_state, last)
    }

    /// Writes a checkpoint. If that fails, training continues, and another checkpoint is due in a
    /// minute; `last` makes it an error.
    fn write_state(
        &mut self,
        mut state: TensorFile,
        run_state: RunState,
        last: bool,
    ) -> Result<()> {
        let nimg = self.trainer.nimg();
        if let Err(error) = check_finite(&state, nimg) {
            // The trainer's error, if it has one, names the term that diverged first.
            self.trainer.metrics()?;
            return Err(error);
        }
        run_state.write(&mut state);
        if !self.settings.is_empty() {
            state.metadata.insert(SETTINGS.to_owned(), self.settings.to_owned());
        }
        self.save_lines();
        let directory = self.directory;
        let synced = persistently(|| directory.sync_metrics());
        self.tolerate(synced);
        let path = self.directory.file(Series::State, nimg);
        state.seal();
        let written = persistently(|| state.write(&path));
        if self.needed(written, last)?.is_none() {
            self.state_failed = Some(Timer::start());
            return Ok(());
        }
        self.state_failed = None;
        let keep = self.plan.keep_states;
        let pruned = persistently(|| directory.prune(Series::State, nimg, keep));
        self.tolerate(pruned);
        self.saved = Some(path.clone());
        self.saved(path, Artifact::State);
        self.state_timer = Timer::start();
        Ok(())
    }

    /// Saves the files that are due by the clock. It must not affect the training or its metrics.
    fn save_if_time_is_up(&mut self) -> Result<()> {
        let nimg = self.trainer.nimg();
        if self.snapshot_timer.reached(self.plan.snapshot_minutes) {
            self.snapshot_files(false)?;
            self.report();
        } else if self.clock.started.reached(self.plan.first_pictures_minutes)
            && self.pictures_at.unwrap_or(0) == 0
        {
            self.pictures(&format!("-{nimg:09}"))?;
            self.report();
        }
        let retry = self.state_failed.is_some_and(|since| since.reached(Some(RETRY_MINUTES)));
        if retry || self.state_timer.reached(self.plan.state_minutes) {
            self.state_timer = Timer::start();
            self.save_state(false)?;
        }
        Ok(())
    }

    fn interrupted(&mut self, signal: Signal) -> Result<Outcome> {
        // The checkpoint comes first, because the sender of the signal may not wait for the rest.
        self.save_state(true)?;
        self.snapshot_files(true)?;
        self.report();
        Ok(self.end_interrupted(signal))
    }

    fn end_interrupted(&mut self, signal: Signal) -> Outcome {
        let (dir, nimg) = (self.directory.path().to_owned(), self.trainer.nimg());
        let command = self.command.to_owned();
        self.sink.emit(&Event::Interrupted { dir, nimg, command });
        Outcome::Interrupted(signal)
    }

    fn report(&mut self) {
        if let Some(path) = self.write_report() {
            self.saved(path, Artifact::Report);
        }
    }

    /// Writes the report without an event, so that `log.txt` does not list every refresh.
    fn write_report(&mut self) -> Option<PathBuf> {
        let directory = self.directory;
        if self.plan.tensorboard {
            let written = persistently(|| report::tensorboard::write(directory.path()));
            if let Some(path) = self.tolerate(written) {
                directory.wrote(&path);
            }
        }
        let written = persistently(|| report::run::write(directory.path()));
        let report::run::Report { path, left_out } = self.tolerate(written)?;
        for error in left_out {
            self.tolerate::<()>(Err(error));
        }
        directory.wrote(&path);
        self.report_timer = Timer::start();
        Some(path)
    }

    fn saved(&mut self, path: PathBuf, what: Artifact) {
        self.directory.wrote(&path);
        self.sink.emit(&Event::Saved { path, what });
    }

    fn progress(&mut self, nimg: u64) {
        let total = self.plan.until_nimg;
        if let Some(images_per_second) = self.clock.rate(nimg, nimg >= total) {
            let left = total.saturating_sub(nimg) as f64 / images_per_second;
            let eta = Duration::try_from_secs_f64(left).ok();
            self.sink.emit(&Event::Progress { nimg, total, images_per_second, eta });
        }
    }

    /// Adds the newest checkpoint to an error's hint.
    fn with_checkpoint_hint(&self, mut error: Error) -> Error {
        let safe = match &self.saved {
            Some(path) => format!("the last good checkpoint is {}", path.display()),
            None => "no earlier checkpoint was saved".to_owned(),
        };
        error.hint = Some(match error.hint {
            Some(hint) => format!("{hint}; {safe}"),
            None => safe,
        });
        error
    }

    fn without_path(&self, text: &str) -> String {
        let dir = self.directory.path().display().to_string();
        text.replace(&format!("{dir}{}", std::path::MAIN_SEPARATOR), "")
    }
}

/// Checks that all tensors of a file are finite, so that a diverged state never replaces a good
/// one.
///
/// # Errors
/// Fails with a user error that names the first tensor with an infinity or NaN.
fn check_finite(file: &TensorFile, nimg: u64) -> Result<()> {
    match file.tensors.iter().find(|(_, tensor)| !tensor.is_finite()) {
        None => Ok(()),
        Some((name, _)) => {
            Err(Error::user(format!("training diverged: `{name}` is not finite at {nimg} images"))
                .hint(DIVERGED))
        }
    }
}
