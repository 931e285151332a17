//! The generator of StackGAN++ as it draws, with standing statistics.

use burn::tensor::Tensor;

use super::{Generator, StackganNetwork};
use crate::nn::Statistics;
use crate::systems::text_gan::drawing::CaptionGenerator;

/// A generator that draws. The noise of an image is z, followed by the noise of its condition.
#[derive(Clone)]
pub struct DrawingGenerator {
    /// The network.
    pub generator: Generator,
    /// Its architecture.
    pub network: StackganNetwork,
}

impl DrawingGenerator {
    /// Images of z `[N, z_dim]` and conditions `[N, condition]`, in one of the sizes.
    pub fn image(&self, z: Tensor<2>, condition: Tensor<2>, size: usize) -> Tensor<4> {
        self.generator.image(z, condition, Statistics::Standing, size)
    }
}

/// The code of an image is z, followed by its condition, so that codes between two captions are
/// between their conditions.
impl CaptionGenerator for DrawingGenerator {
    fn sizes(&self) -> Vec<usize> {
        self.network.image_sides()
    }

    fn noise_size(&self) -> usize {
        self.network.input_size()
    }

    fn z_size(&self) -> usize {
        self.network.z_dim
    }

    fn code_size(&self, _sentence: usize) -> usize {
        self.network.input_size()
    }

    fn codes(&self, noise: Tensor<2>, captions: Tensor<2>) -> Tensor<2> {
        let (z, condition) = self.generator.inputs(noise, Some(captions));
        Tensor::cat(vec![z, condition], 1)
    }

    fn images(&self, codes: Tensor<2>, size: usize) -> Tensor<4> {
        let z = codes.clone().narrow(1, 0, self.network.z_dim);
        let condition = codes.narrow(1, self.network.z_dim, self.network.condition);
        self.image(z, condition, size)
    }
}
