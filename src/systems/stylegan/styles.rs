//! The style space of a generator.

use burn::tensor::{Device, Tensor};

use super::Generator;
use super::labels::of_class;
use super::mapping::expand;
use super::sampler::noise_of_seeds;
use crate::error::{Error, Result};
use crate::systems::StyleSpace;
use crate::systems::gan::latents;
use crate::systems::requests::Truncation;
use crate::train::evaluator::SampleNoise;

/// A generator with its number of classes.
#[derive(Clone)]
pub struct Styles {
    /// The generator, without automatic differentiation.
    pub generator: Generator,
    /// Number of classes; 0 if it is unconditional.
    pub classes: usize,
    /// The device of the generator.
    pub device: Device,
    /// Why z cannot be mapped without a prompt, if that is so.
    pub prompts_only: Option<PromptsOnly>,
}

/// Message and hint of a model that generates images only from prompts.
#[derive(Clone)]
pub struct PromptsOnly {
    /// The reason.
    pub message: String,
    /// The remedy.
    pub hint: &'static str,
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

    fn check_z(&self) -> Result<()> {
        match &self.prompts_only {
            None => Ok(()),
            Some(reason) => Err(Error::user(&reason.message).hint(reason.hint)),
        }
    }

    fn z(&self, seeds: &[u64]) -> Tensor<2> {
        latents(seeds, None, self.z_dim(), &self.device)
    }

    fn map(&self, z: Tensor<2>, class: Option<u32>, truncation: Truncation) -> Result<Tensor<3>> {
        self.check_z()?;
        let label = of_class(class, z.dims()[0], self.classes, &self.device)?;
        Ok(self.generator.ws(z, label, truncation))
    }

    fn render(&self, styles: Tensor<3>, noise: SampleNoise, seeds: &[u64]) -> Tensor<4> {
        let noise = noise_of_seeds(&self.generator, seeds, noise, &self.device);
        self.generator.synthesize(expand(styles, self.num_ws()), &noise)
    }
}
