//! Measures of pictures and of clouds of features (paper §4.1).
//!
//! Networks of [`vision`](crate::vision) turn pictures into a [`Cloud`]; everything after that is a
//! pure function in f64 on the host.

pub mod cloud;
pub mod components;
pub mod diversity;
pub mod energy;
pub mod frechet;
pub mod image;
pub mod inception_score;
pub mod kid;
mod linear;
pub mod overlap;
pub mod precision_recall;
pub mod retrieval;
pub mod similarity;
pub mod tsne;

use serde::Serialize;

pub use cloud::Cloud;

/// The mean of several estimates and how far they spread.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// Their mean.
    pub mean: f64,
    /// Their (population) standard deviation.
    pub std: f64,
}

impl Spread {
    /// Of at least one value; NaN of none.
    pub fn of(values: &[f64]) -> Self {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
        Self { mean, std: variance.sqrt() }
    }
}

/// Consecutive parts of `0..count`; the first `count mod parts` are one longer.
fn parts(count: usize, parts: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    let (size, longer) = (count / parts, count % parts);
    (0..parts).map(move |i| {
        let start = i * size + i.min(longer);
        start..start + size + usize::from(i < longer)
    })
}
