//! Perceptual features of the stage-1 discriminator, which fit the domain and need no weight file.

use burn::module::Module;
use burn::tensor::Tensor;

use super::Discriminator;
use crate::nn::resize::bilinear;
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
