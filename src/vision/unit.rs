//! Distances of features, made comparable across networks and weight files.

use burn::tensor::{Device, Tensor};

use super::Features;
use crate::data::Archive;
use crate::draws;
use crate::error::{Error, Result};
use crate::nn::params::to_vec;
use crate::picture;

/// Pairs of real images that define the unit.
const PAIRS: usize = 256;
/// Pairs that are compared at once: VGG16's first layers take 64 MB an image.
const CHUNK: usize = 8;
/// Seed of the pairs.
const SEED: u64 = 0;

/// A perceptual distance whose mean over random pairs of real images is one.
///
/// Raw feature distances differ by orders of magnitude between weight files; in this unit a weight
/// means the same for all of them. Every layer is brought to the unit by itself, unless the features
/// weigh their layers against one another.
pub struct Perceptual {
    features: Box<dyn Features>,
    units: Vec<f32>,
}

impl Perceptual {
    /// Measures the unit on random pairs of images `indices` of an archive, the same ones for all
    /// who ask: the unit belongs to the archive, not to a run.
    ///
    /// # Errors
    /// If there are fewer than two images, or the archive cannot be read.
    pub fn calibrate(
        features: Box<dyn Features>,
        archive: &Archive,
        indices: &[usize],
        device: &Device,
    ) -> Result<Self> {
        let pairs = pairs_of(indices);
        if pairs.is_empty() {
            return Err(Error::user(format!(
                "--data: the unit of the perceptual distance is that of two images, and there are {} to measure it on",
                indices.len()
            ))
            .hint("`cigan data info FILE` counts the images of every part; training takes those of `train`"));
        }
        let mut sums: Vec<f64> = Vec::new();
        for chunk in pairs.chunks(CHUNK) {
            let images = |side: Vec<usize>| -> Result<Tensor<4>> {
                Ok(picture::to_tensor(&archive.pixels(&side)?, archive.resolution(), device))
            };
            let a = features.extract(images(chunk.iter().map(|p| p.0).collect())?);
            let b = features.extract(images(chunk.iter().map(|p| p.1).collect())?);
            sums.resize(a.len(), 0.0);
            for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
                *sum += to_vec(squared(a, b)).iter().map(|&v| f64::from(v)).sum::<f64>();
            }
        }
        let mut means: Vec<f64> = sums.iter().map(|sum| sum / pairs.len() as f64).collect();
        if features.weighs_layers() {
            // What a layer counts for is said by its weights: only their sum has a unit.
            let mean = means.iter().sum::<f64>() / means.len() as f64;
            means.fill(mean);
        }
        let units = means.into_iter().map(|m| if m > 0.0 { m as f32 } else { 1.0 }).collect();
        Ok(Self { features, units })
    }

    /// With units measured before, one a layer.
    pub fn with_units(features: Box<dyn Features>, units: Vec<f32>) -> Self {
        Self { features, units }
    }

    /// The plain sum over the layers, as published numbers have it.
    pub fn without_unit(features: Box<dyn Features>, device: &Device) -> Self {
        let layers = features.extract(Tensor::zeros([1, 3, 64, 64], device)).len();
        Self { features, units: vec![1.0 / layers as f32; layers] }
    }

    /// One unit a layer.
    pub fn units(&self) -> &[f32] {
        &self.units
    }

    /// Name of the features.
    pub fn name(&self) -> &'static str {
        self.features.name()
    }

    /// Distances of images x, y [N, 3, H, W] → [N].
    pub fn distances(&self, x: Tensor<4>, y: Tensor<4>) -> Tensor<1> {
        let x = self.features.extract(x);
        self.distances_to(x, y)
    }

    /// What [`distances_to`](Self::distances_to) needs of an image that stays the same.
    pub fn features(&self, x: Tensor<4>) -> Vec<Tensor<4>> {
        self.features.extract(x)
    }

    /// Distances of images y [N, 3, H, W] from images of given features → [N].
    pub fn distances_to(&self, x: Vec<Tensor<4>>, y: Tensor<4>) -> Tensor<1> {
        let y = self.features.extract(y);
        let layers = y.len() as f32;
        let mut total: Option<Tensor<1>> = None;
        for ((x, y), unit) in x.into_iter().zip(y).zip(&self.units) {
            let distance = squared(x, y) / (unit * layers);
            total = Some(match total {
                Some(sum) => sum + distance,
                None => distance,
            });
        }
        total.expect("features have at least one layer")
    }
}

/// Up to [`PAIRS`] random pairs of different images.
fn pairs_of(indices: &[usize]) -> Vec<(usize, usize)> {
    use rand::Rng;
    let n = indices.len();
    if n < 2 {
        return Vec::new();
    }
    let mut rng = draws::stream(SEED, "perceptual.pairs", 0);
    let pairs = PAIRS.min(n * (n - 1));
    (0..pairs)
        .map(|_| {
            let (a, step) = (rng.random_range(0..n), rng.random_range(1..n));
            (indices[a], indices[(a + step) % n])
        })
        .collect()
}

/// Mean square of the difference per image: [N, …]² → [N].
fn squared(a: Tensor<4>, b: Tensor<4>) -> Tensor<1> {
    let [n, c, h, w] = a.dims();
    let difference = a - b;
    (difference.clone() * difference).reshape([n, c * h * w]).mean_dim(1).reshape([n])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_of_two_images() {
        assert!(pairs_of(&[]).is_empty() && pairs_of(&[5]).is_empty());
        assert!(pairs_of(&[5, 9]).iter().all(|&pair| pair == (5, 9) || pair == (9, 5)));
        let many: Vec<usize> = (10..500).collect();
        let pairs = pairs_of(&many);
        assert_eq!(pairs.len(), PAIRS);
        assert!(pairs.iter().all(|(a, b)| a != b && many.contains(a) && many.contains(b)));
    }
}
