//! Perceptual features of the stage-1 discriminator, which fit the domain and need no weight file.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::Discriminator;
use super::section::{D, G_EMA, STYLEGAN, load_discriminator};
use crate::error::Result;
use crate::model::Model;
use crate::nn::resize::bilinear;
use crate::tensorfile::HostTensor;
use crate::vision::Features;

/// Number of blocks before the epilogue whose outputs are compared.
const BLOCKS: usize = 3;

/// Outputs of the last blocks of a frozen discriminator, at its own resolution.
pub struct DiscriminatorFeatures {
    network: Discriminator,
}

impl DiscriminatorFeatures {
    /// Features from the discriminator's current weights.
    pub fn new(network: &Discriminator) -> Self {
        Self { network: network.valid() }
    }
}

impl Features for DiscriminatorFeatures {
    fn name(&self) -> &'static str {
        "discriminator"
    }

    fn extract(&self, images: Tensor<4>) -> Vec<Tensor<4>> {
        // Every block halves the side, down to 4 pixels at the epilogue.
        let side = 4 << self.network.blocks.len();
        self.network.features(bilinear(images, side).into(), BLOCKS).1
    }
}

/// A copy of a model that contains only D and its settings, to build features from it later.
pub fn critic_of(model: &Model) -> Model {
    let mut critic = model.only(&[&STYLEGAN]);
    critic.remove(G_EMA);
    critic
}

/// The features of a model's own discriminator.
///
/// # Errors
/// If the model contains no discriminator.
pub fn own_features(critic: &Model, device: &Device) -> Result<Box<dyn Features>> {
    let d = load_discriminator(critic, device).map_err(|error| match critic.has_network(D) {
        true => error,
        false => error.hint(
            "the model was exported without a discriminator: give --features squeezenet=FILE or \
             pixels, and --perceptual squeezenet=FILE or vgg16=FILE",
        ),
    })?;
    Ok(Box::new(DiscriminatorFeatures::new(&d)))
}

/// Weights of the last layer of a model's own discriminator, which differ from those of others.
pub fn own_features_mark(critic: &Model) -> Option<Vec<f32>> {
    critic.tensor("D.b4.out.weight").map(HostTensor::to_f32)
}
