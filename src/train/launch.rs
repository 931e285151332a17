//! Running a trainer that was set up: in a new directory, from a checkpoint, or as a dry run.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::agreement::{Facts, Flag, agree};
use super::directory::RunDirectory;
use super::driver::{Outcome, drive};
use super::leading::{Leading, follow};
use super::plan::Plan;
use super::run::Run;
use super::sealed_settings::fingerprint;
use super::setup::Setup;
use super::space::Space;
use super::stage::{Context, TrainingOutcome};
use super::trainer::Trainer;
use crate::error::{Error, Result};
use crate::interrupt::Interrupt;
use crate::memory::peak_mb;
use crate::ranks::Ranks;
use crate::report::tensorboard;
use crate::run_files::newest_model;
use crate::settings::Checked;
use crate::tensorfile::TensorFile;

/// Number of iterations whose time a dry run measures: a whole period of the published intervals
/// of regularisation.
const TIMED_ITERATIONS: usize = 16;
/// Time after which a dry run stops measuring.
const TIMED: Duration = Duration::from_secs(10);

impl<T: Serialize + DeserializeOwned + Checked> Setup<T> {
    /// Runs a few iterations, and measures their peak memory and their speed.
    fn measure(&self, trainer: &mut dyn Trainer, interrupt: &Interrupt) -> Result<TrainingOutcome> {
        let config = self.config()?;
        // The first iteration includes all phases, also those that run only at intervals.
        trainer.step()?;
        trainer.metrics()?;
        if let Some(signal) = interrupt.requested() {
            return Ok(TrainingOutcome::Interrupted(signal));
        }
        trainer.pictures()?;
        let (first, start) = (trainer.nimg(), Instant::now());
        for _ in 0..TIMED_ITERATIONS {
            trainer.step()?;
            if let Some(signal) = interrupt.requested() {
                return Ok(TrainingOutcome::Interrupted(signal));
            }
            if start.elapsed() > TIMED {
                break;
            }
        }
        // Reading the metrics waits for the device.
        trainer.metrics()?;
        let images = (trainer.nimg() - first).max(1) as f64;
        let seconds_per_kimg = start.elapsed().as_secs_f64() / images * 1000.0;
        Ok(TrainingOutcome::DryRun {
            config,
            peak_mb: peak_mb(),
            kimg: self.run.kimg,
            seconds_per_kimg,
            space: Space::of(trainer, &self.run.plan())?,
        })
    }

    /// Builds the trainer with `make` and runs it.
    ///
    /// `make` receives the checkpoint only to know whether there is one; this method restores it.
    /// After the last image, `finish` may add files to the run directory.
    ///
    /// # Errors
    /// Fails if `make` or `finish` fails, a file cannot be written, or training diverges.
    pub fn drive<R: Trainer>(
        mut self,
        context: &mut Context,
        make: impl FnOnce(&Self, Option<&TensorFile>, &mut Context) -> Result<R>,
        finish: impl FnOnce(&Self, &R, &RunDirectory, &mut Context) -> Result<()>,
    ) -> Result<TrainingOutcome> {
        let ranks = context.ranks.clone();
        let interrupt = context.interrupt;
        let fresh = self.directory.is_none();
        let resumed = match self.directory.take() {
            Some(directory) if !self.dry_run => Some(self.reopen(directory, context)?),
            _ => None,
        };
        let (run, state) = resumed.unzip();
        let state = self.shared_state(state.flatten(), context)?;
        // The trainer is built first, so that a failure leaves no empty run behind.
        let mut trainer = self.trainer(make, state.as_ref(), run.as_ref(), context)?;
        self.note_choices(context);
        let warnings = trainer.warnings();
        warnings.iter().for_each(|warning| context.warn(warning));
        ranks.meet(Ok(Vec::new()))?;
        ranks.begin();
        if !ranks.is_first() {
            return Ok(match follow(&mut trainer, &ranks, interrupt)? {
                Some(signal) => TrainingOutcome::Interrupted(signal),
                None => TrainingOutcome::Finished { run: PathBuf::new() },
            });
        }
        let shares_evaluation = ranks.size() > 1 && self.inputs.eval.is_some();
        let mut leading = Leading { trainer, ranks: &ranks, interrupt, shares_evaluation };
        if self.dry_run {
            let measured = self.measure(&mut leading, context.interrupt)?;
            leading.finish(None)?;
            return Ok(measured);
        }
        let mut run = match run {
            Some(run) => run,
            None => {
                let directory = RunDirectory::create(&self.out, &self.run.command, &self.run.name)?;
                Run::new(directory, &self.run.command, interrupt.clone())
            }
        };
        for warning in warnings.iter().filter(|_| fresh) {
            run.directory.log(&format!("warning: {warning}"));
        }
        if let Some(warning) = run.directory.warning() {
            context.warn(warning);
        }
        run.settings = fingerprint(&self.table()?)?;
        run.section = Some(self.section);
        let path = run.directory.path().to_owned();
        let plan = Plan {
            // A run that has an event file keeps it up to date.
            tensorboard: self.tensorboard || tensorboard::is_in(&path),
            ..self.run.plan()
        };
        // A folder counts as a run once it has its settings, and can then be resumed: they come last.
        let config = self.config()?;
        for (name, model) in self.models_of_other_runs() {
            if let Err(error) = run.directory.keep_model(name, model) {
                context.warn(format!(
                    "{}; the run needs {} to be resumed, so do not remove it",
                    error.message,
                    model.display()
                ));
            }
        }
        let written = self.inputs.write(&run.directory);
        let written = written.and_then(|()| run.directory.write_config(&config));
        let outcome = written.and_then(|()| drive(&mut leading, &mut run, &plan, context.events));
        match outcome {
            Ok(Outcome::Finished) => {
                finish(&self, &leading.trainer, &run.directory, context)?;
                // A signal may have cut `finish` short; resuming the run does the rest.
                let signal = interrupt.requested();
                leading.finish(signal)?;
                Ok(match signal {
                    Some(signal) => TrainingOutcome::Interrupted(signal),
                    None => TrainingOutcome::Finished { run: path },
                })
            }
            Ok(Outcome::Interrupted(signal)) => {
                leading.finish(Some(signal))?;
                Ok(TrainingOutcome::Interrupted(signal))
            }
            Err(error) => {
                if fresh && leading.nimg() == 0 {
                    // The run saved nothing to resume from.
                    run.directory.discard();
                }
                Err(error)
            }
        }
    }
}

impl<T: Serialize + DeserializeOwned + Checked> Setup<T> {
    /// Opens the run that is resumed, with its newest checkpoint.
    fn reopen(
        &self,
        directory: RunDirectory,
        context: &mut Context,
    ) -> Result<(Run, Option<TensorFile>)> {
        let path = directory.path().to_owned();
        let interrupt = context.interrupt.clone();
        let (run, state) = Run::resume(directory, &self.run.command, interrupt, context.events)?;
        match &state {
            Some(state) => self.check_unchanged(&path, state)?,
            None => {
                check_restartable(&path, self.without_checkpoints)?;
                context.note("the run has no checkpoint yet, so it starts from the beginning");
            }
        }
        Ok((run, state))
    }

    /// Checks that all ranks do the same work, and gives the checkpoint of rank 0 to all.
    fn shared_state(
        &self,
        state: Option<TensorFile>,
        context: &Context,
    ) -> Result<Option<TensorFile>> {
        if context.ranks.size() == 1 {
            return Ok(state);
        }
        let facts = Facts {
            flags: self.flags_of_rank(&context.ranks),
            data: self.run.data.clone(),
            settings: self.config()?,
            device: context.device_model.clone(),
        };
        let bytes = state.as_ref().map_or(Ok(Vec::new()), TensorFile::to_bytes)?;
        let bytes = agree(&context.ranks, &facts, &bytes)?;
        match (state, bytes.is_empty()) {
            (None, false) => TensorFile::from_bytes(&bytes).map(Some),
            (state, _) => Ok(state),
        }
    }

    /// What the flags say that are not among the settings. The paths of inputs may differ between
    /// machines; their hashes are compared instead.
    fn flags_of_rank(&self, ranks: &Ranks) -> Vec<Flag> {
        // Without a trailing slash.
        let path = |path: &PathBuf| path.components().collect::<PathBuf>().display().to_string();
        let switch = |on: bool| on.then(String::new);
        let eval = match (self.run.eval.as_str(), self.eval_weights.as_str()) {
            (features, "") => features.to_owned(),
            (features, weights) => format!("{features}, weights {weights:.16}"),
        };
        let out = Some(path(&self.out)).filter(|_| !self.is_resumed());
        vec![
            Flag::new("--resume", self.resumed.as_ref().map(path)),
            Flag::new("--dry-run", switch(self.dry_run)),
            Flag::new("--reduce", Some(ranks.reduce().to_string())),
            Flag::new("--eval", self.inputs.eval.is_some().then_some(eval)),
            Flag::new("--out", out),
            Flag::new("--tensorboard", switch(self.tensorboard)),
        ]
    }

    /// Builds the trainer, in the state of the checkpoint if there is one.
    fn trainer<R: Trainer>(
        &self,
        make: impl FnOnce(&Self, Option<&TensorFile>, &mut Context) -> Result<R>,
        state: Option<&TensorFile>,
        run: Option<&Run>,
        context: &mut Context,
    ) -> Result<R> {
        let mut made = make(self, state, context);
        if let (Ok(trainer), Some(state)) = (&mut made, state) {
            made = trainer.restore(state).and(made);
        }
        made.map_err(|error| match (state, run) {
            (Some(_), Some(run)) => error.context(run.directory.path().display()),
            _ => error,
        })
    }
}

/// Checks that a run without a readable checkpoint can start again in the same directory.
///
/// # Errors
/// Fails if the run has models: they would count as newer than the models of the new training.
fn check_restartable(run: &Path, hint: &str) -> Result<()> {
    match newest_model(run) {
        Err(_) => Ok(()),
        Ok(model) => Err(Error::user(format!(
            "--resume {}: none of its checkpoints can be read, but it contains {}",
            run.display(),
            model.display()
        ))
        .hint(hint)),
    }
}
