//! What commands load: networks of a model, perceptual features, photographs.

use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor};
use image::RgbImage;

use crate::data::{Archive, Split, open_photo};
use crate::error::{Error, Result};
use crate::model::Model;
use crate::picture;
use crate::studio::codes_file;
use crate::systems::cigan::inversion::Encoder;
use crate::systems::cigan::inversion::train::{load_encoder, load_perceptual};
use crate::systems::stylegan::generator::Truncation;
use crate::systems::stylegan::labels::one_hot;
use crate::systems::stylegan::train::{load_discriminator, load_generator};
use crate::systems::stylegan::{DiscriminatorFeatures, Generator, NetworkSettings};
use crate::vision::{Features, Perceptual, PerceptualChoice};

/// Everything that inverting and editing pictures needs.
pub struct Inverter {
    /// G.
    pub generator: Generator,
    /// E.
    pub encoder: Encoder,
    /// Features of the discriminator, in units.
    pub perceptual: Perceptual,
    /// Side of the images.
    pub resolution: usize,
}

impl Inverter {
    /// From a model of stage 2 or later.
    pub fn load(model: &Model, device: &Device) -> Result<Self> {
        let encoder = load_encoder(model, device)?;
        let generator = load_generator(model, device)?;
        let perceptual = load_perceptual(model, device)?;
        let resolution = generator.synthesis.resolution();
        Ok(Self { generator, encoder, perceptual, resolution })
    }
}

/// The features of a model's own discriminator.
pub fn own_features(model: &Model, device: &Device) -> Result<Box<dyn Features>> {
    Ok(Box::new(DiscriminatorFeatures::new(&load_discriminator(model, device)?)))
}

/// Features by their name on the command line, with their unit measured on the archive.
pub fn calibrated(
    choice: &PerceptualChoice,
    model: &Model,
    archive: &Archive,
    device: &Device,
) -> Result<Perceptual> {
    let features = choice.build(|| own_features(model, device), device)?;
    let network: NetworkSettings = model.settings(crate::model::Stage::Stylegan)?;
    network.fits(archive.resolution(), model.name())?;
    Perceptual::calibrate(features, archive, &archive.indices_of(Split::Train), device)
}

/// How codes are drawn where samples are shown side by side.
#[derive(Debug, Clone, clap::Args)]
pub struct CodeArgs {
    /// Class of the pictures, for models that were trained with classes.
    #[arg(long, value_name = "N")]
    pub class: Option<u32>,
    /// Truncation ψ.
    #[arg(long, value_name = "PSI", default_value_t = 0.7, allow_negative_numbers = true)]
    pub truncation: f32,
    /// Layers that are truncated, the coarsest first [default: all].
    #[arg(long, value_name = "N")]
    pub cutoff: Option<usize>,
}

impl CodeArgs {
    /// See [`truncation`].
    pub fn truncation(&self, generator: &Generator) -> Result<Truncation> {
        truncation(self.truncation, self.cutoff, generator)
    }

    /// See [`label`].
    pub fn label(&self, model: &Model, count: usize, device: &Device) -> Result<Option<Tensor<2>>> {
        label(model, self.class, count, device)
    }
}

/// `--class`: the label of `count` pictures, for models that were trained with classes.
///
/// # Errors
/// If it is missing where it is needed, or given where there are no classes.
pub fn label(
    model: &Model,
    class: Option<u32>,
    count: usize,
    device: &Device,
) -> Result<Option<Tensor<2>>> {
    let network: NetworkSettings = model.settings(crate::model::Stage::Stylegan)?;
    let known = || format!("this model has classes 0 to {}", network.classes.saturating_sub(1));
    match (class, network.classes) {
        (None, 0) => Ok(None),
        (Some(class), 0) => Err(Error::user(format!("--class {class}: the model has no classes"))
            .hint("leave the flag out")),
        (None, _) => {
            Err(Error::user("--class is missing: the model was trained with classes").hint(known()))
        }
        (Some(class), classes) if class as usize >= classes => {
            Err(Error::user(format!("--class {class}: there is no such class")).hint(known()))
        }
        (Some(class), classes) => {
            Ok(Some(one_hot(std::iter::repeat_n(class, count), classes, device)))
        }
    }
}

/// `--truncation` and `--cutoff`.
pub fn truncation(psi: f32, cutoff: Option<usize>, generator: &Generator) -> Result<Truncation> {
    if !psi.is_finite() {
        return Err(Error::user(format!("--truncation {psi}: not a number"))
            .hint("1 is none, 0 gives the mean image"));
    }
    let num_ws = generator.synthesis.num_ws();
    match cutoff {
        Some(cutoff) if cutoff > num_ws => {
            Err(Error::user(format!("--cutoff {cutoff}: more than the model's {num_ws} layers"))
                .hint("leave it out to truncate all of them"))
        }
        cutoff => Ok(Truncation { psi, cutoff }),
    }
}

/// Photographs that are worked on at once: a folder of them does not fit any memory.
pub const AT_ONCE: usize = 32;

/// Photographs, each side×side.
pub fn photos(paths: &[PathBuf], side: usize) -> Result<Vec<RgbImage>> {
    paths.iter().map(|path| open_photo(path, side)).collect()
}

/// Pictures of one size as a batch [N, 3, side, side].
pub fn batch(pictures: &[RgbImage], side: usize, device: &Device) -> Tensor<4> {
    let pixels: Vec<u8> = pictures.iter().flat_map(|image| image.as_raw().clone()).collect();
    picture::to_tensor(&pixels, side, device)
}

/// Codes [N, layers, w_dim] as the file that `sample --latents` reads.
pub fn write_codes(path: &Path, codes: Tensor<3>) -> Result<()> {
    codes_file(codes).write(path)
}

/// Enlarged so that people can see it.
pub fn visible(image: &RgbImage) -> RgbImage {
    picture::enlarge(image, 128u32.div_ceil(image.width().max(1)).max(1))
}
