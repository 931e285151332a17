//! Features of the stage-1 discriminator: they know the domain and need no file.

use burn::module::Module;
use burn::tensor::Tensor;

use super::Discriminator;
use crate::nn::resize::bilinear;
use crate::vision::Features;

/// Blocks before the epilogue whose outputs are compared.
const BLOCKS: usize = 3;

/// Outputs of the last blocks of a frozen discriminator, at its own resolution.
pub struct DiscriminatorFeatures {
    network: Discriminator,
}

impl DiscriminatorFeatures {
    /// The discriminator's weights as they are now.
    pub fn new(network: &Discriminator) -> Self {
        Self { network: network.valid() }
    }
}

impl Features for DiscriminatorFeatures {
    fn name(&self) -> &'static str {
        "discriminator"
    }

    fn extract(&self, images: Tensor<4>) -> Vec<Tensor<4>> {
        // Every block halves, down to the epilogue's 4 pixels.
        let side = 4 << self.network.blocks.len();
        self.network.features(bilinear(images, side).into(), BLOCKS).1
    }
}
