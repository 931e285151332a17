//! The style space of a generator that is unconditional or conditioned on classes.

use burn::tensor::{Device, Tensor};

use super::Generator;
use super::labels::of_class;
use super::mapping::expand;
use super::sample::latents;
use super::sampler::noise_of_seeds;
use crate::error::Result;
use crate::systems::StyleSpace;
use crate::systems::requests::Truncation;
use crate::train::evaluator::SampleNoise;

/// A generator with its number of classes.
pub struct Styles {
    /// The generator, without automatic differentiation.
    pub generator: Generator,
    /// Number of classes; 0 if it is unconditional.
    pub classes: usize,
    /// The device of the generator.
    pub device: Device,
}

impl StyleSpace for Styles {
    fn z_dim(&self) -> usize {
        self.generator.mapping.z_dim()
    }

    fn w_dim(&self) -> usize {
        self.generator.mapping.w_dim()
    }

    fn num_ws(&self) -> usize {
        self.generator.synthesis.num_ws()
    }

    fn z(&self, seeds: &[u64]) -> Tensor<2> {
        latents(seeds, None, self.z_dim(), &self.device)
    }

    fn map(&self, z: Tensor<2>, class: Option<u32>, truncation: Truncation) -> Result<Tensor<3>> {
        let label = of_class(class, z.dims()[0], self.classes, &self.device)?;
        Ok(self.generator.ws(z, label, truncation))
    }

    fn render(&self, styles: Tensor<3>, noise: SampleNoise, seeds: &[u64]) -> Tensor<4> {
        render(&self.generator, styles, noise, seeds, &self.device)
    }
}

/// Images `[N, 3, res, res]` of styles `[N, 1 or num_ws, w_dim]`, with the noise of the seeds.
pub fn render(
    generator: &Generator,
    styles: Tensor<3>,
    noise: SampleNoise,
    seeds: &[u64],
    device: &Device,
) -> Tensor<4> {
    let noise = noise_of_seeds(generator, seeds, noise, device);
    generator.synthesize(expand(styles, generator.synthesis.num_ws()), &noise)
}
