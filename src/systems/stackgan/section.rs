//! The model section of StackGAN++: its networks, and how they are loaded.

use burn::tensor::Device;

use super::{Generator, StackganNetwork};
use crate::error::Result;
use crate::model::{Model, Section};
use crate::nn::Init;
use crate::systems::damsm::DAMSM;
use crate::systems::text_gan::caption_vectors::SENTENCES;
use crate::systems::text_gan::critics::CRITICS;
use crate::systems::text_gan::drawing::{self, R_EMA};

/// The model section of StackGAN++.
pub static STACKGAN: Section = Section {
    name: "stackgan_v2",
    command: "train-baseline",
    networks: &[R_EMA, CRITICS[0], CRITICS[1], CRITICS[2], CRITICS[3], CRITICS[4]],
    training_only: &CRITICS,
    texts: &[],
    tensors: &[SENTENCES],
    fitted_to: &[&DAMSM],
};

/// The generator of a model, for captions with vectors of length `sentence`.
///
/// # Errors
/// If the model does not hold one, or is damaged.
pub fn load_generator(model: &Model, sentence: usize, device: &Device) -> Result<Generator> {
    let network: StackganNetwork = model.settings(&STACKGAN)?;
    let shapes = Generator::shapes(&network, sentence);
    let build = || Generator::new(&network, sentence, &mut Init::zeros(device));
    drawing::load_generator(model, &shapes, build)
}
