//! Running a trainer that was set up: in a new directory, from a checkpoint, or as a dry run.

use std::path::Path;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::directory::RunDirectory;
use super::driver::{Outcome, drive};
use super::plan::Plan;
use super::run::Run;
use super::sealed_settings::fingerprint;
use super::setup::Setup;
use super::stage::{Context, TrainingOutcome};
use super::trainer::Trainer;
use crate::error::{Error, Result};
use crate::memory::peak_mb;
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
    fn measure(&self, trainer: &mut dyn Trainer) -> Result<TrainingOutcome> {
        let config = self.config()?;
        // The first iteration includes all phases, also those that run only at intervals.
        trainer.step()?;
        trainer.metrics()?;
        trainer.pictures()?;
        let (first, start) = (trainer.nimg(), Instant::now());
        for _ in 0..TIMED_ITERATIONS {
            trainer.step()?;
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
        if self.dry_run {
            let mut trainer = make(&self, None, context)?;
            return self.measure(&mut trainer);
        }
        let fresh = self.directory.is_none();
        let (mut run, mut trainer) = match self.directory.take() {
            Some(directory) => {
                let path = directory.path().to_owned();
                let interrupt = context.interrupt.clone();
                let (run, state) =
                    Run::resume(directory, &self.run.command, interrupt, context.events)?;
                if let Some(state) = &state {
                    self.check_unchanged(&path, state)?;
                }
                if state.is_none() {
                    check_restartable(&path)?;
                    context.note("the run has no checkpoint yet, so it starts from the beginning");
                }
                let mut made = make(&self, state.as_ref(), context);
                if let (Ok(trainer), Some(state)) = (&mut made, &state) {
                    made = trainer.restore(state).and(made);
                }
                let trainer = made.map_err(|error| match &state {
                    Some(_) => error.context(path.display()),
                    None => error,
                })?;
                (run, trainer)
            }
            None => {
                // The trainer is built first, so that a failure leaves no empty run behind.
                let trainer = make(&self, None, context)?;
                let directory = RunDirectory::create(&self.out, &self.run.command, &self.run.name)?;
                (Run::new(directory, &self.run.command, context.interrupt.clone()), trainer)
            }
        };
        run.settings = fingerprint(&self.table()?)?;
        let path = run.directory.path().to_owned();
        let plan = Plan {
            // A run that has an event file keeps it up to date.
            tensorboard: self.tensorboard || tensorboard::is_in(&path),
            ..self.run.plan()
        };
        // A folder counts as a run once it has its settings, and can then be resumed: they come last.
        let config = self.config()?;
        let written = self.inputs.write(&run.directory);
        let written = written.and_then(|()| run.directory.write_config(&config));
        let outcome = written.and_then(|()| drive(&mut trainer, &mut run, &plan, context.events));
        match outcome {
            Ok(Outcome::Finished) => {
                finish(&self, &trainer, &run.directory, context)?;
                Ok(TrainingOutcome::Finished { run: path })
            }
            Ok(Outcome::Interrupted(signal)) => Ok(TrainingOutcome::Interrupted(signal)),
            Err(error) => {
                if fresh && trainer.nimg() == 0 {
                    // The run saved nothing to resume from.
                    run.directory.discard();
                }
                Err(error)
            }
        }
    }
}

/// Checks that a run without a readable checkpoint can start again in the same directory.
///
/// # Errors
/// Fails if the run has models: they would count as newer than the models of the new training.
fn check_restartable(run: &Path) -> Result<()> {
    match newest_model(run) {
        Err(_) => Ok(()),
        Ok(model) => Err(Error::user(format!(
            "--resume {}: none of its checkpoints can be read, but it contains {}",
            run.display(),
            model.display()
        ))
        .hint("start a new run; `train-stylegan --transfer MODEL` starts from these weights")),
    }
}
