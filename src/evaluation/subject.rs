//! A model under evaluation.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use burn::tensor::{Device, Tensor};

use crate::data::{Archive, to_square};
use crate::error::{Error, Result};
use crate::model::{Model, Section};
use crate::nn::params::to_vec;
use crate::picture;
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

    /// Whether its images are larger than those of the archive.
    pub fn is_larger(&self) -> bool {
        self.resolution() > self.archive.resolution()
    }

    /// Images `[N, 3, res, res]` of this model at the size of those in the archive: larger ones are
    /// downscaled as `data prepare` downscales photographs.
    ///
    /// # Errors
    /// If larger images have values that are not finite, which 8 bits would hide.
    pub fn fitted(&self, images: Tensor<4>) -> Result<Tensor<4>> {
        if !self.is_larger() {
            return Ok(images);
        }
        downscale(images, self.archive.resolution())
            .map_err(|error| error.context(format!("images of {}", self.name)))
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

/// Images `[N, 3, res, res]` at `side`² pixels.
fn downscale(images: Tensor<4>, side: usize) -> Result<Tensor<4>> {
    let (shape, device) = (images.dims(), images.device());
    let values = to_vec(images);
    if values.iter().any(|value| !value.is_finite()) {
        return Err(Error::user("a pixel is not finite")
            .hint("the model diverged; use an earlier snapshot"));
    }
    let pictures = picture::to_images(&values, shape)?;
    let small = pictures.iter().map(|picture| to_square(picture, None, side as u32));
    let pixels: Vec<u8> = small.flat_map(image::RgbImage::into_raw).collect();
    Ok(picture::to_tensor(&pixels, side, &device))
}

/// Description of the samples in parentheses, for the notes of tables: their conditions, and which
/// are downscaled. Empty if there is nothing to say.
///
/// # Errors
/// Fails if [`Subject::sampler`] fails.
pub fn samples_note(subjects: &[Subject]) -> Result<String> {
    let mut parts = Vec::new();
    for subject in subjects {
        parts.push(subject.sampler()?.note().to_owned());
    }
    // One system's conditions are all alike.
    parts.retain(|note| !note.is_empty());
    parts.truncate(1);
    parts.extend(downscaled(subjects));
    Ok(if parts.is_empty() { String::new() } else { format!(" ({})", parts.join("; ")) })
}

/// Which models' images are downscaled, for the notes of tables; `None` if none are.
pub fn downscaled(subjects: &[Subject]) -> Option<String> {
    let larger: Vec<&Subject> = subjects.iter().filter(|subject| subject.is_larger()).collect();
    let side = larger.first()?.archive.resolution();
    let names: Vec<&str> = larger.iter().map(|subject| subject.name.as_str()).collect();
    Some(format!("images of {} downscaled to {side}×{side}", names.join(", ")))
}

/// Opens the models under unique names.
///
/// # Errors
/// If a model cannot be read.
pub fn load(
    registry: &Registry,
    models: &[PathBuf],
    archive: &Arc<Archive>,
    device: &Device,
) -> Result<Vec<Subject>> {
    names(models)
        .into_iter()
        .zip(models)
        .map(|(name, path)| Subject::load(name, Model::open(path)?, registry, archive, device))
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

#[cfg(test)]
mod tests {
    use burn::tensor::TensorData;

    use super::*;

    #[test]
    fn downscaled_images_keep_their_colours() {
        let device = Device::flex();
        // The left half of the first image is red; the second is grey.
        let value = |n: usize, c: usize, x: usize| match (n, c, x < 8) {
            (0, 0, true) => 1.0,
            (0, _, _) => -1.0,
            _ => 0.2,
        };
        let values = (0..2 * 3 * 256).map(|i| value(i / 768, i / 256 % 3, i % 16)).collect();
        let images = Tensor::<4>::from_data(TensorData::new(values, [2, 3, 16, 16]), &device);
        let small = downscale(images.clone(), 4).unwrap();
        assert_eq!(small.dims(), [2, 3, 4, 4]);
        let small = to_vec(small);
        let row = &small[..4];
        assert!(row[0] > 0.8 && row[3] < -0.8, "{row:?}");
        assert!(small[16..48].iter().all(|&v| v == -1.0), "green and blue");
        assert!(small[48..].iter().all(|v| (v - 0.2).abs() < 0.005), "grey");
        let broken = downscale(images * f32::NAN, 4).unwrap_err();
        assert!(broken.message.contains("not finite"), "{}", broken.message);
    }
}
