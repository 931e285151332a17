//! The model sections of AttnGAN and MirrorGAN: their networks, and how they are loaded.

use burn::tensor::Device;

use super::{AttentionGanNetwork, Generator};
use crate::error::Result;
use crate::model::{Model, Section};
use crate::nn::Init;
use crate::systems::damsm::DAMSM;
use crate::systems::text_gan::caption_vectors::SENTENCES;
use crate::systems::text_gan::critics::CRITICS;
use crate::systems::text_gan::drawing::{self, R_EMA};

/// The networks of a model.
const NETWORKS: &[&str] = &[R_EMA, CRITICS[0], CRITICS[1], CRITICS[2], CRITICS[3], CRITICS[4]];

/// The model section of AttnGAN.
pub static ATTN_GAN: Section = Section {
    name: "attngan",
    command: "train-baseline",
    networks: NETWORKS,
    training_only: &CRITICS,
    texts: &[],
    tensors: &[SENTENCES],
    fitted_to: &[&DAMSM],
};

/// The model section of MirrorGAN.
pub static MIRROR_GAN: Section = Section { name: "mirrorgan", ..ATTN_GAN };

/// The generator of a model, for captions with vectors of length `sentence`.
///
/// # Errors
/// If the model does not hold one, or is damaged.
pub fn load_generator(
    model: &Model,
    network: &AttentionGanNetwork,
    sentence: usize,
    device: &Device,
) -> Result<Generator> {
    let shapes = Generator::shapes(network, sentence);
    let build = || Generator::new(network, sentence, &mut Init::zeros(device));
    drawing::load_generator(model, &shapes, build)
}
