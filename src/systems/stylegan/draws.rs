//! Random draws of one phase of an iteration, as functions of (seed, phase, nimg).

use std::iter;
use std::ops::Range;

use burn::tensor::{Device, Tensor, TensorData};
use rand::Rng;

use super::augment::Transform;
use super::conditioning::{Conditioning, Weights};
use super::settings::RandomNumbers;
use super::{Generator, LayerCodes, Noise, StyleganSettings};
use crate::draws;
use crate::error::Result;
use crate::nn::Dual;
use crate::nn::linear::normalize_second_moment;
use crate::nn::packed::{normals, upload};
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
        let mut label = draws::stream(self.seed, &format!("label.{phase}"), self.nimg);
        // The z of an image lie next to each other, so that a round takes both with one view.
        let codes = if mixes { 2 } else { 1 };
        let drawn = match self.settings.rng {
            RandomNumbers::Philox => {
                let sequence = draws::sequence(self.seed, &format!("latents.{phase}"), self.nimg);
                let noise = generator.synthesis.noise_counts(count);
                normals(sequence, 1.0, iter::once(count * codes * z_dim).chain(noise), self.device)
            }
            RandomNumbers::Chacha => {
                let mut arrays = vec![self.host_z(phase, mixes, count)];
                let mut rng = draws::stream(self.seed, &format!("noise.{phase}"), self.nimg);
                arrays.extend(generator.synthesis.noise_values(&mut rng, count));
                upload(arrays, self.device)
            }
        };
        let mut tensors = drawn.into_iter();
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

    /// z `[count, 1 or 2, z_dim]`, drawn with ChaCha on the host.
    fn host_z(&self, phase: &str, mixes: bool, count: usize) -> Vec<f32> {
        let z_dim = self.settings.network.z_dim;
        let z = |purpose: &str| {
            let mut rng = draws::stream(self.seed, &format!("z.{phase}{purpose}"), self.nimg);
            draws::normal(&mut rng, count * z_dim)
        };
        if mixes { alternating(&z(""), &z(".mixed"), z_dim) } else { z("") }
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
        let shape = [count, 3, res, res];
        let (size, std) = (shape.iter().product(), 1.0 / res as f32);
        match self.settings.rng {
            RandomNumbers::Philox => {
                let sequence = draws::sequence(self.seed, "pl.greg", self.nimg);
                let mut drawn = normals(sequence, std, [size], self.device);
                drawn.swap_remove(0).reshape(shape)
            }
            RandomNumbers::Chacha => {
                let mut rng = draws::stream(self.seed, "pl.greg", self.nimg);
                let mut values = draws::normal(&mut rng, size);
                values.iter_mut().for_each(|value| *value *= std);
                Tensor::from_data(TensorData::new(values, shape), self.device)
            }
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::Init;
    use crate::nn::params::to_vec;
    use crate::systems::stylegan::conditioning::Classes;

    /// z, the noise of each layer, and the noise of path-length regularisation.
    fn drawn(rng: RandomNumbers, style_mixing: f64) -> (Vec<f32>, Vec<Vec<f32>>, Vec<f32>) {
        let device = Device::flex();
        let mut settings = StyleganSettings::auto(16, Some(4));
        settings.network.channel_base = 64;
        settings.network.z_dim = 6;
        (settings.rng, settings.style_mixing) = (rng, style_mixing);
        let generator = Generator::new(&settings.network, &mut Init::new(0, "g", &device));
        let conditioning = &Classes(None);
        let source = Source {
            settings: &settings,
            conditioning,
            p: None,
            seed: 3,
            nimg: 64,
            device: &device,
        };
        let latents = source.latents("gmain", 5, &generator).unwrap();
        let Noise::Explicit(noise) = latents.noise else { panic!("the noise must be explicit") };
        let noise = noise.into_iter().map(to_vec).collect();
        (to_vec(latents.z), noise, to_vec(source.path_noise(2)))
    }

    /// z after the generator's normalisation.
    fn normalized(mut z: Vec<f32>) -> Vec<f32> {
        for z in z.chunks_mut(6) {
            let square = z.iter().map(|v| v * v).sum::<f32>() / 6.0;
            z.iter_mut().for_each(|v| *v /= (square + 1e-8).sqrt());
        }
        z
    }

    #[track_caller]
    fn close(found: &[f32], expected: &[f32]) {
        assert_eq!(found.len(), expected.len());
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-5));
    }

    /// The numbers that runs of earlier versions began with.
    #[test]
    fn chacha_draws_what_earlier_versions_drew() {
        let stream = |purpose: &str| draws::stream(3, purpose, 64);
        let (z, noise, path) = drawn(RandomNumbers::Chacha, 1.0);
        let mut rng = stream("noise.gmain");
        for (layer, side) in noise.iter().zip([4, 8, 8, 16, 16]) {
            assert_eq!(*layer, draws::normal(&mut rng, 5 * side * side));
        }
        let z_of = |purpose: &str| normalized(draws::normal(&mut stream(purpose), 5 * 6));
        close(&z, &alternating(&z_of("z.gmain"), &z_of("z.gmain.mixed"), 6));
        let expected = draws::normal(&mut stream("pl.greg"), 2 * 3 * 16 * 16);
        close(&path, &expected.iter().map(|value| value / 16.0).collect::<Vec<_>>());
        let settings = toml::to_string(&StyleganSettings::auto(16, None)).unwrap();
        let earlier = settings.replace("rng = \"philox\"\n", "");
        assert_ne!(earlier, settings);
        let earlier: StyleganSettings = toml::from_str(&earlier).unwrap();
        assert_eq!(earlier.rng, RandomNumbers::Chacha);
    }

    /// Later versions must draw the same numbers, or resumed runs would differ from uninterrupted ones.
    #[test]
    fn philox_draws_parts_of_one_sequence_for_each_phase() {
        let of = |purpose: &str, first: usize, count: usize| {
            let mut values = vec![0.0; count];
            draws::sequence(3, purpose, 64).fill_normal(first, 1.0, &mut values);
            values
        };
        for (mixing, codes) in [(1.0, 2), (0.0, 1)] {
            let (z, noise, path) = drawn(RandomNumbers::Philox, mixing);
            close(&z, &normalized(of("latents.gmain", 0, 5 * codes * 6)));
            let mut first = 64;
            for (layer, side) in noise.iter().zip([4, 8, 8, 16, 16]) {
                let count: usize = 5 * side * side;
                assert_eq!(*layer, of("latents.gmain", first, count));
                first += count.next_multiple_of(64);
            }
            let expected = of("pl.greg", 0, 2 * 3 * 16 * 16);
            close(&path, &expected.iter().map(|value| value / 16.0).collect::<Vec<_>>());
        }
    }
}
