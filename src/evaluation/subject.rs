//! A model under evaluation.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use burn::tensor::Device;

use crate::data::Archive;
use crate::error::{Error, Result};
use crate::model::{Model, Section};
use crate::systems::{
    Capabilities, ImageSampler, LatentSpace, Loaded, Registry, System, TextCodes, TextToImage,
};

/// A loaded model with its name in tables.
pub struct Subject {
    /// Name in tables.
    pub name: String,
    /// The model file.
    pub model: Model,
    system: &'static dyn System,
    loaded: Box<dyn Loaded>,
    archive: Arc<Archive>,
}

impl Subject {
    /// Loads `model` under the name `name`. If its samples need conditions, they come from the
    /// training split of `archive`.
    ///
    /// # Errors
    /// Fails if the model cannot be loaded or the archive lacks the conditions.
    pub fn load(
        name: String,
        model: Model,
        registry: &Registry,
        archive: &Arc<Archive>,
        device: &Device,
    ) -> Result<Self> {
        let system = registry.of(&model)?;
        let loaded = system.open(&model, device)?;
        loaded.sampler(archive)?;
        Ok(Self { name, model, system, loaded, archive: archive.clone() })
    }

    /// The sections that the model contains.
    pub fn sections(&self) -> impl Iterator<Item = &'static Section> {
        let sections = self.system.sections().iter().copied();
        sections.filter(|section| self.model.has(section))
    }

    /// Capabilities of the model.
    pub fn capabilities(&self) -> Capabilities {
        self.loaded.capabilities()
    }

    /// Side of its images in pixels.
    pub fn resolution(&self) -> usize {
        self.loaded.resolution()
    }

    /// The sampler of the model.
    ///
    /// # Errors
    /// Fails if the archive lacks the conditions.
    pub fn sampler(&self) -> Result<Box<dyn ImageSampler + '_>> {
        self.loaded.sampler(&self.archive)
    }

    /// The model's interface for images from captions.
    ///
    /// # Errors
    /// Fails if the model does not generate images from text.
    pub fn text_to_image(&self) -> Result<&dyn TextToImage> {
        self.loaded.text_to_image()
    }

    /// The latent space of a model that inverts images.
    ///
    /// # Errors
    /// Fails if the model does not invert images.
    pub fn latent_space(&self) -> Result<&dyn LatentSpace> {
        self.loaded.latent_space()
    }

    /// The latent space if texts have codes in it, else `None`.
    pub fn text_codes(&self) -> Option<&dyn TextCodes> {
        self.loaded.text_codes()
    }

    /// The loaded model, for its features and perceptual distance.
    pub fn loaded(&self) -> &dyn Loaded {
        &*self.loaded
    }
}

/// Description of the samples' conditions in parentheses, for the notes of tables; empty if no
/// model has conditions.
///
/// # Errors
/// Fails if [`Subject::sampler`] fails.
pub fn conditions_note(subjects: &[Subject]) -> Result<String> {
    for subject in subjects {
        let note = subject.sampler()?.note();
        if !note.is_empty() {
            return Ok(format!(" ({note})"));
        }
    }
    Ok(String::new())
}

/// Opens the models under unique names.
///
/// # Errors
/// If a model cannot be read, or if its images do not fit the archive.
pub fn load(
    registry: &Registry,
    models: &[PathBuf],
    archive: &Arc<Archive>,
    device: &Device,
) -> Result<Vec<Subject>> {
    names(models)
        .into_iter()
        .zip(models)
        .map(|(name, path)| {
            let subject = Subject::load(name, Model::open(path)?, registry, archive, device)?;
            let (own, given) = (subject.resolution(), archive.resolution());
            if own != given {
                return Err(Error::user(format!(
                    "--data: the images are {given}×{given}, but {} generates {own}×{own}",
                    subject.name
                ))
                .hint(format!("prepare the data with --resolution {own}")));
            }
            Ok(subject)
        })
        .collect()
}

/// Names of the models: the last component of each path, or the full paths if those are not unique.
fn names(paths: &[PathBuf]) -> Vec<String> {
    let last = |path: &PathBuf| path.file_name().map(|name| name.to_string_lossy().into_owned());
    let short: BTreeSet<_> = paths.iter().map(last).collect();
    let full = |path: &PathBuf| path.display().to_string();
    let unique = short.len() == paths.len();
    paths.iter().map(|p| last(p).filter(|_| unique).unwrap_or_else(|| full(p))).collect()
}
