//! L2-InfoNCE, a contrastive loss on distances (paper §3.3, Eq. 7 and 8).

use burn::tensor::{Bool, Tensor};

use super::settings::TextSettings;
use crate::nn::contrast::among_columns;
pub use crate::nn::contrast::squared_distances;

/// The L2-InfoNCE loss with its variants.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct InfoNce {
    /// Temperature τ.
    pub temperature: f64,
    /// Use d² instead of d.
    pub squared: bool,
    /// Take the mean over both directions.
    pub symmetric: bool,
}

impl From<&TextSettings> for InfoNce {
    fn from(settings: &TextSettings) -> Self {
        Self {
            temperature: settings.temperature,
            squared: settings.squared,
            symmetric: settings.symmetric,
        }
    }
}

impl InfoNce {
    /// The loss −(1/B) Σ_i log( e^(−d_ii/τ) / Σ_j e^(−d_ij/τ) ), where d_ij = ‖w_i − t_j‖₂.
    ///
    /// w, t `[B, D]` → `[1]`. `same` `[B, B]` marks pairs (i, j), i ≠ j, that belong to the same
    /// image and are therefore not negatives.
    pub fn loss(&self, w: Tensor<2>, t: Tensor<2>, same: Option<Tensor<2, Bool>>) -> Tensor<1> {
        let mut distances = squared_distances(w, t);
        if !self.squared {
            // The square root is not differentiable at 0; a distance of 1e-6 is negligible.
            distances = (distances + 1e-12).sqrt();
        }
        let mut scores = distances * (-1.0 / self.temperature);
        if let Some(same) = same {
            scores = scores.mask_fill(same, -1e9);
        }
        let loss = among_columns(scores.clone());
        if self.symmetric { (loss + among_columns(scores.transpose())) * 0.5 } else { loss }
    }
}
