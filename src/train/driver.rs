//! The loop: ticks, snapshots, training states, the best model, signals.
//!
//! At `nimg` = 0 the pictures of the untrained model are kept. A tick writes a line of metrics; a
//! snapshot is a tick that also keeps pictures and a model and evaluates it. All of these depend
//! on `nimg` alone, so a resumed run writes the same lines as an uninterrupted one. By the clock
//! come only more pictures, models and states.
//!
//! Where the end is no regular snapshot, one is made there, and its lines are left out again when
//! the run is resumed with more images: its state was taken in front of them.

use std::path::PathBuf;
use std::time::Duration;

use super::clock::{Clock, Timer};
use super::directory::RunDirectory;
use super::events::{Artifact, Event, EventSink};
use super::means::DIVERGED;
use super::memory;
use super::plan::{Plan, passes};
use super::trainer::{Picture, Trainer};
use crate::error::Kind;
use crate::interrupt::{Interrupt, Signal};
use crate::report::{self, Metrics};
use crate::run_files::Series;
use crate::tensorfile::TensorFile;
use crate::{Error, Result};

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All images were seen.
    Finished,
    /// The user asked for an end; all is saved.
    Interrupted(Signal),
}

/// A run directory with what the driver keeps in mind about it.
#[derive(Debug)]
pub struct Run {
    /// Where the files go.
    pub directory: RunDirectory,
    /// Asked between steps.
    pub interrupt: Interrupt,
    book: Book,
}

/// What the driver adds to a training state.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Book {
    /// Images seen when the state was taken.
    nimg: u64,
    /// Lines in `metrics.jsonl` at that time.
    lines: usize,
    /// The lowest score so far, which `best.safetensors` has.
    best: Option<f64>,
    /// What was still to be done at `nimg` when the state was taken.
    pending: Option<Pending>,
}

/// What follows a training state, so that a run that is killed in between makes up for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pending {
    /// A snapshot with its line of metrics.
    Snapshot,
    /// The snapshot at the end, where the plan has none.
    End,
    /// The same, behind a regular tick.
    EndAfterTick,
}

impl Pending {
    const ALL: [(Self, &str); 3] = [
        (Pending::Snapshot, "snapshot"),
        (Pending::End, "end"),
        (Pending::EndAfterTick, "end-after-tick"),
    ];
}

impl Book {
    const LINES: &str = "run.metrics_lines";
    const BEST: &str = "run.best_score";
    const PENDING: &str = "run.pending";

    fn read(nimg: u64, state: &TensorFile) -> Self {
        fn entry<T: std::str::FromStr>(state: &TensorFile, key: &str) -> Option<T> {
            state.metadata.get(key)?.parse().ok()
        }
        let lines = entry(state, Self::LINES).unwrap_or(0);
        let pending = state.metadata.get(Self::PENDING);
        let pending = Pending::ALL.iter().find(|(_, name)| Some(*name) == pending.map(|p| &**p));
        Self { nimg, lines, best: entry(state, Self::BEST), pending: pending.map(|(p, _)| *p) }
    }

    fn write(&self, state: &mut TensorFile) {
        state.metadata.insert(Self::LINES.into(), self.lines.to_string());
        if let Some(best) = self.best {
            state.metadata.insert(Self::BEST.into(), best.to_string());
        }
        for (_, name) in Pending::ALL.iter().filter(|(p, _)| Some(*p) == self.pending) {
            state.metadata.insert(Self::PENDING.into(), (*name).to_owned());
        }
    }
}

impl Run {
    /// A new run in a new directory.
    pub fn new(directory: RunDirectory, interrupt: Interrupt) -> Self {
        Self { directory, interrupt, book: Book::default() }
    }

    /// An existing run and the training state at which it goes on: the newest one that can be
    /// read. `None`: it was ended before it kept one, and begins anew in the same directory.
    ///
    /// Nothing on the disk changes until [`drive`] is called. Damaged states are told to `sink`.
    pub fn resume(
        directory: RunDirectory,
        interrupt: Interrupt,
        sink: &mut dyn EventSink,
    ) -> Result<(Self, Option<TensorFile>)> {
        let newest = directory.newest_state(sink)?;
        let book = newest.as_ref().map(|(nimg, state)| Book::read(*nimg, state));
        let run = Self { directory, interrupt, book: book.unwrap_or_default() };
        Ok((run, newest.map(|(_, state)| state)))
    }
}

/// Drives `trainer` until it has seen `plan.until_nimg` images or the user asks for an end.
///
/// Errors are the trainer's and the disk's. The training states that were saved before an error
/// stay, and the hint names the newest.
pub fn drive(
    trainer: &mut dyn Trainer,
    run: &mut Run,
    plan: &Plan,
    sink: &mut dyn EventSink,
) -> Result<Outcome> {
    if trainer.nimg() != run.book.nimg {
        return Err(Error::internal(format!(
            "the trainer is at {} images, its training state at {}",
            trainer.nimg(),
            run.book.nimg
        )));
    }
    let mut driver = Driver {
        clock: Clock::new(trainer.nimg()),
        saved: (run.book.nimg > 0).then(|| run.directory.file(Series::State, run.book.nimg)),
        trainer,
        directory: &run.directory,
        interrupt: &run.interrupt,
        book: &mut run.book,
        plan,
        sink: Recorder { directory: &run.directory, listener: sink },
        snapshot_timer: Timer::start(),
        state_timer: Timer::start(),
        pictures_at: None,
    };
    driver.run().map_err(|error| {
        let error = driver.explain(error);
        driver.directory.log(&format!("error: {}", driver.without_path(&error.message)));
        error
    })
}

/// Passes events on and keeps them in `log.txt`.
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
    interrupt: &'a Interrupt,
    book: &'a mut Book,
    plan: &'a Plan,
    sink: Recorder<'a>,
    clock: Clock,
    snapshot_timer: Timer,
    state_timer: Timer,
    /// The nimg of the newest pictures of this start of the program.
    pictures_at: Option<u64>,
    /// The newest training state.
    saved: Option<PathBuf>,
}

impl Driver<'_> {
    fn run(&mut self) -> Result<Outcome> {
        match (self.train(), self.interrupt.requested()) {
            // An evaluation was cut short; the training state in front of it is saved.
            (Err(error), Some(signal)) if matches!(error.kind, Kind::Interrupted(_)) => {
                Ok(self.leave(signal))
            }
            (outcome, _) => outcome,
        }
    }

    fn train(&mut self) -> Result<Outcome> {
        let dir = self.directory.path().to_owned();
        self.directory.set_damaged_aside(self.book.nimg)?;
        let start = self.trainer.nimg();
        let pending = self.book.pending.take();
        // More images than that: the end was none.
        let pending = pending.filter(|p| *p == Pending::Snapshot || start >= self.plan.until_nimg);
        if start < self.plan.until_nimg || pending.is_some() {
            // A run that has nothing left to do keeps the lines behind its last state.
            self.book.lines = self.directory.truncate_metrics(self.book.lines)?;
        }
        let resumed_at = (start > 0).then_some(start);
        self.sink.emit(&Event::Started { dir: dir.clone(), resumed_at });
        if start == 0 {
            self.reference_pictures()?;
            self.pictures("-init")?;
        } else if let Some(pending) = pending {
            self.make_up_for(pending)?;
        } else if start >= self.plan.until_nimg {
            let until = self.plan.until_nimg;
            let text = format!("the run has already seen {start} images; {until} were asked for");
            self.sink.emit(&Event::Note(text));
            // Another version of the program may draw it better.
            self.report()?;
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
            self.progress(now);
            let last = now >= self.plan.until_nimg;
            let snapshot = passes(before, now, self.plan.snapshot_nimg);
            if last && !snapshot {
                self.irregular_end(passes(before, now, self.plan.tick_nimg))?;
            } else {
                if snapshot {
                    // What a snapshot does takes its time: whoever kills it loses nothing.
                    self.save_pending(Pending::Snapshot)?;
                }
                if snapshot || passes(before, now, self.plan.tick_nimg) {
                    self.tick(snapshot)?;
                }
                if last || snapshot || passes(before, now, self.plan.state_nimg) {
                    self.save_state()?;
                }
            }
            if !last {
                self.by_the_clock()?;
            }
        }
        let nimg = self.trainer.nimg();
        self.sink.emit(&Event::Finished { dir, nimg });
        Ok(Outcome::Finished)
    }

    /// The last step's snapshot, where the plan has none.
    fn irregular_end(&mut self, regular_tick: bool) -> Result<()> {
        if regular_tick {
            self.tick(false)?;
        }
        self.end(if regular_tick { Pending::EndAfterTick } else { Pending::End })
    }

    fn end(&mut self, pending: Pending) -> Result<()> {
        // As an uninterrupted run would have it here: before the sums behind the metrics start
        // anew, and without the lines that follow.
        let state = self.clock.training(|| self.trainer.state())?;
        let book = *self.book;
        self.write_state(state.clone(), Book { pending: Some(pending), ..book })?;
        let after_tick = pending == Pending::EndAfterTick;
        let metrics = if after_tick { Metrics::new() } else { self.metrics()? };
        self.snapshot_line(metrics)?;
        // The best model's file is there already, so the state must know its score.
        let book = Book { best: self.book.best, ..book };
        self.write_state(state, book)
    }

    /// What a run that was killed behind a training state did not come to.
    fn make_up_for(&mut self, pending: Pending) -> Result<()> {
        if pending != Pending::Snapshot {
            return self.end(pending);
        }
        self.tick(true)?;
        self.save_state()
    }

    fn save_pending(&mut self, pending: Pending) -> Result<()> {
        let state = self.clock.training(|| self.trainer.state())?;
        let book = *self.book;
        self.write_state(state, Book { pending: Some(pending), ..book })
    }

    /// One line of metrics; at a snapshot with the evaluation's, beside pictures and a model.
    fn tick(&mut self, snapshot: bool) -> Result<()> {
        let metrics = self.metrics()?;
        if snapshot { self.snapshot_line(metrics) } else { self.write_line(metrics) }
    }

    fn metrics(&mut self) -> Result<Metrics> {
        self.clock.training(|| self.trainer.metrics())
    }

    fn snapshot_line(&mut self, mut metrics: Metrics) -> Result<()> {
        let model = self.snapshot_files()?;
        if let Some(evaluation) = self.trainer.evaluate()? {
            metrics.extend(evaluation.metrics.iter());
            self.keep_best(evaluation.score, &model)?;
        }
        if !metrics.is_empty() {
            self.write_line(metrics)?;
        }
        self.report()
    }

    fn write_line(&mut self, metrics: Metrics) -> Result<()> {
        let nimg = self.trainer.nimg();
        let mut line: Metrics = [("nimg", nimg as f64)].into_iter().collect();
        line.extend(metrics.iter());
        line.extend(self.clock.seconds_per_kimg(nimg).map(|seconds| ("sec_per_kimg", seconds)));
        line.extend(memory::resident_mb().map(|mb| ("rss_mb", mb)));
        self.directory.append_metrics(&line)?;
        self.book.lines += 1;
        self.sink.emit(&Event::Tick { nimg, metrics: line });
        Ok(())
    }

    /// Pictures and a model; returns the model.
    fn snapshot_files(&mut self) -> Result<TensorFile> {
        let nimg = self.trainer.nimg();
        self.pictures(&format!("-{nimg:09}"))?;
        let model = self.trainer.model()?;
        finite(&model, nimg)?;
        let path = self.directory.file(Series::Model, nimg);
        model.write(&path)?;
        self.directory.prune(Series::Model, nimg, self.plan.keep_models)?;
        self.saved(path, Artifact::Model);
        self.snapshot_timer = Timer::start();
        Ok(model)
    }

    fn keep_best(&mut self, score: f64, model: &TensorFile) -> Result<()> {
        if score.is_finite() && self.book.best.is_none_or(|best| score < best) {
            let path = self.directory.best();
            model.write(&path)?;
            self.book.best = Some(score);
            self.saved(path, Artifact::BestModel);
        }
        Ok(())
    }

    fn reference_pictures(&mut self) -> Result<()> {
        let pictures = self.trainer.reference_pictures()?;
        self.write_pictures(&pictures, "", None)
    }

    fn pictures(&mut self, suffix: &str) -> Result<()> {
        let nimg = self.trainer.nimg();
        let pictures = self.trainer.pictures()?;
        self.write_pictures(&pictures, suffix, Some(nimg))?;
        self.pictures_at = Some(nimg);
        Ok(())
    }

    fn write_pictures(
        &mut self,
        pictures: &[Picture],
        suffix: &str,
        at: Option<u64>,
    ) -> Result<()> {
        let text: Vec<_> = at.map(|nimg| ("nimg", nimg.to_string())).into_iter().collect();
        for picture in pictures {
            let path = self.directory.write_picture(picture, suffix, &text)?;
            self.saved(path, Artifact::Pictures);
        }
        Ok(())
    }

    fn save_state(&mut self) -> Result<()> {
        let state = self.clock.training(|| self.trainer.state())?;
        let book = *self.book;
        self.write_state(state, book)
    }

    fn write_state(&mut self, mut state: TensorFile, book: Book) -> Result<()> {
        let nimg = self.trainer.nimg();
        if let Err(error) = finite(&state, nimg) {
            // The trainer may know the term in which it began.
            self.trainer.metrics()?;
            return Err(error);
        }
        book.write(&mut state);
        self.directory.sync_metrics()?;
        let path = self.directory.file(Series::State, nimg);
        state.seal();
        state.write(&path)?;
        self.directory.prune(Series::State, nimg, self.plan.keep_states)?;
        self.saved = Some(path.clone());
        self.saved(path, Artifact::State);
        self.state_timer = Timer::start();
        Ok(())
    }

    /// What is due by the clock. It must leave no trace in the training or in its metrics.
    fn by_the_clock(&mut self) -> Result<()> {
        let nimg = self.trainer.nimg();
        if self.snapshot_timer.reached(self.plan.snapshot_minutes) {
            self.snapshot_files()?;
            self.report()?;
        } else if self.clock.started.reached(self.plan.first_pictures_minutes)
            && self.pictures_at.unwrap_or(0) == 0
        {
            self.pictures(&format!("-{nimg:09}"))?;
            self.report()?;
        }
        if self.state_timer.reached(self.plan.state_minutes) {
            self.save_state()?;
        }
        Ok(())
    }

    fn interrupted(&mut self, signal: Signal) -> Result<Outcome> {
        // The state first: whoever sends a signal may not wait for the rest.
        self.save_state()?;
        self.snapshot_files()?;
        self.report()?;
        Ok(self.leave(signal))
    }

    fn leave(&mut self, signal: Signal) -> Outcome {
        let (dir, nimg) = (self.directory.path().to_owned(), self.trainer.nimg());
        let command = self.trainer.kind();
        self.sink.emit(&Event::Interrupted { dir, nimg, command });
        Outcome::Interrupted(signal)
    }

    fn report(&mut self) -> Result<()> {
        let path = report::run::write(self.directory.path())?;
        self.saved(path, Artifact::Report);
        Ok(())
    }

    fn saved(&mut self, path: PathBuf, what: Artifact) {
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

    /// Adds to an error's hint where the run can go on.
    fn explain(&self, mut error: Error) -> Error {
        let safe = match &self.saved {
            Some(path) => format!("the last good training state is {}", path.display()),
            None => "no training state was saved before".to_owned(),
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

/// A user error when a tensor holds an infinity or NaN: such a file would replace a good one.
fn finite(file: &TensorFile, nimg: u64) -> Result<()> {
    match file.tensors.iter().find(|(_, tensor)| !tensor.is_finite()) {
        None => Ok(()),
        Some((name, _)) => Err(Error::user(format!(
            "the training diverged: `{name}` is not finite at {nimg} images"
        ))
        .hint(DIVERGED)),
    }
}
