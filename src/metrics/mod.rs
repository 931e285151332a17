//! Measures of images and of sets of feature vectors (paper §4.1).
//!
//! Networks of [`vision`](crate::vision) turn images into a [`Cloud`] of feature vectors. The
//! measures on clouds are pure functions in f64 on the host.

pub mod auc;
pub mod cloud;
pub mod collapse;
pub mod colour;
pub mod components;
pub mod diversity;
pub mod energy;
pub mod fidelity;
pub mod frechet;
pub mod image;
pub mod inception_score;
pub mod k_means;
pub mod kid;
mod linear;
pub mod overlap;
pub mod precision_recall;
pub mod r_precision;
pub mod retrieval;
pub mod similarity;
pub mod tsne;

use serde::Serialize;

pub use cloud::Cloud;

/// Mean and standard deviation of several estimates.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// Mean.
    pub mean: f64,
    /// Population standard deviation.
    pub std: f64,
}

impl Spread {
    /// Computes both for a list of values; NaN for an empty one.
    pub fn of(values: &[f64]) -> Self {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
        Self { mean, std: variance.sqrt() }
    }
}

/// Splits `0..count` into consecutive parts; the first `count mod parts` are one longer.
fn parts(count: usize, parts: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    let (size, longer) = (count / parts, count % parts);
    (0..parts).map(move |i| {
        let start = i * size + i.min(longer);
        start..start + size + usize::from(i < longer)
    })
}
