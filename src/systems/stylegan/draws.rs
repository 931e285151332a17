//! Random draws of one phase of an iteration, as functions of (seed, phase, nimg).

use std::ops::Range;

use burn::tensor::{Device, Tensor, TensorData};
use rand::Rng;

use super::augment::Transform;
use super::conditioning::{Conditioning, Weights};
use super::{Generator, LayerCodes, Noise, StyleganSettings};
use crate::draws;
use crate::error::Result;
use crate::nn::Dual;
use crate::nn::linear::normalize_second_moment;
use crate::nn::params::upload;
use crate::train::rounds::rows;

/// On a GPU, margins of augmentation are multiples of this, because each new shape may require
/// compiling and tuning a kernel.
const MARGIN_STEP: usize = 8;

/// Source of the random draws of an iteration.
pub(in crate::systems) struct Source<'a, C> {
    pub settings: &'a StyleganSettings,
    pub conditioning: &'a C,
    /// Probability of augmentation; `None` for no augmentation.
    pub p: Option<f64>,
    pub seed: u64,
    pub nimg: u64,
    pub device: &'a Device,
}

impl<C: Conditioning> Source<'_, C> {
    fn normal<const D: usize>(&self, purpose: &str, shape: [usize; D], std: f32) -> Tensor<D> {
        let mut rng = draws::stream(self.seed, purpose, self.nimg);
        let mut values = draws::normal(&mut rng, shape.iter().product());
        if std != 1.0 {
            values.iter_mut().for_each(|v| *v *= std);
        }
        Tensor::from_data(TensorData::new(values, shape), self.device)
    }

    /// Latents, conditions and noise for `count` generated images of `phase`.
    ///
    /// # Errors
    /// If a caption cannot be read.
    pub fn latents(&self, phase: &str, count: usize, generator: &Generator) -> Result<Latents> {
        let z_dim = self.settings.network.z_dim;
        let num_ws = self.settings.network.num_ws();
        let mut rng = draws::stream(self.seed, &format!("mixing.{phase}"), self.nimg);
        let mixes = rng.random::<f64>() < self.settings.style_mixing;
        let crossover = rng.random_range(1..num_ws);
        let mut noise = draws::stream(self.seed, &format!("noise.{phase}"), self.nimg);
        let mut label = draws::stream(self.seed, &format!("label.{phase}"), self.nimg);
        let z = |purpose: &str| {
            let mut rng = draws::stream(self.seed, &format!("z.{phase}{purpose}"), self.nimg);
            draws::normal(&mut rng, count * z_dim)
        };
        // The z of an image lie next to each other, so that a round takes both with one view.
        let (z, codes) = match mixes {
            true => (alternating(&z(""), &z(".mixed"), z_dim), 2),
            false => (z(""), 1),
        };
        let mut arrays = vec![z];
        arrays.extend(generator.synthesis.noise_values(&mut noise, count));
        let mut tensors = upload(arrays, self.device).into_iter();
        let z = tensors.next().expect("one for each array");
        // For all rounds at once.
        let z = normalize_second_moment(z.reshape([count * codes, z_dim]));
        Ok(Latents {
            z: z.reshape([count, codes, z_dim]),
            crossover: if mixes { crossover } else { num_ws },
            label: self.conditioning.draw(Weights::Current, &mut label, count, self.device)?,
            conditioned: self.conditioned(phase, count),
            noise: generator.synthesis.noise_of(tensors, count),
            num_ws,
        })
    }

    /// Mask `[count]` of the generated images that D judges with their condition: 1 for these, 0
    /// for the others. `None` if all real images have a condition, or none has.
    ///
    /// The fraction is that of the real images. If D judged all generated images with their
    /// condition, every image without one would be real.
    pub fn conditioned(&self, phase: &str, count: usize) -> Option<Tensor<1>> {
        let share = self.conditioning.share().filter(|&share| share < 1.0)?;
        // The name of the stream must stay: another one would change the draws of existing runs.
        let mut rng = draws::stream(self.seed, &format!("said.{phase}"), self.nimg);
        let mask = (0..count).map(|_| f32::from(u8::from(rng.random::<f64>() < share))).collect();
        Some(Tensor::from_data(TensorData::new(mask, [count]), self.device))
    }

    /// The augmentation of the `count` images that D sees for `purpose`; `None` for no
    /// augmentation.
    pub fn transform(&self, purpose: &str, count: usize) -> Option<Transform> {
        let res = self.settings.network.resolution;
        let drawn = Transform::draw(self.seed, purpose, self.nimg, count, self.p?, [res, res]);
        // On the CPU new shapes cost nothing, and exact margins have the fewest pixels.
        let exact = self.device.clone().without_autodiff() == Device::flex();
        Some(if exact { drawn } else { drawn.with_margin_step(MARGIN_STEP) })
    }

    /// y of path-length regularisation: N(0, 1)/√(H·W), `[count, 3, res, res]`.
    pub fn path_noise(&self, count: usize) -> Tensor<4> {
        let res = self.settings.network.resolution;
        self.normal("pl.greg", [count, 3, res, res], 1.0 / res as f32)
    }
}

/// The rows of two matrices with `columns` columns in turns.
fn alternating(first: &[f32], second: &[f32], columns: usize) -> Vec<f32> {
    let rows = first.chunks_exact(columns).zip(second.chunks_exact(columns));
    rows.flat_map(|(first, second)| first.iter().chain(second)).copied().collect()
}

/// Latents, conditions and noise of generated images.
pub(in crate::systems) struct Latents {
    /// `[N, 1 or 2, z_dim]`, of unit mean square: the second z of an image is that of style mixing.
    z: Tensor<3>,
    /// The first layer that uses the second z.
    crossover: usize,
    pub label: Option<Tensor<2>>,
    /// See [`Source::conditioned`].
    pub conditioned: Option<Tensor<1>>,
    pub noise: Noise,
    num_ws: usize,
}

impl Latents {
    /// The draws of some of the images.
    pub fn part(&self, range: &Range<usize>) -> Self {
        Self {
            z: rows(&self.z, range),
            crossover: self.crossover,
            label: self.label.as_ref().map(|label| rows(label, range)),
            conditioned: self.conditioned.as_ref().map(|mask| rows(mask, range)),
            noise: match &self.noise {
                Noise::Explicit(draws) => {
                    Noise::Explicit(draws.iter().map(|noise| rows(noise, range)).collect())
                }
                other => other.clone(),
            },
            num_ws: self.num_ws,
        }
    }

    /// The w of every layer through the mapping network, and the w `[N, w_dim]` that w_avg follows.
    pub fn codes(&self, generator: &Generator) -> (LayerCodes, Tensor<2>) {
        let [n, codes, z_dim] = self.z.dims();
        let label = self.label.clone().map(|label| {
            let [_, size] = label.dims();
            label.reshape([1, n, size]).expand([codes, n, size]).reshape([codes * n, size])
        });
        let z = self.z.clone().swap_dims(0, 1).reshape([codes * n, z_dim]);
        let ws = generator.mapping.forward_normalized(Some(z), label);
        let first = ws.clone().narrow(0, 0, n);
        (LayerCodes::mixed(ws, codes, self.crossover, self.num_ws), first)
    }
}

/// Augments `images`, which are the part `range` of the batch that `transform` was drawn for.
pub(super) fn augmented(
    images: Dual<4>,
    transform: &Option<Transform>,
    range: &Range<usize>,
) -> Dual<4> {
    match transform {
        Some(transform) => transform.part(range).apply(images),
        None => images,
    }
}
