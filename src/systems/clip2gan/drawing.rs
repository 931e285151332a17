//! What draws: the mapper, the generator, and the noise of seeds.

use burn::tensor::{Device, Tensor};

use super::{Mapper, Noise};
use crate::error::Result;
use crate::systems::gan::latents;
use crate::systems::requests::Vary;
use crate::systems::stylegan::Generator;
use crate::systems::stylegan::sample::render;
use crate::systems::stylegan::sampler::noise_of_seeds;
use crate::train::evaluator::{ImageSampler, SampleNoise};

/// A generator with the mapper to its codes.
#[derive(Clone)]
pub struct Drawing {
    /// G.
    pub generator: Generator,
    /// M.
    pub mapper: Mapper,
    /// The noise on the vectors.
    pub noise: Noise,
    /// Where they compute.
    pub device: Device,
}

impl Drawing {
    /// The mean code `[1, 1, w_dim]`.
    pub fn mean_code(&self) -> Tensor<3> {
        mean_code(&self.generator, &self.device)
    }

    /// Codes `[N, num_ws, w_dim]` of unit vectors `[N, size]`.
    pub fn codes(&self, vectors: Tensor<2>) -> Tensor<3> {
        self.mean_code() + self.mapper.forward(vectors)
    }

    /// Codes `[N, num_ws, w_dim]` of unit vectors `[N, size]` with the noise of seeds; `psi` is the
    /// amount of noise.
    pub fn codes_of_seeds(
        &self,
        vectors: Tensor<2>,
        seeds: &[u64],
        vary: Option<Vary>,
        psi: f64,
    ) -> Tensor<3> {
        let normal = latents(seeds, vary, vectors.dims()[1], &self.device);
        self.codes(self.noise.apply(vectors, normal, psi))
    }

    /// Images `[N, 3, res, res]` of codes `[N, 1 or num_ws, w_dim]`.
    pub fn render(&self, codes: Tensor<3>) -> Tensor<4> {
        render(&self.generator, codes)
    }
}

/// The mean code of a generator `[1, 1, w_dim]`; zeros if it was imported without one.
pub fn mean_code(generator: &Generator, device: &Device) -> Tensor<3> {
    let mapping = &generator.mapping;
    let shape = [1, 1, mapping.w_dim()];
    match &mapping.w_avg {
        Some(w_avg) => w_avg.val().to_device(device).reshape(shape),
        None => Tensor::zeros(shape, device),
    }
}

/// Samples of vectors that `vectors` maps seeds to.
pub struct VectorSampler<'a, F> {
    drawing: &'a Drawing,
    vectors: F,
    note: &'static str,
}

impl<'a, F: Fn(&[u64]) -> Result<Tensor<2>>> VectorSampler<'a, F> {
    /// A sampler; see [`ImageSampler::note`] for `note`.
    pub fn new(drawing: &'a Drawing, note: &'static str, vectors: F) -> Self {
        Self { drawing, vectors, note }
    }
}

impl<F: Fn(&[u64]) -> Result<Tensor<2>>> ImageSampler for VectorSampler<'_, F> {
    fn images(&self, seeds: &[u64], psi: f32, noise: SampleNoise) -> Result<Tensor<4>> {
        let drawing = self.drawing;
        let codes = drawing.codes_of_seeds((self.vectors)(seeds)?, seeds, None, psi.into());
        let noise = noise_of_seeds(&drawing.generator, seeds, noise, &drawing.device);
        Ok(drawing.generator.synthesize(codes, &noise))
    }

    fn note(&self) -> &'static str {
        self.note
    }
}
