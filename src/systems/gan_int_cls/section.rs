//! The model section of GAN-INT-CLS: its networks, and how they are loaded.

use burn::tensor::Device;

use super::{GanIntClsNetwork, Generator};
use crate::error::Result;
use crate::model::{Model, Section};
use crate::nn::Init;
use crate::systems::damsm::DAMSM;
use crate::systems::text_gan::caption_vectors::SENTENCES;
use crate::systems::text_gan::drawing;
pub use crate::systems::text_gan::drawing::R_EMA;

/// Prefix of the discriminator.
pub const R_D0: &str = "R_D0";

/// The model section of GAN-INT-CLS.
pub static GAN_INT_CLS: Section = Section {
    name: "gan_int_cls",
    command: "train-baseline",
    networks: &[R_EMA, R_D0],
    training_only: &[R_D0],
    texts: &[],
    tensors: &[SENTENCES],
    fitted_to: &[&DAMSM],
};

/// The generator of a model, for captions with vectors of length `sentence`.
///
/// # Errors
/// If the model does not hold one, or is damaged.
pub fn load_generator(model: &Model, sentence: usize, device: &Device) -> Result<Generator> {
    let network: GanIntClsNetwork = model.settings(&GAN_INT_CLS)?;
    let shapes = Generator::shapes(&network, sentence);
    let build = || Generator::new(&network, sentence, &mut Init::zeros(device));
    drawing::load_generator(model, &shapes, build)
}
