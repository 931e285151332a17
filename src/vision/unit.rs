//! Perceptual distances in a unit that is comparable across networks and weight files.

use burn::tensor::{Device, Tensor};

use super::Features;
use crate::data::Archive;
use crate::draws;
use crate::error::{Error, Result};
use crate::nn::params::to_vec;
use crate::picture;

/// Number of pairs of real images that define the unit.
const PAIRS: usize = 256;
/// Pairs per batch. It is small because VGG16's first layers take 64 MB per image.
const CHUNK: usize = 8;
/// Seed of the random pairs.
const SEED: u64 = 0;

/// A perceptual distance whose mean over random pairs of real images is one.
///
/// Raw feature distances differ by orders of magnitude between weight files. In this unit, a loss
/// weight has the same meaning for all of them. Each layer is normalised separately, unless the
/// features already weight their layers against each other.
pub struct Perceptual {
    features: Box<dyn Features>,
    units: Vec<f32>,
}

impl Perceptual {
    /// Measures the unit on random pairs of the archive's images at `indices`. The seed of the
    /// pairs is fixed, so the unit depends on the archive and not on the run.
    ///
    /// # Errors
    /// Fails if there are fewer than two images or the archive cannot be read.
    pub fn calibrate(
        features: Box<dyn Features>,
        archive: &Archive,
        indices: &[usize],
        device: &Device,
    ) -> Result<Self> {
        let pairs = pairs_of(indices);
        if pairs.is_empty() {
            return Err(Error::user(format!(
                "--data: the perceptual distance needs at least two images for its unit, found {}",
                indices.len()
            ))
            .hint("count the images of the `train` split with `cigan data info FILE`"));
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
            // The features weight their layers, so only the sum over the layers is normalised.
            let mean = means.iter().sum::<f64>() / means.len() as f64;
            means.fill(mean);
        }
        let units = means.into_iter().map(|m| if m > 0.0 { m as f32 } else { 1.0 }).collect();
        Ok(Self { features, units })
    }

    /// Uses known units, one per layer.
    ///
    /// # Errors
    /// Fails if their number is not that of the layers, or if one is not positive and finite.
    pub fn with_units(
        features: Box<dyn Features>,
        units: Vec<f32>,
        device: &Device,
    ) -> Result<Self> {
        let layers = layers(&*features, device);
        if units.len() != layers || layers == 0 {
            return Err(Error::user(format!(
                "the perceptual distance has units for {} layers, but its network has {layers}",
                units.len()
            ))
            .hint("train the model again with `cigan invert`"));
        }
        if let Some(unit) = units.iter().find(|unit| !(**unit > 0.0 && unit.is_finite())) {
            return Err(Error::user(format!(
                "a unit of the perceptual distance is {unit}: not a positive number"
            ))
            .hint("train the model again with `cigan invert`"));
        }
        Ok(Self { features, units })
    }

    /// The plain sum over the layers, without a unit, as in published values.
    pub fn without_unit(features: Box<dyn Features>, device: &Device) -> Self {
        let layers = layers(&*features, device);
        Self { features, units: vec![1.0 / layers as f32; layers] }
    }

    /// The units, one per layer.
    pub fn units(&self) -> &[f32] {
        &self.units
    }

    /// Name of the features.
    pub fn name(&self) -> &'static str {
        self.features.name()
    }

    /// Distances of images x, y `[N, 3, H, W]` → `[N]`.
    pub fn distances(&self, x: Tensor<4>, y: Tensor<4>) -> Tensor<1> {
        let x = self.features.extract(x);
        self.distances_to(x, y)
    }

    /// Features `[N, C, H, W]` of fixed images `[N, 3, H, W]`, one per layer, for repeated use in
    /// [`distances_to`](Self::distances_to).
    pub fn features(&self, x: Tensor<4>) -> Vec<Tensor<4>> {
        self.features.extract(x)
    }

    /// Distances of images y `[N, 3, H, W]` from images with features x → `[N]`.
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

/// Number of layers of features.
fn layers(features: &dyn Features, device: &Device) -> usize {
    features.extract(Tensor::zeros([1, 3, 64, 64], device)).len()
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

/// Mean squared difference per image: two batches `[N, C, H, W]` → `[N]`.
fn squared(a: Tensor<4>, b: Tensor<4>) -> Tensor<1> {
    let [n, c, h, w] = a.dims();
    let difference = a - b;
    (difference.clone() * difference).reshape([n, c * h * w]).mean_dim(1).reshape([n])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The image, and the image twice as bright, as features of two layers.
    struct Plain;

    impl Features for Plain {
        fn name(&self) -> &'static str {
            "plain"
        }

        fn extract(&self, images: Tensor<4>) -> Vec<Tensor<4>> {
            vec![images.clone(), images * 2.0]
        }
    }

    #[test]
    fn units_of_a_damaged_file_are_refused() {
        let with = |units: &[f32]| {
            Perceptual::with_units(Box::new(Plain), units.to_vec(), &Device::flex()).map(|_| ())
        };
        assert!(with(&[0.5, 2.0]).is_ok());
        let wrong: [&[f32]; 6] =
            [&[], &[1.0], &[1.0, 1.0, 1.0], &[0.0, 1.0], &[1.0, f32::NAN], &[1.0, -1.0]];
        for units in wrong {
            assert!(with(units).is_err(), "{units:?}");
        }
    }

    #[test]
    fn pairs_consist_of_two_different_images() {
        assert!(pairs_of(&[]).is_empty() && pairs_of(&[5]).is_empty());
        assert!(pairs_of(&[5, 9]).iter().all(|&pair| pair == (5, 9) || pair == (9, 5)));
        let many: Vec<usize> = (10..500).collect();
        let pairs = pairs_of(&many);
        assert_eq!(pairs.len(), PAIRS);
        assert!(pairs.iter().all(|(a, b)| a != b && many.contains(a) && many.contains(b)));
    }
}
