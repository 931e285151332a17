//! Settings of AttnGAN and MirrorGAN, and the only definition of their defaults.

use serde::{Deserialize, Serialize};

use crate::nn::{AdamSettings, ema};
use crate::systems::damsm::DamsmLoss;
use crate::systems::text_gan::TrainingImages;
use crate::systems::text_gan::branches::{self, FIRST_WIDTH};
use crate::systems::text_gan::discriminator::DiscriminatorNetwork;

/// Architecture of all networks; stored in every model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttentionGanNetwork {
    /// Side of the largest images in pixels: a power of two up to 1024. The smallest images, whose
    /// side is `resolution`/2^(`branches`-1), have at least 8 pixels.
    pub resolution: usize,
    /// Number of stages of the generator.
    pub branches: usize,
    /// Size of z.
    pub z_dim: usize,
    /// Size of the condition that is drawn for a caption.
    pub condition: usize,
    /// Channels of the generator in every stage after the first doublings.
    pub generator_width: usize,
    /// Channels of the discriminators after their first convolution.
    pub discriminator_width: usize,
    /// Attention to the vector of the sentence, beside that to the words.
    pub sentence_attention: SentenceAttention,
}

/// How stages attend to the sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SentenceAttention {
    /// Not at all, as in AttnGAN.
    None,
    /// By a softmax over channels, as in MirrorGAN's published code.
    Channels,
    /// By a softmax over positions, another reading of MirrorGAN's paper.
    Positions,
}

impl AttentionGanNetwork {
    /// The architecture of AttnGAN with `count` stages, for images of side `resolution`, or of the
    /// smallest side that it supports.
    pub fn attn_gan(resolution: usize, count: usize) -> Self {
        Self {
            resolution: resolution.max(*branches::resolutions(count).start()),
            branches: count,
            z_dim: 100,
            condition: 100,
            generator_width: 32,
            discriminator_width: 64,
            sentence_attention: SentenceAttention::None,
        }
    }

    /// Side of the smallest images.
    pub fn base(&self) -> usize {
        self.resolution >> (self.branches - 1)
    }

    /// Sides of the images, smallest first.
    pub fn image_sides(&self) -> Vec<usize> {
        (0..self.branches).map(|branch| self.base() << branch).collect()
    }

    /// Channels of the first stage at 4×4 and after each of its doublings:
    /// `generator_width`·base/side, and at least four times `generator_width` at 4×4.
    pub fn first_widths(&self) -> Vec<usize> {
        let width = |log: u32| (self.generator_width * self.base()) >> log;
        let mut widths: Vec<usize> = (2..=self.base().ilog2()).map(width).collect();
        widths[0] = widths[0].max(FIRST_WIDTH * self.generator_width);
        widths
    }

    /// Size of the noise of an image: z and the noise of its condition.
    pub fn noise_size(&self) -> usize {
        self.z_dim + self.condition
    }

    /// The discriminators, in the order of the images, for sentences with vectors of length
    /// `sentence`.
    pub fn discriminators(&self, sentence: usize) -> Vec<DiscriminatorNetwork> {
        let network = |side| DiscriminatorNetwork {
            side,
            width: self.discriminator_width,
            condition: Some(sentence),
        };
        self.image_sides().into_iter().map(network).collect()
    }
}

/// Settings of the training of AttnGAN or MirrorGAN.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttentionGanSettings {
    /// The networks.
    pub network: AttentionGanNetwork,
    /// Thousands of images to train for when `--kimg` is not given.
    pub kimg: f64,
    /// Images per iteration.
    pub batch: usize,
    /// Images per round; batch normalisation uses the statistics of each round. 0: the whole batch.
    #[serde(default)]
    pub round: usize,
    /// Learning rate of all networks.
    pub lr: f64,
    /// Constants of the optimisers.
    pub adam: AdamSettings,
    /// Images to train on: `captioned`, or `all`, where at least half of a batch has captions.
    pub images: TrainingImages,
    /// Weight of the divergence of the conditions from the normal distribution.
    pub divergence_weight: f64,
    /// Weight of DAMSM's loss on the largest images and their captions.
    pub damsm_weight: f64,
    /// The smoothing factors of DAMSM's loss.
    pub damsm: DamsmLoss,
    /// Weight of the cross-entropy of the captions that the captioner reads off the largest images.
    pub stream_weight: f64,
    /// Mirror images at random, except with captions that name a side.
    pub mirror: bool,
    /// Half-life of the moving average of G in thousands of images; 0 uses G itself.
    pub ema_kimg: f64,
    /// Limit of the half-life, as a fraction of the images seen so far; 0 for no limit.
    pub ema_rampup: f64,
}

impl AttentionGanSettings {
    /// The published settings of AttnGAN for birds, with `count` stages for images of side
    /// `resolution`.
    pub fn attn_gan(resolution: usize, count: usize) -> Self {
        Self {
            network: AttentionGanNetwork::attn_gan(resolution, count),
            // 600 epochs of the training images of CUB's class split.
            kimg: 5313.0,
            batch: 20,
            round: 0,
            lr: 2e-4,
            adam: AdamSettings { beta1: 0.5, beta2: 0.999, eps: 1e-8 },
            images: TrainingImages::All,
            divergence_weight: 1.0,
            damsm_weight: 5.0,
            damsm: DamsmLoss::default(),
            stream_weight: 0.0,
            mirror: true,
            // A factor of 0.999 for each iteration of 24 images, as in StackGAN++.
            ema_kimg: 16.6,
            ema_rampup: 0.05,
        }
    }

    /// The published settings of MirrorGAN for birds, with `count` stages for images of side
    /// `resolution`.
    pub fn mirror_gan(resolution: usize, count: usize) -> Self {
        Self {
            network: AttentionGanNetwork {
                sentence_attention: SentenceAttention::Channels,
                ..AttentionGanNetwork::attn_gan(resolution, count)
            },
            batch: 12,
            damsm_weight: 0.0,
            // The paper's λ; the configuration of the published code has 10.
            stream_weight: 20.0,
            ..Self::attn_gan(resolution, count)
        }
    }

    /// Decay of the moving average of G for the iteration that begins at `nimg` images.
    pub fn ema_beta(&self, nimg: u64) -> f64 {
        ema::ramped_decay(self.batch, self.ema_kimg * 1000.0, nimg, self.ema_rampup)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::systems::text_gan::branches::BRANCHES;

    #[test]
    fn sides_and_widths_are_those_of_the_specification() {
        let network = AttentionGanNetwork::attn_gan(256, BRANCHES);
        assert_eq!(network.image_sides(), [64, 128, 256]);
        assert_eq!(network.first_widths(), [512, 256, 128, 64, 32]);
        let small = AttentionGanNetwork::attn_gan(16, BRANCHES);
        assert_eq!((small.resolution, small.image_sides()), (32, vec![8, 16, 32]));
        assert_eq!(small.first_widths(), [128, 32]);
    }
}
