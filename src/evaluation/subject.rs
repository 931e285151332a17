//! One model that is evaluated.

use std::sync::Arc;

use burn::tensor::Device;

use crate::data::Archive;
use crate::error::Result;
use crate::model::Model;
use crate::systems::{self, Capabilities, LatentSpace, Loaded, Sampler, TextToImage};

/// A model with its name in tables.
pub struct Subject {
    /// What tables call it.
    pub name: String,
    /// The model itself.
    pub model: Model,
    loaded: Box<dyn Loaded>,
    archive: Arc<Archive>,
}

impl Subject {
    /// Loads `model`. Tables will call it `name`. Its samples take conditions, where they need
    /// some, from the training split of `archive`.
    ///
    /// # Errors
    /// If the model cannot be loaded, or the archive lacks the conditions.
    pub fn load(
        name: String,
        model: Model,
        archive: &Arc<Archive>,
        device: &Device,
    ) -> Result<Self> {
        let loaded = systems::open(&model, device)?;
        loaded.sampler(archive)?;
        Ok(Self { name, model, loaded, archive: archive.clone() })
    }

    /// What it can do.
    pub fn capabilities(&self) -> Capabilities {
        self.loaded.capabilities()
    }

    /// Side of its images.
    pub fn resolution(&self) -> usize {
        self.loaded.resolution()
    }

    /// Draws its samples.
    ///
    /// # Errors
    /// If the archive lacks the conditions.
    pub fn sampler(&self) -> Result<Box<dyn Sampler + '_>> {
        self.loaded.sampler(&self.archive)
    }

    /// Draws images of captions.
    ///
    /// # Errors
    /// If the model cannot.
    pub fn text_to_image(&self) -> Result<&dyn TextToImage> {
        self.loaded.text_to_image()
    }

    /// Its latent space, for models that invert images.
    ///
    /// # Errors
    /// If the model cannot.
    pub fn latent_space(&self) -> Result<&dyn LatentSpace> {
        self.loaded.latent_space()
    }

    /// Its latent space, where texts have codes in it.
    pub fn text_space(&self) -> Option<&dyn LatentSpace> {
        self.latent_space().ok().filter(|space| space.reads_texts())
    }
}

/// What the notes of tables say about the conditions of samples, in parentheses; empty where no
/// model has any.
///
/// # Errors
/// Those of [`Subject::sampler`].
pub fn conditions_note(subjects: &[Subject]) -> Result<String> {
    for subject in subjects {
        let note = subject.sampler()?.note();
        if !note.is_empty() {
            return Ok(format!(" ({note})"));
        }
    }
    Ok(String::new())
}
