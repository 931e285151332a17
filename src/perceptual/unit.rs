//! Distances of features, made comparable across networks and weight files.

use burn::tensor::{Device, Tensor};

use super::Features;
use crate::data::{Archive, Split};
use crate::draws;
use crate::error::Result;
use crate::nn::params::to_vec;
use crate::picture;

/// Pairs of real images that define the unit.
const PAIRS: usize = 256;
/// Pairs that are compared at once: VGG16's first layers take 64 MB an image.
const CHUNK: usize = 8;

/// A perceptual distance whose mean over random pairs of real images is one.
///
/// Raw feature distances differ by orders of magnitude between weight files; in this unit a weight
/// means the same for all of them. Every layer is brought to the unit by itself.
pub struct Perceptual {
    features: Box<dyn Features>,
    units: Vec<f32>,
}

impl Perceptual {
    /// Measures the unit on random pairs of training images.
    ///
    /// # Errors
    /// If the archive cannot be read.
    pub fn calibrate(
        features: Box<dyn Features>,
        archive: &Archive,
        seed: u64,
        device: &Device,
    ) -> Result<Self> {
        let indices = archive.indices_of(Split::Train);
        let pairs = PAIRS.min(indices.len().max(2) / 2 * indices.len().saturating_sub(1)).max(1);
        let pick = |side: &str| -> Vec<usize> {
            use rand::Rng;
            let mut rng = draws::stream(seed, side, 0);
            (0..pairs).map(|_| indices[rng.random_range(0..indices.len())]).collect()
        };
        let (left, right) = (pick("perceptual.left"), pick("perceptual.right"));
        let mut sums: Vec<f64> = Vec::new();
        let mut counted = 0usize;
        for (left, right) in left.chunks(CHUNK).zip(right.chunks(CHUNK)) {
            // An image and itself say nothing about the distance of two images.
            let distinct: Vec<(usize, usize)> =
                left.iter().copied().zip(right.iter().copied()).filter(|(a, b)| a != b).collect();
            if distinct.is_empty() {
                continue;
            }
            let images = |side: Vec<usize>| -> Result<Tensor<4>> {
                Ok(picture::to_tensor(&archive.pixels(&side)?, archive.resolution(), device))
            };
            let a = features.extract(images(distinct.iter().map(|p| p.0).collect())?);
            let b = features.extract(images(distinct.iter().map(|p| p.1).collect())?);
            sums.resize(a.len(), 0.0);
            for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
                *sum += to_vec(squared(a, b)).iter().map(|&v| f64::from(v)).sum::<f64>();
            }
            counted += distinct.len();
        }
        let units = sums
            .iter()
            .map(|sum| if *sum > 0.0 { (sum / counted as f64) as f32 } else { 1.0 })
            .collect();
        Ok(Self { features, units })
    }

    /// With units measured before, one a layer.
    pub fn with_units(features: Box<dyn Features>, units: Vec<f32>) -> Self {
        Self { features, units }
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

/// Mean square of the difference per image: [N, …]² → [N].
fn squared(a: Tensor<4>, b: Tensor<4>) -> Tensor<1> {
    let [n, c, h, w] = a.dims();
    let difference = a - b;
    (difference.clone() * difference).reshape([n, c * h * w]).mean_dim(1).reshape([n])
}
