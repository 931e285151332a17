//! The losses of CLIP2GAN.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::nn::contrast::unit;
use crate::systems::gan::adversarial;

/// Largest quotient of the diversity loss.
const MAX_QUOTIENT: f64 = 10.0;
/// Keeps the denominator of that quotient positive.
const LEAST_DISTANCE: f64 = 1e-3;
/// Keeps the scales of its distances positive.
const LEAST_SCALE: f64 = 1e-8;

/// The adversarial loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Adversarial {
    /// Wasserstein distance (Gulrajani et al. 2017).
    WganGp,
    /// Non-saturating (Goodfellow et al. 2014), with the same gradient penalty.
    Nonsaturating,
}

impl Adversarial {
    /// Loss of D without the penalty. Logits `[N]` each → `[1]`.
    pub fn discriminator(self, fake: Tensor<1>, real: Tensor<1>) -> Tensor<1> {
        match self {
            Self::WganGp => fake.mean() - real.mean(),
            Self::Nonsaturating => {
                adversarial::discriminator_fake(fake) + adversarial::discriminator_real(real)
            }
        }
    }

    /// Loss of the mapper. Logits `[N]` → `[1]`.
    pub fn generator(self, fake: Tensor<1>) -> Tensor<1> {
        match self {
            Self::WganGp => -fake.mean(),
            Self::Nonsaturating => adversarial::generator(fake),
        }
    }
}

/// Mean squared difference of images `[N, 3, H, W]` → `[1]`.
pub fn reconstruction(real: Tensor<4>, fake: Tensor<4>) -> Tensor<1> {
    let difference = real - fake;
    (difference.clone() * difference).mean()
}

/// Mean of 1 − the cosine between the features of pairs of images, averaged over positions. Features
/// `[N, C, H, W]` of each layer → `[1]`.
pub fn identity(real: Vec<Tensor<4>>, fake: Vec<Tensor<4>>) -> Tensor<1> {
    let pooled = |layers: Vec<Tensor<4>>| {
        let mean = |layer: Tensor<4>| {
            let [n, c, h, w] = layer.dims();
            layer.reshape([n, c, h * w]).mean_dim(2).reshape([n, c])
        };
        unit(Tensor::cat(layers.into_iter().map(mean).collect(), 1))
    };
    let cosines = (pooled(real) * pooled(fake)).sum_dim(1);
    -cosines.mean() + 1.0
}

/// The diversity loss: the distance of two vectors with noise divided by that of their images. It
/// falls if different vectors give different images. Vectors `[N, size]` and images `[N, 3, H, W]` →
/// `[1]`.
///
/// Distances are L1, in units of the mean distance between neighbours of the round.
pub fn diversity(vectors: [Tensor<2>; 2], images: [Tensor<4>; 2]) -> Tensor<1> {
    let vectors = relative_distances(vectors);
    let images = relative_distances(images.map(|images| {
        let [n, c, h, w] = images.dims();
        images.reshape([n, c * h * w])
    }));
    (vectors / (images + LEAST_DISTANCE)).clamp_max(MAX_QUOTIENT).mean()
}

/// ‖a_b − b_b‖₁ divided by the mean of ‖a_b − a_{b+1}‖₁, which is constant: `[N, size]` each → `[N]`.
fn relative_distances([a, b]: [Tensor<2>; 2]) -> Tensor<1> {
    let [n, _] = a.dims();
    let distances = |a: Tensor<2>, b: Tensor<2>| (a - b).abs().sum_dim(1).reshape([n]);
    let first = a.clone().inner();
    let scale = distances(first.clone(), rolled(first)).mean() + LEAST_SCALE;
    distances(a, b) / scale
}

/// The rows of a batch, each in the place of the one before it. A single row stays in place.
pub fn rolled<const K: usize>(batch: Tensor<K>) -> Tensor<K> {
    let n = batch.dims()[0];
    if n < 2 {
        return batch;
    }
    Tensor::cat(vec![batch.clone().narrow(0, 1, n - 1), batch.narrow(0, 0, 1)], 0)
}
