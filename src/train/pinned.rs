//! What a run holds on to from beginning to end: the models that it reads, its evaluation, and the
//! features of its losses.

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::setup::Setup;
use super::stage::Context;
use crate::error::{Error, Result};
use crate::model::{Model, Section};
use crate::run_files::{Series, list};
use crate::settings::Checked;

impl<T: Serialize + DeserializeOwned + Checked> Setup<T> {
    /// Opens the model that the run starts from, and checks or records its hash.
    ///
    /// # Errors
    /// Fails if the run has no such model, or if it is not the one that the run started with.
    pub fn open_model(&mut self) -> Result<Model> {
        let resumed = self.is_resumed();
        let kept = self.kept_base.as_deref();
        open_input(self.model_flag, &mut self.inputs.model, &mut self.run.model, resumed, kept)
    }

    /// Opens the model of encoders that the run reads in addition, and checks or records its hash.
    ///
    /// # Errors
    /// Fails if the run has no such model, or if it is not the one that the run started with.
    pub fn open_embedding(&mut self) -> Result<Model> {
        let resumed = self.is_resumed();
        let kept = self.kept_embedding.as_deref();
        let (path, hash) = (&mut self.inputs.embedding, &mut self.run.embedding);
        open_input(self.embedding_flag, path, hash, resumed, kept)
    }

    /// Opens the model that the run extends; see [`open_model`](Self::open_model). Removes the
    /// sections that were fitted to the section that the run replaces.
    ///
    /// # Errors
    /// Those of [`open_model`](Self::open_model).
    pub fn open_base(&mut self, context: &Context) -> Result<Model> {
        let mut model = self.open_model()?;
        let mut removed: Vec<&'static Section> = Vec::new();
        for dependent in context.sections.iter().filter(|other| other.depends_on(self.section)) {
            if model.has(dependent) {
                model.remove_section(dependent);
                removed.push(dependent);
            }
        }
        // Encoders that only they read go with them.
        for base in removed.iter().flat_map(|dependent| dependent.fitted_to) {
            let mut left = context.sections.iter().filter(|section| model.has(section));
            let own = *base == self.section || self.section.depends_on(base);
            if !own && !left.any(|section| section.depends_on(base)) {
                model.remove_section(base);
            }
        }
        self.removed.extend(removed);
        Ok(model)
    }

    /// Records the identity `what` of the evaluation. A run keeps its evaluation, because scores
    /// of different evaluations cannot be compared.
    ///
    /// # Errors
    /// Fails if the run was evaluated differently before.
    pub fn record_eval(&mut self, what: &str) -> Result<()> {
        record(&mut self.run.eval, what, |before| {
            Error::user(format!(
                "--eval: earlier snapshots of the run were evaluated with {before}, not with {what}"
            ))
            .hint("omit --eval and --eval-features, or start a new run")
        })
    }

    /// Records the identity `what` of the perceptual loss's features. A run keeps its loss from
    /// beginning to end.
    ///
    /// # Errors
    /// Fails if the run used other features before.
    pub fn record_perceptual(&mut self, what: &str) -> Result<()> {
        record(&mut self.run.perceptual, what, |before| {
            Error::user(format!("--perceptual: the run's loss uses {before}, not {what}"))
                .hint("omit the flag and restore the weight file, or start a new run")
        })
    }

    /// Records the identity `what` of the features that further discriminators judge; `None` for no such
    /// discriminators.
    ///
    /// # Errors
    /// Fails if the run began with others.
    pub fn record_vision(&mut self, what: Option<&str>) -> Result<()> {
        let what = what.unwrap_or_default();
        let name = |identity: &str| match identity {
            "" => "no features of another network".to_owned(),
            other => other.to_owned(),
        };
        if self.is_resumed() && self.run.vision != what {
            let (before, now) = (name(&self.run.vision), name(what));
            return Err(Error::user(format!("--vision-aided: the run uses {before}, not {now}"))
                .hint(match what.is_empty() {
                    true => "add --vision-aided with the weight file of the run",
                    false => "omit the flag and restore the weight file, or start a new run",
                }));
        }
        what.clone_into(&mut self.run.vision);
        Ok(())
    }
}

/// Opens a model that a run reads. If the run started with one before, `hash` is that of it; otherwise
/// it becomes that of the model. `kept` is the file that the run itself holds.
///
/// # Errors
/// Fails if there is no path or no model, or if it is not the one that the run started with.
fn open_input(
    flag: &str,
    path: &mut Option<PathBuf>,
    hash: &mut String,
    resumed: bool,
    kept: Option<&Path>,
) -> Result<Model> {
    let Some(given) = path.clone().or_else(|| kept.map(Path::to_owned)) else {
        return Err(Error::user(format!("{flag} is missing"))
            .hint("give a model or run of the previous stage"));
    };
    let found = match given.is_dir() {
        _ if resumed && !given.exists() => {
            Err(Error::user(format!("its model {} does not exist", given.display())).hint(
                match flag {
                    "--transfer" => "put it back, or start a new run".to_owned(),
                    _ => format!("give the model with {flag}, if it has been moved"),
                },
            ))
        }
        true => model_of(&given, hash),
        false => Model::open(&given),
    };
    // The run that wrote the model may have removed it, or put another one in its place.
    let model = match kept {
        Some(kept) if !found.as_ref().is_ok_and(|model| model.hash() == hash) => Model::open(kept)?,
        _ => found?,
    };
    if hash.is_empty() {
        model.hash().clone_into(hash);
    } else if hash != model.hash() {
        return Err(Error::user(format!(
            "{}: not the model that the run started with",
            model.name()
        ))
        .hint("give that model, or start a new run"));
    }
    // A run directory may get newer models later, so the path of the file is recorded.
    if given.is_dir() {
        *path = Some(PathBuf::from(model.name()));
    }
    Ok(model)
}

/// The model of the run `path` with this hash, or the newest one if none has it. A run may have
/// newer models than the one that another run started with.
///
/// # Errors
/// If the newest model cannot be read.
fn model_of(path: &Path, hash: &str) -> Result<Model> {
    let models = if hash.is_empty() { Vec::new() } else { list(path, Series::Model)? };
    let models = models.into_iter().rev().filter_map(|(_, model)| Model::open(&model).ok());
    models.into_iter().find(|model| model.hash() == hash).map_or_else(|| Model::open(path), Ok)
}

/// Records the identity `what` of something that a run keeps from beginning to end.
///
/// # Errors
/// The one for the earlier identity, if that is another.
fn record(kept: &mut String, what: &str, differs: impl FnOnce(&str) -> Error) -> Result<()> {
    if !kept.is_empty() && kept != what {
        return Err(differs(kept));
    }
    what.clone_into(kept);
    Ok(())
}
