//! Setting up a training run: settings, inputs, run directory, resuming, dry runs.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use toml::Table;

use super::directory::RunDirectory;
use super::driver::{Outcome, Run, SETTINGS, drive};
use super::plan::Plan;
use super::stage::{Context, Request, TrainingOutcome};
use super::trainer::Trainer;
use crate::data::Archive;
use crate::error::{Error, Result, positive};
use crate::memory::peak_mb;
use crate::model::{Model, Section};
use crate::run_files::{CONFIG, newest_model};
use crate::settings::layers::{from_value, to_table};
use crate::settings::limits::within;
use crate::settings::{Checked, Layers, RUN, differences};
use crate::tensorfile::TensorFile;

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
    /// Identity of the evaluation: the features and the archive's hash; empty for none.
    #[serde(default)]
    pub eval: String,
    /// Identity of the perceptual loss's features; empty for runs without that loss.
    #[serde(default)]
    pub perceptual: String,
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
    fn defaults(command: &str, name: &str, seed: u64, kimg: f64) -> Self {
        Self {
            command: command.to_owned(),
            name: name.to_owned(),
            seed,
            kimg,
            data: String::new(),
            model: String::new(),
            eval: String::new(),
            perceptual: String::new(),
            tick_kimg: 1.0,
            snapshot_kimg: 20.0,
            snapshot_minutes: 60.0,
            state_minutes: 5.0,
            keep_states: 2,
            keep_models: 10,
        }
    }

    /// Overrides the settings that the request contains.
    fn override_with(&mut self, args: &Request) {
        self.kimg = args.kimg.unwrap_or(self.kimg);
        self.snapshot_kimg = args.snapshot_kimg.unwrap_or(self.snapshot_kimg);
        self.state_minutes = args.state_minutes.unwrap_or(self.state_minutes);
        self.keep_models = args.keep_models.unwrap_or(self.keep_models);
    }

    fn check(&self) -> Result<()> {
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
            until_nimg: images(self.kimg),
            tick_nimg: images(self.tick_kimg).max(1),
            snapshot_nimg: images(self.snapshot_kimg).max(1),
            snapshot_minutes: Some(self.snapshot_minutes),
            state_nimg: images(self.snapshot_kimg).max(1),
            state_minutes: Some(self.state_minutes),
            keep_states: self.keep_states,
            keep_models: self.keep_models,
            ..Plan::default()
        }
    }
}

/// The inputs of a run with their paths on this machine, so that `--resume` needs no other flag.
///
/// They are kept in `inputs.toml`, because `config.toml` is the same on every machine.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Inputs {
    /// Archive with the training images.
    pub data: PathBuf,
    /// Model that the run starts from.
    pub model: Option<PathBuf>,
    /// Features of the perceptual loss, as written on the command line.
    pub perceptual: Option<String>,
    /// Archive that snapshots are evaluated on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eval: Option<PathBuf>,
    /// Features for the evaluation, as written on the command line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eval_features: Option<String>,
}

const INPUTS: &str = "inputs.toml";
/// Default seed of a run.
const SEED: u64 = 0;
/// Default folder for run directories.
const RUNS: &str = "runs";
/// Keys of `[run]` that identify a run. They follow from the command and cannot be set.
const IDENTITY: [&str; 6] = ["command", "name", "data", "model", "eval", "perceptual"];
/// Number of iterations whose time a dry run measures: a whole period of the published intervals
/// of regularisation.
const TIMED_ITERATIONS: usize = 16;
/// Time after which a dry run stops measuring.
const TIMED: Duration = Duration::from_secs(10);
/// Keys of `[run]` that may change while a run is interrupted. They say how long it takes, what it
/// saves and when, and what it is called, but not what it computes.
const FREE: [&str; 9] = [
    "name",
    // `record_eval` checks it.
    "eval",
    "kimg",
    "tick_kimg",
    "snapshot_kimg",
    "snapshot_minutes",
    "state_minutes",
    "keep_states",
    "keep_models",
];
/// Upper limit of `run.kimg`.
const MAX_KIMG: f64 = 1e9;
/// Upper limit of the number of files that a run keeps.
const MAX_KEPT: usize = 1_000_000;

/// Everything that a stage needs to start or resume a run: settings, inputs and the archive.
pub struct Setup<T> {
    /// Settings of the stage.
    pub settings: T,
    /// Settings of the run.
    pub run: RunSettings,
    /// Paths of the inputs.
    pub inputs: Inputs,
    /// Archive with the training images.
    pub archive: Arc<Archive>,
    section: &'static Section,
    directory: Option<RunDirectory>,
    out: PathBuf,
    dry_run: bool,
}

impl<T: Serialize + DeserializeOwned + Checked> Setup<T> {
    /// Resolves the settings: preset < file < flags for a new run, `config.toml` for a resumed one.
    ///
    /// `defaults` computes the stage's default settings from the archive and the settings of the
    /// request. `kimg` returns the length of training from the stage's settings.
    ///
    /// # Errors
    /// Fails if an input is missing or invalid, or if a flag contradicts the run that is resumed.
    pub fn new(
        section: &'static Section,
        request: &Request,
        context: &Context,
        defaults: impl FnOnce(&Archive, &Layers) -> T,
        kimg: impl FnOnce(&T) -> f64,
    ) -> Result<Self> {
        if let Some(kimg) = request.kimg
            && !(kimg > 0.0 && kimg.is_finite())
        {
            return Err(Error::user(format!("--kimg {kimg}: not positive"))
                .hint("the unit is a thousand images; 0.5 means 500"));
        }
        match &request.resume {
            Some(path) => Self::resumed(section, path, request),
            None => Self::fresh(section, request, context, defaults, kimg),
        }
    }

    fn fresh(
        section: &'static Section,
        request: &Request,
        context: &Context,
        defaults: impl FnOnce(&Archive, &Layers) -> T,
        kimg: impl FnOnce(&T) -> f64,
    ) -> Result<Self> {
        let Some(data) = &request.data else {
            return Err(Error::user("--data is missing")
                .hint("give an archive; `cigan data prepare` creates one from your images"));
        };
        let archive = Arc::new(Archive::open(data)?);
        // The file may be the config.toml of another run, which also identifies that run.
        let layers = request.merged_settings(&IDENTITY)?;
        let own = [section.name, RUN];
        for assignment in &request.set {
            let table = assignment.split('.').next().unwrap_or_default();
            if context.tables.contains(&table) && !own.contains(&table) {
                return Err(Error::user(format!(
                    "--set {assignment}: `{}` does not read [{table}]",
                    section.command
                ))
                .hint(format!("set a key of [{}] or [run]", section.name)));
            }
        }
        if let Some(key) = IDENTITY.iter().find(|key| layers.get(&format!("run.{key}")).is_some()) {
            return Err(Error::user(format!(
                "--set run.{key}: the key cannot be set, because it follows from the command"
            ))
            .hint("remove it"));
        }
        layers.check_sections(context.tables)?;
        let settings: T = layers.resolve(section.name, &defaults(&archive, &layers))?;
        settings.check()?;
        let name = request.preset.clone().unwrap_or_else(|| "custom".to_owned());
        let seed = request.seed.unwrap_or(SEED);
        let defaults = RunSettings::defaults(section.command, &name, seed, kimg(&settings));
        let mut run: RunSettings = layers.resolve(RUN, &defaults)?;
        run.override_with(request);
        run.seed = request.seed.unwrap_or(run.seed);
        run.check()?;
        run.data = archive.hash()?.to_owned();
        let inputs = Inputs {
            data: absolute(data),
            model: request.model.as_deref().map(absolute),
            perceptual: request.perceptual.clone(),
            eval: request.eval.as_deref().map(absolute),
            eval_features: request.eval_features.clone(),
        };
        for path in [Some(&inputs.data), inputs.model.as_ref(), inputs.eval.as_ref()] {
            path.map_or(Ok(()), |path| check_utf8(path))?;
        }
        Ok(Self {
            settings,
            run,
            inputs,
            archive,
            section,
            directory: None,
            out: request.out.clone().unwrap_or_else(|| PathBuf::from(RUNS)),
            dry_run: request.dry_run,
        })
    }

    fn resumed(section: &'static Section, path: &Path, request: &Request) -> Result<Self> {
        let directory = RunDirectory::open(path)?;
        let config = path.join(CONFIG);
        let kept = Layers::new().file(&config)?;
        let mut run: RunSettings = require_section(&kept, "run", &config)?;
        if run.command != section.command {
            return Err(Error::user(format!(
                "--resume {}: the run belongs to `{}`, not to `{}`",
                path.display(),
                run.command,
                section.command
            ))
            .hint(format!("use `cigan {} --resume`", run.command)));
        }
        let settings: T = require_section(&kept, section.name, &config)?;
        settings.check().map_err(|e| e.context(config.display()))?;
        check_contradictions(section, path, request, &kept, &run)?;
        run.override_with(request);
        run.check()?;

        let inputs_file = path.join(INPUTS);
        let mut inputs: Inputs = match std::fs::read_to_string(&inputs_file) {
            Ok(text) => toml::from_str(&text).map_err(|e| {
                Error::user(format!("{}: {}", inputs_file.display(), e.message()))
                    .hint("delete the file and give --data (and --model) again")
            })?,
            Err(_) => Inputs::default(),
        };
        if let Some(data) = &request.data {
            inputs.data = absolute(data);
        }
        if let Some(model) = &request.model {
            inputs.model = Some(absolute(model));
        }
        inputs.perceptual = request.perceptual.clone().or(inputs.perceptual);
        inputs.eval = request.eval.as_deref().map(absolute).or(inputs.eval);
        inputs.eval_features = request.eval_features.clone().or(inputs.eval_features);
        if inputs.data.as_os_str().is_empty() {
            return Err(Error::user(format!(
                "--resume {}: the run does not record the path of its archive",
                path.display()
            ))
            .hint("give the archive with --data"));
        }
        let archive = Arc::new(Archive::open(&inputs.data)?);
        if archive.hash()? != run.data {
            return Err(Error::user(format!(
                "{}: not the archive that the run started with",
                inputs.data.display()
            ))
            .hint("prepare it again with the same options, or start a new run"));
        }
        Ok(Self {
            settings,
            run,
            inputs,
            archive,
            section,
            directory: Some(directory),
            out: PathBuf::new(),
            dry_run: request.dry_run,
        })
    }

    /// Opens the model that the run starts from, and checks or records its hash.
    ///
    /// # Errors
    /// Fails if the run has no such model, or if it is not the one that the run started with.
    pub fn open_base(&mut self) -> Result<Model> {
        let Some(path) = self.inputs.model.clone() else {
            return Err(
                Error::user("--model is missing").hint("give a model or run of the previous stage")
            );
        };
        let base = Model::open(&path)?;
        if self.run.model.is_empty() {
            self.run.model = base.hash().to_owned();
        } else if self.run.model != base.hash() {
            return Err(Error::user(format!(
                "{}: not the model that the run started with",
                base.name()
            ))
            .hint("give that model with --model, or start a new run"));
        }
        // A run directory may get newer models later, so the path of the file is recorded.
        if path.is_dir() {
            self.inputs.model = Some(PathBuf::from(base.name()));
        }
        Ok(base)
    }

    /// Whether the run has a checkpoint, readable or not.
    ///
    /// # Errors
    /// Fails if the run directory cannot be listed.
    pub fn has_checkpoint(&self) -> Result<bool> {
        self.directory.as_ref().map_or(Ok(false), RunDirectory::has_states)
    }

    /// Records the identity `what` of the evaluation. A run keeps its evaluation, because scores
    /// of different evaluations cannot be compared.
    ///
    /// # Errors
    /// Fails if the run was evaluated differently before.
    pub fn record_eval(&mut self, what: &str) -> Result<()> {
        if !self.run.eval.is_empty() && self.run.eval != what {
            return Err(Error::user(format!(
                "--eval: earlier snapshots of the run were evaluated with {}, not with {what}",
                self.run.eval
            ))
            .hint("omit --eval and --eval-features, or start a new run"));
        }
        self.run.eval = what.to_owned();
        Ok(())
    }

    /// Records the identity `what` of the perceptual loss's features. A run keeps its loss from
    /// beginning to end.
    ///
    /// # Errors
    /// Fails if the run used other features before.
    pub fn record_perceptual(&mut self, what: &str) -> Result<()> {
        if !self.run.perceptual.is_empty() && self.run.perceptual != what {
            return Err(Error::user(format!(
                "--perceptual: the run's loss uses {}, not {what}",
                self.run.perceptual
            ))
            .hint("omit the flag and restore the weight file, or start a new run"));
        }
        self.run.perceptual = what.to_owned();
        Ok(())
    }

    /// The resolved configuration as TOML, as it is written to `config.toml`.
    ///
    /// # Errors
    /// Never fails for settings structs.
    pub fn config(&self) -> Result<String> {
        toml::to_string(&self.table()?).map_err(|e| Error::internal(format!("settings: {e}")))
    }

    fn table(&self) -> Result<Table> {
        let mut table = Table::new();
        table.insert(RUN.into(), to_table(&self.run)?.into());
        table.insert(self.section.name.into(), to_table(&self.settings)?.into());
        Ok(table)
    }

    /// Checks that the settings in `config.toml` are those that the checkpoint was made with.
    ///
    /// # Errors
    /// If somebody edited a setting that determines the result. The message lists the keys.
    fn check_unchanged(&self, run: &Path, state: &TensorFile) -> Result<()> {
        // Checkpoints of earlier versions do not contain the settings.
        let Some(text) = state.metadata.get(SETTINGS) else { return Ok(()) };
        let damaged = |finding: String| {
            Error::user(format!("{}: the settings of its checkpoint: {finding}", run.display()))
                .hint("the run comes from another version of cigan; resume it with that version")
        };
        let then: Table = text.parse().map_err(|e: toml::de::Error| damaged(e.to_string()))?;
        // Settings that did not exist then have their defaults.
        let now = self.table()?;
        let section = |table: &Table, name: &str| table.get(name).cloned();
        let mut run_then = section(&now, RUN).unwrap_or_else(|| Table::new().into());
        if let (Some(all), Some(given)) =
            (run_then.as_table_mut(), section(&then, RUN).as_ref().and_then(|v| v.as_table()))
        {
            all.extend(given.clone());
        }
        let own = section(&then, self.section.name).unwrap_or_else(|| Table::new().into());
        let own: T =
            from_value(own).map_err(|(key, finding)| damaged(format!("{key}{finding}")))?;
        let mut then = Table::new();
        then.insert(RUN.into(), run_then);
        then.insert(self.section.name.into(), to_table(&own)?.into());
        let mut keys = differences(&then, &now);
        keys.extend(differences(&now, &then));
        keys.sort();
        keys.dedup();
        if keys.is_empty() {
            return Ok(());
        }
        let value = |table: &Table, key: &str| {
            let found = key.split('.').try_fold(None::<&toml::Value>, |at, part| match at {
                None => table.get(part).map(Some),
                Some(value) => value.as_table()?.get(part).map(Some),
            });
            found.flatten().map_or_else(|| "absent".to_owned(), ToString::to_string)
        };
        let changes: Vec<String> = keys
            .iter()
            .map(|key| format!("{key} was {} and is now {}", value(&then, key), value(&now, key)))
            .collect();
        Err(Error::user(format!(
            "{}: its settings were changed after training began: {}",
            run.join(CONFIG).display(),
            changes.join(", ")
        ))
        .hint(
            "restore the old values to resume the run; to train on with other settings, start a \
             new run from its model (docs/RELIABILITY.md)",
        ))
    }

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
                let (run, state) = Run::resume(directory, interrupt, context.events)?;
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
                (Run::new(directory, context.interrupt.clone()), trainer)
            }
        };
        let inputs = toml::to_string(&self.inputs)
            .map_err(|e| Error::internal(format!("paths do not serialise: {e}")))?;
        run.settings = fingerprint(&self.table()?)?;
        let path = run.directory.path().to_owned();
        let written = run
            .directory
            .write_config(&self.config()?)
            .and_then(|()| run.directory.write_text(INPUTS, &inputs));
        let outcome =
            written.and_then(|()| drive(&mut trainer, &mut run, &self.run.plan(), context.events));
        if outcome.is_err() && fresh && trainer.nimg() == 0 {
            // The run saved nothing to resume from.
            run.directory.discard();
            return outcome.map(|_| TrainingOutcome::Finished { run: PathBuf::new() });
        }
        match outcome? {
            Outcome::Finished => {
                finish(&self, &trainer, &run.directory, context)?;
                Ok(TrainingOutcome::Finished { run: path })
            }
            Outcome::Interrupted(signal) => Ok(TrainingOutcome::Interrupted(signal)),
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

/// The settings of a table in which every key must be present.
///
/// # Errors
/// Fails if the table or a key is missing, or if a value has the wrong type.
fn require_section<T: DeserializeOwned>(layers: &Layers, section: &str, file: &Path) -> Result<T> {
    let damaged = |finding: &str| {
        Error::user(format!("{}: [{section}]: {finding}", file.display()))
            .hint("the run comes from another version of cigan, or the file was edited")
    };
    let table = layers.table().get(section).cloned().ok_or_else(|| damaged("missing"))?;
    from_value(table).map_err(|(key, finding)| damaged(&format!("{key}{finding}")))
}

/// Checks that the flags next to `--resume` repeat the run's settings and do not change them.
///
/// # Errors
/// Fails if a setting differs; the error lists all of them.
fn check_contradictions(
    section: &Section,
    path: &Path,
    request: &Request,
    kept: &Layers,
    run: &RunSettings,
) -> Result<()> {
    let layers = request.merged_settings(&[])?;
    let mut wanted = Table::new();
    for name in [section.name, "run"] {
        if let Some(table) = layers.table().get(name) {
            wanted.insert(name.to_owned(), table.clone());
        }
    }
    let mut keys = differences(&wanted, kept.table());
    if request.seed.is_some_and(|seed| seed != run.seed) {
        keys.push("seed".to_owned());
    }
    if keys.is_empty() {
        return Ok(());
    }
    Err(Error::user(format!(
        "--resume {}: contradicts the run's own settings in {}",
        path.display(),
        keys.join(", ")
    ))
    .hint("omit these flags, or start a new run"))
}

/// The settings that determine the result of a run, as TOML: all but [`FREE`].
///
/// # Errors
/// Never fails for settings structs.
fn fingerprint(table: &Table) -> Result<String> {
    let mut table = table.clone();
    if let Some(run) = table.get_mut(RUN).and_then(|run| run.as_table_mut()) {
        run.retain(|key, _| !FREE.contains(&key));
    }
    toml::to_string(&table).map_err(|e| Error::internal(format!("settings: {e}")))
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// Checks that a path is UTF-8, because a run records the paths of its inputs in a text file.
fn check_utf8(path: &Path) -> Result<()> {
    match path.to_str() {
        Some(_) => Ok(()),
        None => Err(Error::user(format!("{}: the path is not UTF-8", path.display()))
            .hint("rename the file or the folder; a run records the paths of its inputs as text")),
    }
}
