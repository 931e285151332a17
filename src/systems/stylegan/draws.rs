//! Random draws of one phase of an iteration, as functions of (seed, phase, nimg).

use std::ops::Range;

use burn::tensor::{Device, Tensor, TensorData};
use rand::Rng;

use super::augment::Transform;
use super::conditioning::{Conditioning, Weights};
use super::mapping::mix;
use super::{Generator, LayerCodes, Noise, StyleganSettings};
use crate::draws;
use crate::error::Result;
use crate::nn::Dual;
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
        let mut arrays = vec![z("")];
        if mixes {
            arrays.push(z(".mixed"));
        }
        arrays.extend(generator.synthesis.noise_values(&mut noise, count));
        let mut tensors = upload(arrays, self.device).into_iter();
        let mut next = || tensors.next().expect("one for each array").reshape([count, z_dim]);
        Ok(Latents {
            first: next(),
            second: mixes.then(|| (crossover, next())),
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

/// Latents, conditions and noise of generated images.
pub(in crate::systems) struct Latents {
    first: Tensor<2>,
    /// Style mixing: the second z, and the first layer that uses it.
    second: Option<(usize, Tensor<2>)>,
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
            first: rows(&self.first, range),
            second: self.second.as_ref().map(|(layer, z)| (*layer, rows(z, range))),
            label: self.label.as_ref().map(|label| rows(label, range)),
            conditioned: self.conditioned.as_ref().map(|mask| rows(mask, range)),
            noise: match &self.noise {
                Noise::Given(draws) => {
                    Noise::Given(draws.iter().map(|noise| rows(noise, range)).collect())
                }
                other => other.clone(),
            },
            num_ws: self.num_ws,
        }
    }

    /// ws `[N, num_ws, w_dim]` through the mapping network, and the w `[N, w_dim]` that w_avg
    /// follows.
    pub fn ws(&self, generator: &Generator) -> (Tensor<3>, Tensor<2>) {
        let (first, second, crossover) = self.map(generator);
        (mix(first.clone(), second, crossover, self.num_ws), first)
    }

    /// The same ws, layer by layer, and the w `[N, w_dim]` that w_avg follows.
    pub fn codes(&self, generator: &Generator) -> (LayerCodes, Tensor<2>) {
        let (first, second, crossover) = self.map(generator);
        (LayerCodes::mixed(first.clone(), second, crossover, self.num_ws), first)
    }

    /// The w of the first layers, that of the others, and the first of these.
    fn map(&self, generator: &Generator) -> (Tensor<2>, Tensor<2>, usize) {
        let map = |z: &Tensor<2>| generator.mapping.forward(Some(z.clone()), self.label.clone());
        let first = map(&self.first);
        let (crossover, second) = match &self.second {
            Some((layer, z)) => (*layer, map(z)),
            None => (self.num_ws, first.clone()),
        };
        (first, second, crossover)
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
