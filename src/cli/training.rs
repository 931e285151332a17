//! What the three training commands share: settings, run directories, resuming, dry runs.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use toml::Table;

use super::Done;
use super::common::Common;
use super::terminal::Terminal;
use crate::data::Archive;
use crate::error::{Error, Result, positive};
use crate::settings::layers::{from_value, to_table};
use crate::settings::{Layers, differences};
use crate::tensorfile::{TensorFile, atomic_write};
use crate::train::{Outcome, Plan, Run, RunDirectory, Trainer, drive, newest_model};

/// Flags of everything that trains.
#[derive(Debug, Clone, Args)]
pub struct TrainingArgs {
    /// Folder in which the run gets a numbered folder of its own.
    ///
    /// [default: runs]
    #[arg(long, value_name = "RUNS", conflicts_with = "resume")]
    pub out: Option<PathBuf>,
    /// Settings to start from; `cigan config show` lists them [default: those of the paper's
    /// codes, for a day or more on a GPU].
    #[arg(long, value_name = "NAME")]
    pub preset: Option<String>,
    /// Settings of one's own, TOML, on top of the preset.
    #[arg(long, value_name = "FILE.toml")]
    pub config: Option<PathBuf>,
    /// One setting, on top of those; may be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Images to see, in thousands; fractions are allowed [default: the preset's].
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    pub kimg: Option<f64>,
    /// Go on with a run, exactly where it was.
    #[arg(long, value_name = "RUN")]
    pub resume: Option<PathBuf>,
    /// Print the resolved settings and the memory of one iteration; write nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Thousands of images between two snapshots (pictures, model, evaluation) [default: 20].
    #[arg(long, value_name = "X")]
    pub snapshot_kimg: Option<f64>,
    /// Minutes between two training states [default: 5].
    #[arg(long, value_name = "X")]
    pub state_minutes: Option<f64>,
    /// Newest models that stay, besides the best; 0 for all [default: 10].
    #[arg(long, value_name = "N")]
    pub keep_models: Option<usize>,
}

/// What a run is, besides its stage's settings: the table `[run]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunSettings {
    /// The command.
    pub command: String,
    /// Last part of the run directory's name.
    pub name: String,
    /// Seed of every draw.
    pub seed: u64,
    /// Thousands of images to see.
    pub kimg: f64,
    /// Hash of the archive.
    pub data: String,
    /// Hash of the model that the run starts from; empty for none.
    pub model: String,
    /// What snapshots are measured by: features, and the archive's hash; empty for nothing.
    #[serde(default)]
    pub eval: String,
    /// What the perceptual loss compares; empty for runs without one.
    #[serde(default)]
    pub perceptual: String,
    /// Thousands of images between two lines of metrics.
    pub tick_kimg: f64,
    /// Thousands of images between two snapshots.
    pub snapshot_kimg: f64,
    /// Minutes between two snapshots that come by the clock.
    pub snapshot_minutes: f64,
    /// Minutes between two training states.
    pub state_minutes: f64,
    /// Training states that stay.
    pub keep_states: usize,
    /// Models that stay beside the best; 0 for all.
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

    /// What flags say.
    fn take(&mut self, args: &TrainingArgs) {
        self.kimg = args.kimg.unwrap_or(self.kimg);
        self.snapshot_kimg = args.snapshot_kimg.unwrap_or(self.snapshot_kimg);
        self.state_minutes = args.state_minutes.unwrap_or(self.state_minutes);
        self.keep_models = args.keep_models.unwrap_or(self.keep_models);
    }

    fn check(&self) -> Result<()> {
        positive("--kimg (run.kimg)", self.kimg)?;
        if self.kimg > MOST_KIMG {
            return Err(Error::user(format!("--kimg (run.kimg) is {}", self.kimg))
                .hint("thousands of images: 25000 is a long training"));
        }
        positive("run.tick_kimg", self.tick_kimg)?;
        positive("--snapshot-kimg (run.snapshot_kimg)", self.snapshot_kimg)?;
        positive("run.snapshot_minutes", self.snapshot_minutes)?;
        positive("--state-minutes (run.state_minutes)", self.state_minutes)
    }

    /// When the driver does what.
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

/// Where a run's inputs lie on this machine, so that `--resume` alone suffices. Kept apart from
/// `config.toml`, which is the same on every machine.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Inputs {
    /// The archive.
    pub data: PathBuf,
    /// The model that the run starts from.
    pub model: Option<PathBuf>,
    /// The perceptual features, as on the command line.
    pub perceptual: Option<String>,
    /// The archive that snapshots are measured against.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eval: Option<PathBuf>,
    /// The features of that measure, as on the command line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eval_features: Option<String>,
}

const INPUTS: &str = "inputs.toml";
/// Where runs go unless told otherwise.
const RUNS: &str = "runs";
/// Keys of `[run]` that say what a run is; nobody sets them.
const IDENTITY: [&str; 6] = ["command", "name", "data", "model", "eval", "perceptual"];
/// Tables of presets and settings files; every command reads its own.
pub(super) const SECTIONS: [&str; 5] = ["run", "stylegan", "inversion", "text", "guidance"];
/// Nobody trains for longer.
const MOST_KIMG: f64 = 1e9;

/// A stage's settings with everything around them.
pub struct Setup<T> {
    /// The stage's settings.
    pub settings: T,
    /// The run's.
    pub run: RunSettings,
    /// Where the inputs lie.
    pub inputs: Inputs,
    /// The archive.
    pub archive: Arc<Archive>,
    section: &'static str,
    directory: Option<RunDirectory>,
    out: PathBuf,
    dry_run: bool,
}

/// What a command gives besides its [`TrainingArgs`].
pub struct Given<'a> {
    /// The command's name.
    pub command: &'static str,
    /// The stage's table in presets and settings files.
    pub section: &'static str,
    /// `--data`.
    pub data: Option<&'a Path>,
    /// `--model`.
    pub model: Option<&'a Path>,
    /// `--perceptual`.
    pub perceptual: Option<String>,
    /// `--eval`.
    pub eval: Option<&'a Path>,
    /// `--eval-features`.
    pub eval_features: Option<String>,
    /// The stage's own flags as settings.
    pub flags: Layers,
}

impl<T: Serialize + DeserializeOwned> Setup<T> {
    /// Resolves preset < file < flags, or a run's own configuration.
    ///
    /// `defaults` makes the stage's settings from the archive and what was given; `kimg` reads the
    /// length of training from them.
    pub fn new(
        args: &TrainingArgs,
        common: &Common,
        given: Given,
        defaults: impl FnOnce(&Archive, &Layers) -> T,
        kimg: impl FnOnce(&T) -> f64,
    ) -> Result<Self> {
        if let Some(kimg) = args.kimg
            && !(kimg > 0.0 && kimg.is_finite())
        {
            return Err(Error::user(format!("--kimg {kimg}: not positive"))
                .hint("thousands of images; 0.5 is five hundred"));
        }
        match &args.resume {
            Some(path) => Self::resumed(path, args, common, given),
            None => Self::fresh(args, common, given, defaults, kimg),
        }
    }

    fn fresh(
        args: &TrainingArgs,
        common: &Common,
        given: Given,
        defaults: impl FnOnce(&Archive, &Layers) -> T,
        kimg: impl FnOnce(&T) -> f64,
    ) -> Result<Self> {
        let Some(data) = given.data else {
            return Err(Error::user("--data is missing")
                .hint("give an archive: `cigan data prepare` makes one of your images"));
        };
        let archive = Arc::new(Archive::open(data)?);
        let mut layers = Layers::new();
        if let Some(name) = &args.preset {
            layers = layers.preset(name)?;
        }
        if let Some(file) = &args.config {
            // A run's own config.toml says besides what that run was.
            layers = layers.file(file)?.without("run", &IDENTITY);
        }
        layers = layers.over(&given.flags);
        for assignment in &args.set {
            layers = layers.assign(assignment)?;
            let section = assignment.split('.').next().unwrap_or_default();
            if SECTIONS.contains(&section) && ![given.section, "run"].contains(&section) {
                return Err(Error::user(format!(
                    "--set {assignment}: `{}` does not read [{section}]",
                    given.command
                ))
                .hint(format!("it reads [{}] and [run]", given.section)));
            }
        }
        if let Some(key) = IDENTITY.iter().find(|key| layers.get(&format!("run.{key}")).is_some()) {
            return Err(Error::user(format!("--set run.{key}: follows from the command"))
                .hint("leave it out"));
        }
        layers.check_sections(&SECTIONS)?;
        let settings: T = layers.resolve(given.section, &defaults(&archive, &layers))?;
        let name = args.preset.clone().unwrap_or_else(|| "custom".to_owned());
        let defaults = RunSettings::defaults(given.command, &name, common.seed(), kimg(&settings));
        let mut run: RunSettings = layers.resolve("run", &defaults)?;
        run.take(args);
        run.seed = common.seed.unwrap_or(run.seed);
        run.check()?;
        run.data = archive.hash()?.to_owned();
        let inputs = Inputs {
            data: absolute(data),
            model: given.model.map(absolute),
            perceptual: given.perceptual,
            eval: given.eval.map(absolute),
            eval_features: given.eval_features,
        };
        for path in [Some(&inputs.data), inputs.model.as_ref(), inputs.eval.as_ref()] {
            path.map_or(Ok(()), |path| is_text(path))?;
        }
        Ok(Self {
            settings,
            run,
            inputs,
            archive,
            section: given.section,
            directory: None,
            out: args.out.clone().unwrap_or_else(|| PathBuf::from(RUNS)),
            dry_run: args.dry_run,
        })
    }

    fn resumed(path: &Path, args: &TrainingArgs, common: &Common, given: Given) -> Result<Self> {
        let directory = RunDirectory::open(path)?;
        let config = path.join("config.toml");
        let kept = Layers::new().file(&config)?;
        let mut run: RunSettings = strict(&kept, "run", &config)?;
        if run.command != given.command {
            return Err(Error::user(format!(
                "--resume {}: a run of `{}`, not of `{}`",
                path.display(),
                run.command,
                given.command
            ))
            .hint(format!("use `cigan {} --resume`", run.command)));
        }
        let settings: T = strict(&kept, given.section, &config)?;
        refuse_contradictions(path, args, common, &given, &kept, &run)?;
        run.take(args);
        run.check()?;

        let inputs_file = path.join(INPUTS);
        let mut inputs: Inputs = match std::fs::read_to_string(&inputs_file) {
            Ok(text) => toml::from_str(&text).map_err(|e| {
                Error::user(format!("{}: {}", inputs_file.display(), e.message()))
                    .hint("delete the file and give --data (and --model) again")
            })?,
            Err(_) => Inputs::default(),
        };
        if let Some(data) = given.data {
            inputs.data = absolute(data);
        }
        if let Some(model) = given.model {
            inputs.model = Some(absolute(model));
        }
        inputs.perceptual = given.perceptual.or(inputs.perceptual);
        inputs.eval = given.eval.map(absolute).or(inputs.eval);
        inputs.eval_features = given.eval_features.or(inputs.eval_features);
        if inputs.data.as_os_str().is_empty() {
            return Err(Error::user(format!(
                "--resume {}: the archive is not known",
                path.display()
            ))
            .hint("give --data"));
        }
        let archive = Arc::new(Archive::open(&inputs.data)?);
        if archive.hash()? != run.data {
            return Err(Error::user(format!(
                "{}: not the archive that the run began with",
                inputs.data.display()
            ))
            .hint("prepare it again with the same options, or start a new run"));
        }
        Ok(Self {
            settings,
            run,
            inputs,
            archive,
            section: given.section,
            directory: Some(directory),
            out: PathBuf::new(),
            dry_run: args.dry_run,
        })
    }

    /// Whether the run has a training state to go on from; else it begins, or begins anew.
    pub fn goes_on(&self) -> Result<bool> {
        self.directory.as_ref().map_or(Ok(false), RunDirectory::has_states)
    }

    /// Notes what measures the snapshots. Scores of another measure do not compare: once there is
    /// one, it stays.
    ///
    /// # Errors
    /// If the run was measured by something else before.
    pub fn measured_by(&mut self, what: &str) -> Result<()> {
        if !self.run.eval.is_empty() && self.run.eval != what {
            return Err(Error::user(format!(
                "--eval: the run's snapshots were measured by {} so far, now by {what}",
                self.run.eval
            ))
            .hint("leave --eval and --eval-features as they were, or start a new run"));
        }
        self.run.eval = what.to_owned();
        Ok(())
    }

    /// Notes what the perceptual loss compares: a run has one loss from its beginning to its end.
    ///
    /// # Errors
    /// If it was another one before.
    pub fn compared_by(&mut self, what: &str) -> Result<()> {
        if !self.run.perceptual.is_empty() && self.run.perceptual != what {
            return Err(Error::user(format!(
                "--perceptual: the run's loss compared {} so far, now {what}",
                self.run.perceptual
            ))
            .hint("leave the flag out (and the weight file as it was), or start a new run"));
        }
        self.run.perceptual = what.to_owned();
        Ok(())
    }

    /// The configuration as `config.toml` keeps it.
    pub fn config(&self) -> Result<String> {
        let mut table = Table::new();
        table.insert("run".into(), to_table(&self.run)?.into());
        table.insert(self.section.into(), to_table(&self.settings)?.into());
        toml::to_string(&table).map_err(|e| Error::internal(format!("settings: {e}")))
    }

    /// Prints the resolved settings and measures one iteration.
    fn print_dry_run(&self, trainer: &mut dyn Trainer, terminal: &mut Terminal) -> Result<Done> {
        terminal.print(&self.config()?);
        // The first iteration has every part, the lazy ones included.
        trainer.step()?;
        trainer.metrics()?;
        trainer.pictures()?;
        match crate::train::peak_mb() {
            Some(mb) => terminal.note(&format!(
                "one iteration and its pictures: {mb:.0} MB of this machine's memory at most"
            )),
            None => terminal.note("memory: not known on this system"),
        }
        Ok(Done::Finished)
    }

    /// Runs the trainer that `make` builds (and restores from a state). At the end `finish` may
    /// add to the run directory.
    pub fn drive<R: Trainer>(
        mut self,
        terminal: &mut Terminal,
        make: impl FnOnce(&Self, Option<&TensorFile>, &mut Terminal) -> Result<R>,
        finish: impl FnOnce(&Self, &R, &RunDirectory, &mut Terminal) -> Result<()>,
    ) -> Result<Done> {
        if self.dry_run {
            let mut trainer = make(&self, None, terminal)?;
            return self.print_dry_run(&mut trainer, terminal);
        }
        let fresh = self.directory.is_none();
        let (mut run, mut trainer) = match self.directory.take() {
            Some(directory) => {
                let path = directory.path().to_owned();
                let interrupt = terminal.interrupt().clone();
                let (run, state) = Run::resume(directory, interrupt, terminal)?;
                if state.is_none() {
                    begins_anew(&path)?;
                    terminal.note("the run kept no state; it begins anew");
                }
                let trainer =
                    make(&self, state.as_ref(), terminal).map_err(|error| match &state {
                        Some(_) => error.context(path.display()),
                        None => error,
                    })?;
                (run, trainer)
            }
            None => {
                // Built first: a setting that fails leaves no empty run behind.
                let trainer = make(&self, None, terminal)?;
                let directory = RunDirectory::create(&self.out, &self.run.command, &self.run.name)?;
                (Run::new(directory, terminal.interrupt().clone()), trainer)
            }
        };
        run.directory.write_config(&self.config()?)?;
        let inputs = toml::to_string(&self.inputs)
            .map_err(|e| Error::internal(format!("paths do not serialise: {e}")))?;
        atomic_write(run.directory.path().join(INPUTS), inputs.as_bytes())?;
        let outcome = drive(&mut trainer, &mut run, &self.run.plan(), terminal);
        if outcome.is_err() && fresh && trainer.nimg() == 0 {
            // Nothing came of it, and nothing can go on from it: no folder is left to wonder about.
            let path = run.directory.path().to_owned();
            drop(run);
            let _ = std::fs::remove_dir_all(path);
            return outcome.map(|_| Done::Finished);
        }
        match outcome? {
            Outcome::Finished => {
                finish(&self, &trainer, &run.directory, terminal)?;
                Ok(Done::Finished)
            }
            Outcome::Interrupted(signal) => Ok(Done::Interrupted(signal)),
        }
    }
}

/// A run without a state has nothing to lose, unless there are models of it: those would be taken
/// for newer than what training makes then.
fn begins_anew(run: &Path) -> Result<()> {
    match newest_model(run) {
        Err(_) => Ok(()),
        Ok(model) => Err(Error::user(format!(
            "--resume {}: none of its training states can be read, but it made {}",
            run.display(),
            model.display()
        ))
        .hint("start a new run; `train-stylegan --transfer MODEL` takes over the weights")),
    }
}

/// A section that must be there as a whole.
fn strict<T: DeserializeOwned>(layers: &Layers, section: &str, file: &Path) -> Result<T> {
    let damaged = |finding: &str| {
        Error::user(format!("{}: [{section}]: {finding}", file.display()))
            .hint("the run was made by another version of cigan, or its file was changed")
    };
    let table = layers.table().get(section).cloned().ok_or_else(|| damaged("missing"))?;
    from_value(table).map_err(|(key, finding)| damaged(&format!("{key}{finding}")))
}

/// Flags on `--resume` may repeat what the run has, and no more.
fn refuse_contradictions(
    path: &Path,
    args: &TrainingArgs,
    common: &Common,
    given: &Given,
    kept: &Layers,
    run: &RunSettings,
) -> Result<()> {
    let mut layers = Layers::new();
    if let Some(name) = &args.preset {
        layers = layers.preset(name)?;
    }
    if let Some(file) = &args.config {
        layers = layers.file(file)?;
    }
    layers = layers.over(&given.flags);
    for assignment in &args.set {
        layers = layers.assign(assignment)?;
    }
    let mut wanted = Table::new();
    for section in [given.section, "run"] {
        if let Some(table) = layers.table().get(section) {
            wanted.insert(section.to_owned(), table.clone());
        }
    }
    let mut keys = differences(&wanted, kept.table());
    if common.seed.is_some_and(|seed| seed != run.seed) {
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
    .hint("leave these flags out, or start a new run"))
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// The settings file of a run is text: paths in it must be, too.
fn is_text(path: &Path) -> Result<()> {
    match path.to_str() {
        Some(_) => Ok(()),
        None => Err(Error::user(format!("{}: the path is not UTF-8", path.display()))
            .hint("rename the file or the folder; a run keeps the paths of its inputs as text")),
    }
}
