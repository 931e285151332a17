//! Sets of feature vectors.

use crate::error::{Error, Result};

/// Largest magnitude of a feature. Usual features are below 1000. Beyond this limit, covariances
/// would leave no digits for the other features.
const LARGEST: f32 = 1e9;

/// A set of feature vectors: `[N, D]`, row-major, all finite.
#[derive(Debug, Clone, PartialEq)]
pub struct Cloud {
    values: Vec<f32>,
    dim: usize,
}

impl Cloud {
    /// Splits `values` into vectors of `dim` values.
    ///
    /// # Errors
    /// Fails if the length is not a multiple of `dim`, or if a value is NaN or infinite, which
    /// happens if the model diverged.
    pub fn new(values: Vec<f32>, dim: usize) -> Result<Self> {
        if dim == 0 || !values.len().is_multiple_of(dim) {
            let message = format!("{} values are not a multiple of {dim}", values.len());
            return Err(Error::internal(message));
        }
        if let Some(at) = values.iter().position(|v| !v.is_finite()) {
            let message = format!("the features of image {} are not finite", at / dim);
            return Err(Error::user(message).hint("the model diverged; use an earlier snapshot"));
        }
        if let Some(at) = values.iter().position(|v| v.abs() > LARGEST) {
            let (image, value) = (at / dim, values[at]);
            let message =
                format!("a feature of image {image} is {value:e}, which is impossibly large");
            return Err(Error::user(message)
                .hint("the model diverged or its file is damaged; use an earlier snapshot"));
        }
        Ok(Self { values, dim })
    }

    /// Number of vectors.
    pub fn len(&self) -> usize {
        self.values.len() / self.dim
    }

    /// Whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Number of values in a vector.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Vector `index`.
    pub fn row(&self, index: usize) -> &[f32] {
        &self.values[index * self.dim..][..self.dim]
    }

    /// All vectors in order.
    pub fn rows(&self) -> std::slice::ChunksExact<'_, f32> {
        self.values.chunks_exact(self.dim)
    }

    /// All values, row-major.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// The vectors at `indices`.
    pub fn select(&self, indices: &[usize]) -> Self {
        let values = indices.iter().flat_map(|&i| self.row(i)).copied().collect();
        Self { values, dim: self.dim }
    }

    /// The mean vector.
    pub(super) fn mean(&self) -> Vec<f64> {
        let mut mean = vec![0.0; self.dim];
        for row in self.rows() {
            mean.iter_mut().zip(row).for_each(|(sum, &v)| *sum += f64::from(v));
        }
        mean.iter_mut().for_each(|sum| *sum /= self.len() as f64);
        mean
    }

    /// Checks that `measure` can compare two sets: they have the same dimension, and at least
    /// `least` vectors each.
    pub(super) fn comparable(&self, other: &Self, measure: &str, least: usize) -> Result<()> {
        if self.dim != other.dim {
            return Err(Error::internal(format!(
                "{measure}: features have {} and {} dimensions",
                self.dim, other.dim
            )));
        }
        let fewer = self.len().min(other.len());
        if fewer < least {
            let message = format!("{measure} needs at least {least} images, found {fewer}");
            return Err(Error::user(message).hint("evaluate more images"));
        }
        Ok(())
    }
}
