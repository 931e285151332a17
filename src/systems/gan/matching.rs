//! The image-caption matching loss (GAN-CLS, Reed et al. 2016): the discriminator also sees real
//! images with captions of other images.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::AdversarialLoss;
use crate::error::{Error, Result, positive};

/// Settings of the image-caption matching loss (GAN-CLS, Reed et al. 2016).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MatchingSettings {
    /// Weight of mismatched pairs (real images with captions of other images) in D's loss on fakes,
    /// from 0 to below 1; generated images have the rest.
    pub mismatched: f64,
    /// Learning rate of the sentence encoder.
    pub lr: f64,
}

impl Default for MatchingSettings {
    /// Equal weights, as published; the learning rate of AttnGAN's networks.
    fn default() -> Self {
        Self { mismatched: 0.5, lr: 2e-4 }
    }
}

impl MatchingSettings {
    /// Checks the ranges.
    ///
    /// # Errors
    /// If a number is out of range. The message names its key, below `prefix`.
    pub fn check(&self, prefix: &str) -> Result<()> {
        if !(0.0..1.0).contains(&self.mismatched) {
            return Err(Error::user(format!(
                "{prefix}.mismatched is {}: not from 0 to below 1",
                self.mismatched
            ))
            .hint("0.5 is the published value; 0 turns mismatched pairs off"));
        }
        positive(&format!("{prefix}.lr"), self.lr)
    }
}

/// Logits and masks of the mismatched pairs: real images with captions of other images.
pub struct Mismatched {
    /// D(x, t') `[N]`.
    pub logits: Tensor<1>,
    /// 1 for real images with captions; 0 for those without, which have no mismatched pair: `[N]`.
    pub captioned: Tensor<1>,
    /// 1 for generated images that D judges with their caption, 0 for the others: `[N]`.
    pub fake_captioned: Tensor<1>,
    /// Weight m of mismatched pairs in the loss on fakes; see [`MatchingSettings::mismatched`].
    pub weight: f64,
}

/// Loss of D on images with captions (GAN-CLS, Reed et al. 2016):
///
/// mean softplus(−D(x, t)) + (1 − m)·mean softplus(D(G(z, t̃), t̃)) + m·mean softplus(D(x, t'))
///
/// t is a caption of x, t' a caption of another image, and m the weight of `mismatched` pairs.
/// Logits `[N]` each → `[1]`. The relativistic loss has no term of real images alone; it compares
/// generated images and mismatched pairs with D(x, t) instead.
///
/// Real images without captions have no mismatched pair. Generated images that D judges without a
/// caption have weight 1.
pub fn discriminator_matching(
    loss: AdversarialLoss,
    fake_logits: Tensor<1>,
    real_logits: Tensor<1>,
    mismatched: Mismatched,
) -> Tensor<1> {
    let Mismatched { logits, captioned, fake_captioned, weight } = mismatched;
    let fake_weights = fake_captioned * -weight + 1.0;
    let fakes = (loss.on_fakes(fake_logits, real_logits.clone()) * fake_weights).mean();
    let mismatched = (loss.on_fakes(logits, real_logits.clone()) * captioned).mean() * weight;
    match loss.on_reals(real_logits) {
        Some(reals) => reals + fakes + mismatched,
        None => fakes + mismatched,
    }
}
