//! The sampler for evaluation, with conditions if the networks have any.

use burn::tensor::{Device, Tensor};

use super::generator::Truncation;
use super::{Generator, Noise};
use crate::draws;
use crate::error::Result;
use crate::systems::gan::latents;
use crate::train::evaluator::{ImageSampler, SampleNoise};

/// Draws samples of a generator. `conditions` maps seeds to their conditions `[N, condition]`.
pub struct SeededSampler<'a, F> {
    generator: &'a Generator,
    device: &'a Device,
    conditions: F,
}

impl<'a, F: Fn(&[u64]) -> Result<Option<Tensor<2>>>> SeededSampler<'a, F> {
    /// A sampler on `device`, the generator's device without automatic differentiation.
    pub fn new(generator: &'a Generator, device: &'a Device, conditions: F) -> Self {
        Self { generator, device, conditions }
    }
}

impl<F: Fn(&[u64]) -> Result<Option<Tensor<2>>>> ImageSampler for SeededSampler<'_, F> {
    fn images(&self, seeds: &[u64], psi: f32, noise: SampleNoise) -> Result<Tensor<4>> {
        let z = latents(seeds, None, self.generator.mapping.z_dim(), self.device);
        let ws = self.generator.ws(z, (self.conditions)(seeds)?, Truncation::psi(psi));
        let noise = noise_of_seeds(self.generator, seeds, noise, self.device);
        Ok(self.generator.synthesize(ws, &noise))
    }
}

/// The noise of the samples with these seeds.
pub fn noise_of_seeds(
    generator: &Generator,
    seeds: &[u64],
    noise: SampleNoise,
    device: &Device,
) -> Noise {
    match noise {
        SampleNoise::Constant => Noise::Const,
        SampleNoise::None => Noise::None,
        SampleNoise::Random => {
            let mut rngs: Vec<_> =
                seeds.iter().map(|&seed| draws::stream(seed, "noise.sample", 0)).collect();
            generator.synthesis.draw_noise_each(&mut rngs, device)
        }
    }
}
