//! Feature vectors of many pictures.

use crate::error::{Error, Result};

/// Feature vectors: [N, D], row-major, all finite.
#[derive(Debug, Clone, PartialEq)]
pub struct Cloud {
    values: Vec<f32>,
    dim: usize,
}

impl Cloud {
    /// As many vectors of `dim` numbers as `values` has.
    ///
    /// # Errors
    /// If a number is NaN or infinite, as the features of a diverged model's pictures are.
    pub fn new(values: Vec<f32>, dim: usize) -> Result<Self> {
        if dim == 0 || !values.len().is_multiple_of(dim) {
            return Err(Error::internal(format!("{} values are no [N, {dim}]", values.len())));
        }
        if let Some(at) = values.iter().position(|v| !v.is_finite()) {
            let message = format!("the features of picture {} are not finite", at / dim);
            return Err(Error::user(message).hint("the model diverged; use an earlier snapshot"));
        }
        Ok(Self { values, dim })
    }

    /// Number of vectors.
    pub fn len(&self) -> usize {
        self.values.len() / self.dim
    }

    /// Whether there is no vector.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Numbers of a vector.
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

    /// All numbers, row-major.
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

    /// Checks that `measure` can compare two clouds: they have the same features, and at least
    /// `least` pictures each.
    pub(super) fn comparable(&self, other: &Self, measure: &str, least: usize) -> Result<()> {
        if self.dim != other.dim {
            return Err(Error::internal(format!(
                "{measure} of features of {} and {} numbers",
                self.dim, other.dim
            )));
        }
        let fewer = self.len().min(other.len());
        if fewer < least {
            let message = format!("{measure} needs at least {least} pictures, there are {fewer}");
            return Err(Error::user(message).hint("evaluate more pictures"));
        }
        Ok(())
    }
}
