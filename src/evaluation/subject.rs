//! A model under evaluation.

use std::sync::Arc;

use burn::tensor::Device;

use crate::data::Archive;
use crate::error::Result;
use crate::model::Model;
use crate::systems::{
    self, Capabilities, ImageSampler, LatentSpace, Loaded, TextCodes, TextToImage,
};

/// A loaded model with its name in tables.
pub struct Subject {
    /// Name in tables.
    pub name: String,
    /// The model file.
    pub model: Model,
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
        archive: &Arc<Archive>,
        device: &Device,
    ) -> Result<Self> {
        let loaded = systems::open(&model, device)?;
        loaded.sampler(archive)?;
        Ok(Self { name, model, loaded, archive: archive.clone() })
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
