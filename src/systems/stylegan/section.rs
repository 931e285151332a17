//! The model section of stage 1: its networks, and how they are loaded.

use burn::module::Module;
use burn::tensor::Device;

use super::{Discriminator, Generator, NetworkSettings, shapes};
use crate::error::{Error, Result};
use crate::model::{Model, Section, TUNING};
use crate::nn::Init;

/// Prefix of the averaged generator in models and checkpoints.
pub const G_EMA: &str = "G_ema";
/// Prefix of the discriminator in models and checkpoints.
pub const D: &str = "D";

/// The model section of stage 1, with M, G and D.
pub static STYLEGAN: Section = Section {
    name: "stylegan",
    command: "train-stylegan",
    networks: &[G_EMA, D],
    training_only: &[D],
    texts: &[TUNING],
    tensors: &[],
    fitted_to: &[],
};

/// The averaged generator of a model.
///
/// # Errors
/// If the model does not contain one.
pub fn load_generator(model: &Model, device: &Device) -> Result<Generator> {
    let settings: NetworkSettings = model.settings(&STYLEGAN)?;
    let build = || Generator::new(&settings, &mut Init::new(0, "generator", device));
    Ok(model.restore(G_EMA, &shapes::generator(&settings), build)?.valid())
}

/// The discriminator of a model.
///
/// # Errors
/// If the model does not contain one.
pub fn load_discriminator(model: &Model, device: &Device) -> Result<Discriminator> {
    let settings: NetworkSettings = model.settings(&STYLEGAN)?;
    if !model.has_network(D) {
        return Err(Error::user(format!("{}: contains no discriminator", model.name())).hint(
            "use the full model; this one was exported with --only generator or imported without one",
        ));
    }
    let build = || Discriminator::new(&settings, &mut Init::new(0, "discriminator", device));
    Ok(model.restore(D, &shapes::discriminator(&settings), build)?.valid())
}
