//! Settings of StackGAN++, and the only definition of their defaults.

use serde::{Deserialize, Serialize};

use crate::nn::{AdamSettings, ema};
use crate::settings::Layers;
use crate::systems::text_gan::TrainingImages;
use crate::systems::text_gan::branches::{self, BRANCHES, FIRST_WIDTH};
use crate::systems::text_gan::discriminator::DiscriminatorNetwork;

/// Architecture of all networks; stored in every model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StackganNetwork {
    /// Side of the largest images in pixels: a power of two up to 1024. The smallest images, whose
    /// side is `resolution`/2^(`branches`-1), have at least 8 pixels.
    pub resolution: usize,
    /// Number of stages of the generator.
    pub branches: usize,
    /// Size of z.
    pub z_dim: usize,
    /// Size of the condition that is drawn for a caption.
    pub condition: usize,
    /// Channels of the generator at the side of the smallest images; a multiple of
    /// 2^(`branches`-1).
    pub generator_width: usize,
    /// Channels of the discriminators after their first convolution.
    pub discriminator_width: usize,
    /// Train without captions: z takes the place of the condition.
    pub unconditional: bool,
    /// Which stages have an image and a discriminator.
    pub heads: Heads,
    /// Sides of the stages.
    pub sides: Sides,
}

/// The stages of the generator that have an image and a discriminator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Heads {
    /// All of them.
    All,
    /// The last one only (an ablation of the paper).
    Last,
}

/// The sides of the stages of the generator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sides {
    /// Every stage doubles the side.
    Growing,
    /// All stages have the largest side; the first stage upsamples to it (an ablation of the
    /// paper).
    AllLast,
}

impl StackganNetwork {
    /// The published architecture with `count` stages, for images of side `resolution`, or of the
    /// smallest side that it supports.
    pub fn at(resolution: usize, count: usize) -> Self {
        Self {
            resolution: resolution.max(*branches::resolutions(count).start()),
            branches: count,
            z_dim: 100,
            condition: 128,
            generator_width: 64,
            discriminator_width: 64,
            unconditional: false,
            heads: Heads::All,
            sides: Sides::Growing,
        }
    }

    /// The discriminators, in the order of the images.
    pub fn discriminators(&self) -> Vec<DiscriminatorNetwork> {
        let condition = (!self.unconditional).then_some(self.condition);
        let network =
            |side| DiscriminatorNetwork { side, width: self.discriminator_width, condition };
        self.image_sides().into_iter().map(network).collect()
    }

    /// Side of the smallest images if the sides grow.
    pub fn base(&self) -> usize {
        self.resolution >> (self.branches - 1)
    }

    /// Side of each stage's feature maps.
    pub fn stage_sides(&self) -> Vec<usize> {
        let side = |stage| match self.sides {
            Sides::Growing => self.base() << stage,
            Sides::AllLast => self.resolution,
        };
        (0..self.branches).map(side).collect()
    }

    /// The first stage with an image.
    pub fn first_head(&self) -> usize {
        match self.heads {
            Heads::All => 0,
            Heads::Last => self.branches - 1,
        }
    }

    /// Sides of the images, in the order of the stages.
    pub fn image_sides(&self) -> Vec<usize> {
        self.stage_sides().split_off(self.first_head())
    }

    /// Channels of the generator at side `side`: `generator_width`·base/side, and at least four
    /// times `generator_width` at 4×4.
    pub fn width(&self, side: usize) -> usize {
        let width = self.generator_width * self.base() / side;
        if side == 4 { width.max(FIRST_WIDTH * self.generator_width) } else { width }
    }

    /// Size of what conditions the stages and the discriminators: the condition of a caption, or z.
    pub fn condition_size(&self) -> usize {
        if self.unconditional { self.z_dim } else { self.condition }
    }

    /// Size of the input of the first stage: z and the condition of a caption, or z alone.
    pub fn input_size(&self) -> usize {
        if self.unconditional { self.z_dim } else { self.z_dim + self.condition }
    }
}

/// Settings of the training of StackGAN++.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StackganSettings {
    /// The networks.
    pub network: StackganNetwork,
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
    /// Weight of the losses that do not depend on the caption; 0 turns them off.
    pub unconditional_weight: f64,
    /// Weight of the divergence of the conditions from the normal distribution.
    pub divergence_weight: f64,
    /// Weight of the differences in colour between the images of one sample.
    pub colour: f64,
    /// Weight of the covariances of colours, relative to that of their means.
    pub colour_covariance: f64,
    /// Mirror images at random, except with captions that name a side.
    pub mirror: bool,
    /// Half-life of the moving average of G in thousands of images; 0 uses G itself.
    pub ema_kimg: f64,
    /// Limit of the half-life, as a fraction of the images seen so far; 0 for no limit.
    pub ema_rampup: f64,
}

impl StackganSettings {
    /// The published settings for images of side `resolution`.
    pub fn at(resolution: usize) -> Self {
        Self::of(StackganNetwork::at(resolution, BRANCHES))
    }

    /// The published settings for a network.
    pub fn of(network: StackganNetwork) -> Self {
        Self {
            // 600 epochs of the training images of CUB's class split.
            kimg: 5313.0,
            batch: 24,
            round: 0,
            lr: 2e-4,
            adam: AdamSettings { beta1: 0.5, beta2: 0.999, eps: 1e-8 },
            images: TrainingImages::All,
            unconditional_weight: 1.0,
            divergence_weight: 2.0,
            // Captions of birds already state the colours, so the paper uses this loss only without
            // captions.
            colour: if network.unconditional { 50.0 } else { 0.0 },
            colour_covariance: 5.0,
            mirror: true,
            // A factor of 0.999 for each iteration of 24 images.
            ema_kimg: 16.6,
            ema_rampup: 0.05,
            network,
        }
    }

    /// The published settings for images of side `resolution`, as far as they depend on other
    /// settings.
    pub(super) fn given(resolution: usize, layers: &Layers) -> Self {
        let get = |key: &str| layers.get(&format!("stackgan_v2.network.{key}"));
        let branches = branches::asked_for(layers, "stackgan_v2");
        let mut network = StackganNetwork::at(resolution, branches);
        network.unconditional =
            get("unconditional").and_then(|value| value.as_bool()).unwrap_or_default();
        Self::of(network)
    }

    /// Decay of the moving average of G for the iteration that begins at `nimg` images.
    pub fn ema_beta(&self, nimg: u64) -> f64 {
        ema::ramped_decay(self.batch, self.ema_kimg * 1000.0, nimg, self.ema_rampup)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_average_of_the_publication() {
        let beta = StackganSettings::at(256).ema_beta(10_000_000);
        assert!((beta - 0.999).abs() < 1e-5, "{beta}");
    }

    #[test]
    fn defaults_follow_other_settings() {
        let given = |assignments: &[&str]| {
            let layers = assignments.iter().fold(Layers::new(), |layers, assignment| {
                layers.assign(&format!("stackgan_v2.{assignment}")).unwrap()
            });
            StackganSettings::given(16, &layers)
        };
        assert_eq!((given(&[]).colour, given(&[]).network.resolution), (0.0, 32));
        assert_eq!(given(&["network.unconditional=true"]).colour, 50.0);
        assert_eq!(given(&["network.branches=2"]).network.resolution, 16);
        // The checks refuse such numbers.
        assert_eq!(given(&["network.branches=-1"]).network.branches, BRANCHES);
        assert_eq!(given(&["network.branches=99"]).network.resolution, 128);
    }

    #[test]
    fn sides_and_widths_are_those_of_the_specification() {
        let network = StackganNetwork::at(256, 3);
        assert_eq!(network.image_sides(), [64, 128, 256]);
        assert_eq!([4, 64, 256].map(|side| network.width(side)), [1024, 64, 16]);
        let small = StackganNetwork { sides: Sides::AllLast, ..StackganNetwork::at(32, 3) };
        assert_eq!(small.image_sides(), [32, 32, 32]);
        assert_eq!([4, 8, 32].map(|side| small.width(side)), [256, 64, 16]);
        let last = StackganNetwork { heads: Heads::Last, ..small };
        assert_eq!((last.image_sides(), last.first_head()), (vec![32], 2));
    }
}
