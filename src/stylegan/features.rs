//! Features of the stage-1 discriminator: they know the domain and need no file.

use burn::module::Module;
use burn::tensor::Tensor;

use super::Discriminator;
use crate::perceptual::Features;

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
        self.network.features(images.into(), BLOCKS).1
    }
}
