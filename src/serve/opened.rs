//! The models that are served: which there are, and the one that is open.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use burn::tensor::Device;
use serde::Serialize;

use super::CommandLine;
use super::about::About;
use super::run::is_training;
use crate::error::{Error, Result};
use crate::language::PromptTokenizer;
use crate::model::Model;
use crate::run_files;
use crate::studio::Studio;
use crate::systems;

/// Largest number of models in a folder.
const MAX_MODELS: usize = 200;

/// The models in `path`: itself if it is a model, a run with a model or a run that trains, else the
/// models and runs in the folder, by name.
///
/// # Errors
/// If the folder contains none, or too many.
pub fn models_in(path: &Path) -> Result<Vec<PathBuf>> {
    let whole = path.join(run_files::PLAN).is_file();
    let is_run = whole || run_files::is_run(path);
    let served = || is_training(path) || run_files::newest_model(path).is_ok();
    if !path.is_dir() || (is_run && served()) {
        return Ok(vec![path.to_owned()]);
    }
    let unreadable = |e| Error::io(path, "read", e);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?.path();
        let model = entry.extension().is_some_and(|e| e == "safetensors") && entry.is_file();
        if model || (entry.is_dir() && run_files::newest_model(&entry).is_ok()) {
            found.push(entry);
        }
    }
    if found.is_empty() {
        // The error of a folder that is not a run.
        return run_files::newest_model(path).map(|model| vec![model]);
    }
    if found.len() > MAX_MODELS {
        let message = format!("--model {}: contains {} models", path.display(), found.len());
        return Err(Error::user(message).hint(format!(
            "give one of them, or move those to serve to another folder; at most {MAX_MODELS}"
        )));
    }
    found.sort();
    Ok(found)
}

/// Models and runs of a folder, by whether the page can use them.
#[derive(Debug, Default)]
pub struct Sorted {
    /// Models that generate images from prompts, and runs that train.
    pub usable: Vec<PathBuf>,
    /// Models that do not generate images from prompts, such as those of the first stages.
    pub without_prompts: Vec<PathBuf>,
    /// Models that cannot be opened, with the error.
    pub unusable: Vec<(PathBuf, Error)>,
}

/// Opens each of `models`, to find out which of them the page can use. `observe` receives the number
/// of models that were opened. A run that trains may have a better model later, so it counts as usable.
pub fn sorted(models: Vec<PathBuf>, observe: &mut dyn FnMut(usize)) -> Sorted {
    let mut found = Sorted::default();
    for (at, path) in models.into_iter().enumerate() {
        let device = Device::flex();
        let opened = Model::open(&path).and_then(|model| systems::open(&model, &device));
        match opened {
            _ if is_training(&path) => found.usable.push(path),
            Ok(loaded) if loaded.text_to_image().is_ok() => found.usable.push(path),
            Ok(_) => found.without_prompts.push(path),
            Err(error) => found.unusable.push((path, error)),
        }
        observe(at + 1);
    }
    found
}

/// A model that is ready for use. The worker owns it.
pub struct Opened {
    pub model: Model,
    pub studio: Studio,
}

/// The facts about the open model with which requests are checked.
pub struct Known {
    /// Index of the model.
    pub index: usize,
    /// The file from which it was read.
    pub file: String,
    pub about: About,
    pub tokenizer: Box<dyn PromptTokenizer>,
    pub command_line: CommandLine,
    /// Shapes that a latent code may have, as `[vectors, numbers per vector]`.
    pub sizes: Vec<[usize; 2]>,
    /// Advice if the model cannot edit images.
    pub no_edits_hint: String,
}

impl Known {
    /// Number of layers in W+.
    pub fn num_ws(&self) -> usize {
        self.sizes.iter().map(|[vectors, _]| *vectors).max().unwrap_or(0)
    }
}

/// Opens the model of this index.
///
/// # Errors
/// If it is damaged or does not generate images from prompts.
pub fn open(
    models: &[PathBuf],
    index: usize,
    options: &CommandLine,
    device: &Device,
) -> Result<(Opened, Known)> {
    let path = &models[index];
    let model = Model::open(path)?;
    let studio = Studio::open(&model, device)?;
    let no_edits = studio.check_edits().err();
    let no_edits_hint = no_edits.as_ref().and_then(|e| e.hint.clone()).unwrap_or_default();
    let name = path.display().to_string();
    let known = Known {
        index,
        file: model.name().to_owned(),
        about: About::of(&name, &model, &studio, no_edits.map(|e| e.message)),
        tokenizer: studio.tokenizer().copy(),
        command_line: CommandLine { model: name, ..options.clone() },
        sizes: studio.code_sizes(),
        no_edits_hint,
    };
    Ok((Opened { model, studio }, known))
}

/// Opens the first of the models that generates images from prompts.
///
/// # Errors
/// If there is none; the error is that of the first.
pub fn open_first(
    models: &[PathBuf],
    options: &CommandLine,
    device: &Device,
) -> Result<(Opened, Known)> {
    let mut reason = None;
    for index in 0..models.len() {
        match open(models, index, options, device) {
            Ok(opened) => return Ok(opened),
            Err(error) => reason = reason.or(Some(error)),
        }
    }
    Err(reason.unwrap_or_else(|| Error::internal("there is no model to serve")))
}

/// The models, and the open one.
pub struct Models {
    paths: Vec<PathBuf>,
    known: RwLock<Arc<Known>>,
}

/// The list of models for the page.
#[derive(Debug, Serialize)]
pub struct ModelList {
    /// Files and runs, as they are found.
    models: Vec<String>,
    /// Index of the open model.
    open: usize,
}

impl Models {
    pub fn new(paths: Vec<PathBuf>, known: Known) -> Self {
        Self { paths, known: RwLock::new(Arc::new(known)) }
    }

    /// The open model.
    pub fn known(&self) -> Arc<Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces the open model.
    pub fn replace(&self, known: Known) {
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(known);
    }

    pub fn paths(&self) -> &[PathBuf] {
        &self.paths
    }

    pub fn list(&self) -> ModelList {
        let models = self.paths.iter().map(|path| path.display().to_string()).collect();
        ModelList { models, open: self.known().index }
    }
}
