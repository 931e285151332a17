//! The noise on vectors of images and texts.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::nn::contrast::unit;

/// The noise on a vector.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Noise {
    /// How a vector f and noise n are combined.
    pub kind: NoiseKind,
    /// Standard deviation of n, for `multiply` and `add`.
    pub scale: f64,
}

/// How a unit vector f and noise n ~ N(1, scale²) are combined. The result is scaled to length 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NoiseKind {
    /// f⊙n.
    Multiply,
    /// f + n. The noise is many times longer than f.
    Add,
    /// f alone.
    None,
    /// 0.25·f + 0.75·ε/‖ε‖ for ε ~ N(0, 1) (LAFITE, Zhou et al. 2022).
    Lafite,
}

/// The share of noise in LAFITE.
const LAFITE: f64 = 0.75;

impl Default for Noise {
    /// The published noise has mean 1 and variance 0.36. A mean of 1 only has a meaning for a product.
    fn default() -> Self {
        Self { kind: NoiseKind::Multiply, scale: 0.6 }
    }
}

impl Noise {
    /// Whether the same vector gives different results.
    pub fn is_random(&self) -> bool {
        match self.kind {
            NoiseKind::None => false,
            NoiseKind::Multiply | NoiseKind::Add => self.scale > 0.0,
            NoiseKind::Lafite => true,
        }
    }

    /// Unit vectors with noise: unit vectors `[N, size]` and normal values `[N, size]` → `[N, size]`.
    /// `amount` is 1 in training; 0 turns the noise off.
    pub fn apply(&self, vectors: Tensor<2>, normal: Tensor<2>, amount: f64) -> Tensor<2> {
        let spread = self.scale * amount;
        unit(match self.kind {
            NoiseKind::Multiply => vectors * (normal * spread + 1.0),
            NoiseKind::Add => vectors + normal * spread + amount,
            NoiseKind::None => vectors,
            NoiseKind::Lafite => {
                let share = LAFITE * amount;
                vectors * (1.0 - share) + unit(normal) * share
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};

    use super::*;
    use crate::draws;
    use crate::nn::params::to_vec;

    const SIZE: usize = 512;
    const ROWS: usize = 400;

    fn normal(purpose: &str) -> Tensor<2> {
        let values = draws::normal(&mut draws::stream(0, purpose, 0), ROWS * SIZE);
        Tensor::from_data(TensorData::new(values, [ROWS, SIZE]), &Device::flex())
    }

    fn cosine(a: Tensor<2>, b: Tensor<2>) -> f64 {
        to_vec((a * b).sum_dim(1)).iter().map(|&v| f64::from(v)).sum::<f64>() / ROWS as f64
    }

    /// The expected cosines follow from the moments of the noise, for vectors of 512 values.
    #[test]
    fn cosines_are_those_of_the_definitions() {
        let f = unit(normal("f"));
        for (kind, with_noise, between) in [
            (NoiseKind::Multiply, 0.858, 0.736),
            (NoiseKind::Add, 0.038, 0.736),
            (NoiseKind::None, 1.0, 1.0),
            (NoiseKind::Lafite, 0.316, 0.1),
        ] {
            let noise = Noise { kind, scale: 0.6 };
            let [a, b] = ["a", "b"].map(|name| noise.apply(f.clone(), normal(name), 1.0));
            assert!((cosine(a.clone(), a.clone()) - 1.0).abs() < 1e-5, "{kind:?}: unit length");
            let found = cosine(f.clone(), a.clone());
            assert!((found - with_noise).abs() < 0.01, "{kind:?}: {found}");
            let found = cosine(a, b);
            assert!((found - between).abs() < 0.01, "{kind:?}: {found} between two draws");
            assert_eq!(noise.is_random(), kind != NoiseKind::None);
            let off = cosine(f.clone(), noise.apply(f.clone(), normal("a"), 0.0));
            assert!((off - 1.0).abs() < 1e-5, "{kind:?}: amount 0");
        }
    }
}
