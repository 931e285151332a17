//! Directions in the latent space along which images vary.

use burn::tensor::Tensor;

use super::{Film, Studio};
use crate::error::{Error, Result};
use crate::metrics::Cloud;
use crate::metrics::components::components;
use crate::nn::params::to_vec;
use crate::systems::StyleSpace;
use crate::systems::requests::Truncation;

/// Number of samples from which directions are computed, and of those mapped at once.
const SAMPLES: u64 = 2048;
const BATCH: u64 = 256;

/// A principal direction of the generator's latent space W (GANSpace, Härkönen et al. 2020).
#[derive(Debug, Clone)]
pub struct Direction {
    /// One standard deviation along the direction: `w_dim` numbers to add to a code.
    pub step: Vec<f32>,
    /// Share of the variance of all samples.
    pub share: f64,
}

impl Studio {
    /// Whether codes of images can be moved along [`Self::directions`].
    ///
    /// # Errors
    /// If the model has no latent space W in which samples without a prompt lie.
    pub fn check_directions(&self) -> Result<()> {
        self.space().map(|_| ())
    }

    /// The principal directions of W, those of the largest variance first; at most `count`.
    ///
    /// # Errors
    /// As [`Self::check_directions`], or if the decomposition does not converge.
    pub fn directions(&self, count: usize) -> Result<Vec<Direction>> {
        let space = self.space()?;
        let dim = space.w_dim();
        let mut values = Vec::new();
        for first in (0..SAMPLES).step_by(BATCH as usize) {
            let seeds: Vec<u64> = (first..first + BATCH).collect();
            let styles = space.map(space.z(&seeds), None, Truncation::NONE)?;
            // Without truncation, all layers have the same style.
            values.extend(to_vec(styles.narrow(1, 0, 1)));
        }
        let found = components(&Cloud::new(values, dim)?, count)?;
        let scaled = found.into_iter().map(|component| Direction {
            step: component.axis.iter().map(|v| (v * component.deviation) as f32).collect(),
            share: component.share,
        });
        Ok(scaled.collect())
    }

    /// The codes of texts: one per text, `w_dim` numbers each. `None` if texts have no codes.
    ///
    /// # Errors
    /// If a text cannot be read.
    pub fn text_codes(&self, texts: &[&str]) -> Option<Result<Vec<Vec<f32>>>> {
        let codes = self.loaded.text_codes()?.texts(texts);
        Some(codes.map(|codes| {
            let [_, layers, dim] = codes.dims();
            to_vec(codes).chunks(layers * dim).map(<[f32]>::to_vec).collect()
        }))
    }

    /// Whether texts have codes in the latent space.
    pub fn has_text_codes(&self) -> bool {
        self.loaded.text_codes().is_some()
    }

    /// An animation through codes `[N, layers, dim]`.
    pub fn film(&self, codes: Tensor<3>) -> Film<'_> {
        Film::between_codes(self.text_to_image(), codes)
    }

    fn space(&self) -> Result<&dyn StyleSpace> {
        let unable = || {
            Error::user("this model has no latent space to explore without a prompt")
                .hint("use a model that `cigan align-text` trained")
        };
        let styles = self.loaded.styles().map_err(|_| unable())?;
        styles.check_z().map_err(|_| unable())?;
        let classes = self.loaded.capabilities().classes;
        let fits = self.code_sizes().iter().any(|[_, dim]| *dim == styles.w_dim());
        if classes > 0 || !fits { Err(unable()) } else { Ok(styles) }
    }
}
