//! Matching images and captions (GAN-CLS, Reed et al. 2016): the discriminator also sees real images
//! with the captions of others.

use burn::tensor::{Tensor, activation::softplus};
use serde::{Deserialize, Serialize};

use super::adversarial::discriminator_real;
use crate::error::{Error, Result, positive};

/// How a discriminator learns which caption belongs to an image (Reed et al. 2016, GAN-CLS).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MatchingSettings {
    /// Share that real images with the captions of others have in what D is to call fake; generated
    /// images have the rest.
    pub mismatched: f64,
    /// Learning rate of the sentence encoder.
    pub lr: f64,
}

impl Default for MatchingSettings {
    /// Half and half, as published; the learning rate of AttnGAN's networks.
    fn default() -> Self {
        Self { mismatched: 0.5, lr: 2e-4 }
    }
}

impl MatchingSettings {
    /// Checks the ranges.
    ///
    /// # Errors
    /// If a number is out of range; its key is named.
    pub fn check(&self) -> Result<()> {
        if !(0.0..1.0).contains(&self.mismatched) {
            return Err(Error::user(format!(
                "stylegan.matching.mismatched is {}: not from 0 to below 1",
                self.mismatched
            ))
            .hint("0.5 is the published share, 0 shows D no mismatched pairs"));
        }
        positive("stylegan.matching.lr", self.lr)
    }
}

/// Real images with captions of others.
pub struct Mismatched {
    /// D(x, t') [N].
    pub logits: Tensor<1>,
    /// 1 for images that have captions, 0 for those that have none and no such pair: [N].
    pub said: Tensor<1>,
    /// The same of the generated images: [N].
    pub said_of_fake: Tensor<1>,
    /// Share of such pairs in what D is to call fake of what has captions.
    pub weight: f64,
}

/// What D loses on images with captions (Reed et al. 2016, GAN-CLS), → [1]:
///
/// mean softplus(−D(x, t)) + (1 − m)·mean softplus(D(G(z, t̃), t̃)) + m·mean softplus(D(x, t')):
/// t is a caption of x, t' one of another image; m is the share of `mismatched` pairs in what D is
/// to call fake. Logits [N] each.
///
/// Real images without captions have no mismatched pair; generated ones of which D is told none
/// stand for themselves, with weight 1.
pub fn discriminator_matching(
    fake_logits: Tensor<1>,
    real_logits: Tensor<1>,
    mismatched: Mismatched,
) -> Tensor<1> {
    let Mismatched { logits, said, said_of_fake, weight } = mismatched;
    let beside = said_of_fake * -weight + 1.0;
    discriminator_real(real_logits)
        + (softplus(fake_logits, 1.0) * beside).mean()
        + (softplus(logits, 1.0) * said).mean() * weight
}
