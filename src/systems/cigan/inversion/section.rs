//! The model section of stage 2: its networks, and how they are loaded.

use burn::module::Module;
use burn::tensor::Device;

use super::Encoder;
use crate::error::{Error, Result};
use crate::model::{Model, Section};
use crate::nn::Init;
use crate::systems::stylegan::STYLEGAN;

/// Prefix of the encoder in models and checkpoints.
pub const E: &str = "E";
/// Prefix of the latent discriminator in models and checkpoints.
pub const D_W: &str = "D_w";
/// Tensor with the units of the discriminator's perceptual distance, one value per layer.
pub const PERCEPTUAL_UNITS: &str = "perceptual_units";
/// Key of the name of the features that the perceptual loss compared.
pub const PERCEPTUAL: &str = "perceptual";

/// The model section of stage 2, with E and D_w.
pub static INVERSION: Section = Section {
    name: "inversion",
    command: "invert",
    networks: &[E, D_W],
    training_only: &[D_W],
    texts: &[PERCEPTUAL],
    tensors: &[PERCEPTUAL_UNITS],
    fitted_to: &[&STYLEGAN],
};

/// The encoder of a model.
///
/// # Errors
/// If the model does not contain one.
pub fn load_encoder(model: &Model, device: &Device) -> Result<Encoder> {
    let settings = model.settings(&INVERSION)?;
    let network = model.settings(&STYLEGAN)?;
    let build = || Encoder::new(&settings, &network, &mut Init::new(0, "encoder", device));
    Ok(model.restore(E, &Encoder::shapes(&settings, &network), build)?.valid())
}

/// Name of the features that E's perceptual loss compared: `discriminator`, `squeezenet`, `vgg16`
/// or an LPIPS trunk. `None` before stage 2, and for older models, which do not store it.
pub fn perceptual_of(model: &Model) -> Option<&str> {
    model.text(PERCEPTUAL)
}

/// The error of a model without units of the perceptual distance.
pub fn no_units(name: &str) -> Error {
    Error::user(format!("{name}: contains no units for the perceptual distance"))
        .hint("train it again with `cigan invert`")
}
