//! The loss of DAMSM (Xu et al. 2018, Eq. 7 to 12): captions and images of a batch are matched to
//! each other, by their words and regions and by whole sentences and images.

use burn::tensor::{Bool, Device, Tensor, TensorData, activation::softmax};
use serde::{Deserialize, Serialize};

use super::codes::ImageCodes;
use crate::error::Result;
use crate::language::Words;
use crate::nn::contrast::{both_ways, unit};
use crate::settings::limits::within;

/// The smoothing factors of the loss.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DamsmLoss {
    /// γ1: how much a word attends to the regions most similar to it.
    pub gamma1: f64,
    /// γ2: how much the most relevant words of a caption count.
    pub gamma2: f64,
    /// γ3: inverse temperature of the classification.
    pub gamma3: f64,
    /// Divide the match of a caption by γ2, as in the paper but not in the published code.
    pub root: bool,
    /// Leave out negatives of the same class.
    pub mask_same_class: bool,
}

impl Default for DamsmLoss {
    /// The factors of the published code.
    fn default() -> Self {
        Self { gamma1: 4.0, gamma2: 5.0, gamma3: 10.0, root: false, mask_same_class: true }
    }
}

/// Largest smoothing factor. The exponential of a larger one overflows.
const MAX_GAMMA: f64 = 50.0;
/// Smallest product of two lengths in a cosine.
const EPS: f64 = 1e-8;
/// The score of a pair that is left out.
const MASKED: f64 = -1e9;

impl DamsmLoss {
    /// Checks the factors. `section` is the name of their table.
    ///
    /// # Errors
    /// If a factor is out of range. The message names it.
    pub fn check(&self, section: &str) -> Result<()> {
        for (name, gamma) in
            [("gamma1", self.gamma1), ("gamma2", self.gamma2), ("gamma3", self.gamma3)]
        {
            within(format!("{section}.{name}"), gamma, 1e-3..=MAX_GAMMA)?;
        }
        Ok(())
    }

    /// Marks pairs i ≠ j of a batch that are not negatives: captions of one image, or of images of one
    /// class. `[B, B]`; `None` if there are none.
    pub fn same(
        &self,
        images: &[usize],
        labels: &[Option<u32>],
        device: &Device,
    ) -> Option<Tensor<2, Bool>> {
        let b = images.len();
        let marked = |k: usize| {
            let (i, j) = (k / b, k % b);
            let one_class = self.mask_same_class && labels[i].is_some() && labels[i] == labels[j];
            i != j && (images[i] == images[j] || one_class)
        };
        let same: Vec<bool> = (0..b * b).map(marked).collect();
        let any = same.contains(&true);
        any.then(|| Tensor::from_data(TensorData::new(same, [b, b]), device))
    }

    /// The losses of words and of sentences, `[1]` each. Caption i belongs to image i. `same`
    /// `[B, B]` marks pairs i ≠ j that are not negatives.
    pub fn losses(
        &self,
        texts: &Words,
        images: &ImageCodes,
        same: Option<Tensor<2, Bool>>,
    ) -> [Tensor<1>; 2] {
        let loss = |scores: Tensor<2>| {
            let scores = scores * self.gamma3;
            both_ways(match &same {
                Some(same) => scores.mask_fill(same.clone(), MASKED),
                None => scores,
            })
        };
        let sentences =
            unit(images.global.clone()).matmul(unit(texts.sentence.clone()).transpose());
        [loss(self.matches(texts, images.regions.clone())), loss(sentences)]
    }

    /// How well the words of captions describe the regions of images: `[images, captions]`.
    ///
    /// Each word attends to regions by its similarity s = eᵀv: a softmax over the words of a caption
    /// for each region, then a softmax over the regions with factor γ1. The match is
    /// log Σ_w exp(γ2·cos(c_w, e_w)), where c_w is the region vector that word w attends to.
    ///
    /// c_w itself is never computed: its product with e_w and its length follow from s and from the
    /// products of the region vectors with one another, which are much smaller.
    pub fn matches(&self, texts: &Words, regions: Tensor<3>) -> Tensor<2> {
        let ([i, t, d], [j, _, p]) = (texts.words.dims(), regions.dims());
        let e = texts.words.clone().reshape([i * t, d]);
        let by_region = regions.clone().swap_dims(0, 1).reshape([d, j * p]);
        let s = e.clone().matmul(by_region).reshape([i * t, j, p]).swap_dims(0, 1);
        let padding = (texts.mask.clone() - 1.0).mul_scalar(-MASKED).reshape([1, i, t, 1]);
        let among_words = softmax(s.clone().reshape([j, i, t, p]) + padding, 2);
        let attention = softmax(among_words * self.gamma1, 3).reshape([j, i * t, p]);
        let products = regions.clone().swap_dims(1, 2).matmul(regions);
        let along = (attention.clone() * s).sum_dim(2);
        let length = (attention.clone().matmul(products) * attention).sum_dim(2);
        let own = (e.clone() * e).sum_dim(1).reshape([1, i * t, 1]);
        let lengths = (length.clamp_min(0.0) * own).clamp_min(EPS * EPS).sqrt();
        let relevance = (along / lengths).reshape([j, i, t]);
        let weights = (relevance * self.gamma2).exp() * texts.mask.clone().reshape([1, i, t]);
        let matches = weights.sum_dim(2).log().reshape([j, i]);
        if self.root { matches / self.gamma2 } else { matches }
    }
}
