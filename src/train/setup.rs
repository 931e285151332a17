//! Setting up a training run: a new one from a request, or an interrupted one from its directory.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::tensor::Device;
use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::{Table, Value};

use super::directory::RunDirectory;
use super::evaluator::{Evaluator, EvaluatorRequest};
use super::inputs::Inputs;
use super::request::{IDENTITY, Request, follows_from_the_command, of_another_command};
use super::run_settings::RunSettings;
use super::stage::Context;
use crate::data::{Archive, Split};
use crate::device;
use crate::draws::SEED;
use crate::error::{Error, Result};
use crate::model::Section;
use crate::output;
use crate::run_files::{BASE, CONFIG, EMBEDDING, RUNS, Series, check_run, is_run, list};
use crate::settings::layers::{from_value, to_table};
use crate::settings::presets::{self, ChosenPreset, PresetCriteria};
use crate::settings::{Checked, Layers, RUN, differences};
use crate::tensorfile::TensorFile;

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
    /// The hint for a run whose checkpoints cannot be read, although it has models.
    pub without_checkpoints: &'static str,
    /// The flag that gives the model that the run starts from.
    pub model_flag: &'static str,
    /// The flag that gives the second model, `Inputs::embedding`.
    pub embedding_flag: &'static str,
    pub(super) section: &'static Section,
    /// The run that is resumed; only rank 0 opens it.
    pub(super) directory: Option<RunDirectory>,
    /// The path of the run that is resumed.
    pub(super) resumed: Option<PathBuf>,
    pub(super) out: PathBuf,
    pub(super) tensorboard: bool,
    pub(super) dry_run: bool,
    /// Sections that [`open_base`](Self::open_base) removed.
    pub(super) removed: Vec<&'static Section>,
    /// A note if the file of settings is of another run.
    copied: Option<String>,
    /// The preset that was chosen because the request has none.
    chosen: Option<ChosenPreset>,
    /// A warning if a resumed run does without the file that records its inputs.
    warning: Option<String>,
    /// The model that a resumed run holds, unless the request gives one.
    pub(super) kept_base: Option<PathBuf>,
    /// The same for the model of encoders.
    pub(super) kept_embedding: Option<PathBuf>,
    /// Hash of the weights of the features that snapshots are evaluated with; empty for none.
    pub(super) eval_weights: String,
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
            Some(path) => Self::resumed(section, path, request, context),
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
        let copied = request.note_on_copied_run(section)?;
        let chosen = chosen_preset(section, request, context, &archive)?;
        let preset = chosen.as_ref().map(|chosen| chosen.preset.to_owned());
        let request = &Request { preset: preset.or(request.preset.clone()), ..request.clone() };
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
            return Err(follows_from_the_command("--set", key));
        }
        layers.check_sections(context.tables)?;
        let settings: T = layers.resolve(section.name, &defaults(&archive, &layers))?;
        settings.check_in(section.name)?;
        let name = request.preset.clone().unwrap_or_else(|| "custom".to_owned());
        let seed = request.seed.unwrap_or(SEED);
        let defaults = RunSettings::defaults(section.command, &name, seed, kimg(&settings));
        let mut run: RunSettings = layers.resolve(RUN, &defaults)?;
        run.override_with(request);
        run.seed = request.seed.unwrap_or(run.seed);
        run.check()?;
        run.data = archive.hash()?.to_owned();
        let inputs = Inputs::default().updated(request);
        inputs.check_utf8()?;
        let out = request.out.clone().unwrap_or_else(|| PathBuf::from(RUNS));
        output::check_folder_name(&out)?;
        Ok(Self {
            settings,
            run,
            inputs,
            archive,
            without_checkpoints: "start a new run",
            model_flag: "--model",
            embedding_flag: "--embedding",
            section,
            directory: None,
            resumed: None,
            out,
            tensorboard: request.tensorboard,
            dry_run: request.dry_run,
            removed: Vec::new(),
            copied,
            chosen,
            warning: None,
            kept_base: None,
            kept_embedding: None,
            eval_weights: String::new(),
        })
    }

    fn resumed(
        section: &'static Section,
        path: &Path,
        request: &Request,
        context: &Context,
    ) -> Result<Self> {
        // The other ranks only read its settings.
        let directory = match context.ranks.is_first() {
            true => Some(RunDirectory::open(path)?),
            false => check_run(path).map(|()| None)?,
        };
        let config = path.join(CONFIG);
        let kept = Layers::new().file(&config)?;
        let mut run: RunSettings = require_section(&kept, "run", &config)?;
        if run.command != section.command {
            return Err(of_another_command(path, &run.command, section.command));
        }
        let settings: T = require_section(&kept, section.name, &config)?;
        settings.check_in(section.name).map_err(|e| e.context(config.display()))?;
        check_contradictions(section, path, request, &kept, &run)?;
        run.override_with(request);
        run.check()?;

        let mut warning = None;
        let inputs = match Inputs::read(path) {
            // The flags of the request take the place of what the file records.
            Err(error) if request.data.is_some() => {
                warning = Some(without_inputs(&error, request, &run));
                Inputs::default()
            }
            inputs => inputs?,
        };
        let inputs = inputs.updated(request);
        if inputs.data.as_os_str().is_empty() {
            return Err(Error::user(format!(
                "--resume {}: the run does not record the path of its archive",
                path.display()
            ))
            .hint("give the archive with --data"));
        }
        if !inputs.data.exists() {
            return Err(Error::user(format!(
                "--resume {}: its archive {} does not exist",
                path.display(),
                inputs.data.display()
            ))
            .hint("give the archive with --data, if it has been moved"));
        }
        let archive = Arc::new(Archive::open(&inputs.data)?);
        if archive.hash()? != run.data {
            return Err(Error::user(format!(
                "{}: not the archive that the run started with",
                inputs.data.display()
            ))
            .hint("prepare it again with the same options, or start a new run"));
        }
        let kept = |name: &str, given: &Option<PathBuf>| {
            Some(path.join(name)).filter(|kept| kept.is_file() && given.is_none())
        };
        Ok(Self {
            settings,
            run,
            inputs,
            archive,
            without_checkpoints: "start a new run",
            model_flag: "--model",
            embedding_flag: "--embedding",
            section,
            directory,
            resumed: Some(path.to_owned()),
            out: PathBuf::new(),
            tensorboard: request.tensorboard,
            dry_run: request.dry_run,
            removed: Vec::new(),
            copied: None,
            chosen: None,
            warning,
            kept_base: kept(BASE, &request.model),
            kept_embedding: kept(EMBEDDING, &request.embedding),
            eval_weights: String::new(),
        })
    }

    /// Whether the run continues an interrupted one.
    pub fn is_resumed(&self) -> bool {
        self.resumed.is_some()
    }

    /// The models that the run reads and that are in run directories, whose runs may remove them, with
    /// the names under which this run keeps them.
    pub(super) fn models_of_other_runs(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        let models = [(BASE, &self.inputs.model), (EMBEDDING, &self.inputs.embedding)];
        let of_runs = |model: &&Path| model.parent().is_some_and(is_run);
        models
            .into_iter()
            .filter_map(move |(name, model)| Some((name, model.as_deref().filter(of_runs)?)))
    }

    /// Notes which inputs were not read, which preset was chosen, and which sections the new model lacks. Called when training
    /// is about to start, because an error before that leaves everything as it was.
    pub(super) fn note_choices(&self, context: &mut Context) {
        if let Some(warning) = &self.warning {
            context.warn(warning.clone());
        }
        if let Some(copied) = &self.copied {
            context.note(copied.clone());
        }
        if let Some(chosen) = &self.chosen {
            context.note(chosen.note());
        }
        for removed in &self.removed {
            context.note(format!(
                "retraining `{}` removes `{}`, because it was fitted to the old `{0}`; run `cigan \
                 {}` again",
                self.section.name, removed.name, removed.command
            ));
        }
    }

    /// Opens the function that evaluates snapshots, if the run has an evaluation archive.
    ///
    /// # Errors
    /// If the archive or the features are unsuitable, or differ from those of earlier snapshots.
    pub fn open_evaluator(
        &mut self,
        context: &mut Context,
        device: &Device,
    ) -> Result<Option<Evaluator>> {
        let request = EvaluatorRequest {
            archive: self.inputs.eval.clone(),
            features: self.inputs.eval_features.clone(),
            resolution: self.archive.resolution(),
            training: self.run.data.clone(),
            seed: self.run.seed,
            ranks: context.ranks.clone(),
        };
        match (context.open_evaluator)(&request, device, context.interrupt, context.events)? {
            None => Ok(None),
            Some(opened) => {
                self.record_eval(&opened.measured_by)?;
                self.eval_weights = opened.weights;
                Ok(Some(opened.evaluator))
            }
        }
    }

    /// Whether the run has a checkpoint, readable or not.
    ///
    /// # Errors
    /// Fails if the run directory cannot be listed.
    pub fn has_checkpoint(&self) -> Result<bool> {
        let states = |path| list(path, Series::State).map(|states| !states.is_empty());
        self.resumed.as_deref().map_or(Ok(false), states)
    }

    /// Checks that a resumed run that began with the weights of another model does not begin again,
    /// without them.
    ///
    /// # Errors
    /// If it has checkpoints, none of which could be read.
    pub fn check_continues(&self, state: Option<&TensorFile>) -> Result<()> {
        if state.is_some() || self.dry_run || !self.has_checkpoint()? {
            return Ok(());
        }
        Err(Error::user("none of the run's checkpoints can be read")
            .hint("start a new run with --transfer"))
    }

    /// The resolved configuration as TOML, as it is written to `config.toml`.
    ///
    /// # Errors
    /// Never fails for settings structs.
    pub fn config(&self) -> Result<String> {
        toml::to_string(&self.table()?).map_err(|e| Error::internal(format!("settings: {e}")))
    }

    pub(super) fn table(&self) -> Result<Table> {
        let mut table = Table::new();
        table.insert(RUN.into(), to_table(&self.run)?.into());
        table.insert(self.section.name.into(), to_table(&self.settings)?.into());
        Ok(table)
    }
}

/// The warning about a run whose inputs cannot be read, and which of them it lacks from now on.
fn without_inputs(error: &Error, request: &Request, run: &RunSettings) -> String {
    let rest = match request.eval.is_none() && !run.eval.is_empty() {
        true => "; without --eval, snapshots are no longer evaluated",
        false => "",
    };
    let message = &error.message;
    format!("{message}; the run continues with the flags of this command; remove the file{rest}")
}

/// The preset for a request that has none. `None` if it has one, if its own settings contain the
/// sizes of the networks, or if no preset is for the section.
///
/// # Errors
/// Fails if the settings of the request cannot be read.
fn chosen_preset(
    section: &Section,
    request: &Request,
    context: &Context,
    archive: &Archive,
) -> Result<Option<ChosenPreset>> {
    if request.preset.is_some() {
        return Ok(None);
    }
    let own = Request { inherited: Layers::new(), ..request.clone() };
    let own = own.merged_settings(&IDENTITY)?;
    let network = own.get(&format!("{}.network", section.name)).and_then(Value::as_table);
    if network.is_some_and(|table| table.values().any(Value::is_integer)) {
        return Ok(None);
    }
    // A device that cannot be opened is reported when training opens it.
    let Ok(opened) = device::open_for(context.device, context.ranks.local_rank()) else {
        return Ok(None);
    };
    let criteria = PresetCriteria {
        resolution: archive.resolution(),
        images: archive.indices_of(Split::Train).len(),
        on_cpu: opened.is_cpu,
    };
    Ok(presets::choose(section.name, criteria))
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
