//! Settings of stage 1, and the only definition of their defaults.

use serde::{Deserialize, Serialize};

use super::precision::Precision;
use super::vision::VisionSettings;
use crate::error::{Error, Result};
use crate::language::{BalanceSettings, SentenceSettings};
use crate::nn::{AdamSettings, ema};
use crate::systems::gan::{AdversarialLoss, MatchingSettings};
use crate::train::schedule::half_cosine;

/// Architecture of the networks; stored in every model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkSettings {
    /// Side of the images in pixels: a power of two from 8 to 1024.
    pub resolution: usize,
    /// Size of z.
    pub z_dim: usize,
    /// Size of w.
    pub w_dim: usize,
    /// Number of classes; 0 for an unconditional network.
    pub classes: usize,
    /// Layers of the mapping network.
    pub mapping_layers: usize,
    /// channels(res) = min(channel_base/res, channel_max).
    pub channel_base: usize,
    /// Maximum number of channels at any resolution.
    pub channel_max: usize,
    /// Architecture of the discriminator.
    pub architecture: Architecture,
    /// Images that share a minibatch standard deviation.
    pub mbstd_group: usize,
    /// Clamp the activations of convolutions to ± this value; `None` for no clamping.
    pub conv_clamp: Option<f32>,
    /// The sentence encoder; only in text-conditional networks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sentence: Option<SentenceSettings>,
}

/// How D compares images with their condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Projection {
    /// Layers of the condition's mapping network; without layers, it is a linear projection
    /// (Miyato & Koyama 2018).
    pub layers: usize,
    /// Whether images also have a logit that ignores the condition.
    pub unconditional: bool,
}

impl Projection {
    /// For one-hot classes, as published.
    pub const ONE_HOT: Projection = Projection { layers: 8, unconditional: false };
    /// For features that an encoder has already mapped. Eight layers would make captions too
    /// similar before D has learnt anything: the mean cosine between them rises from 0.26 to 0.80.
    pub const FEATURES: Projection = Projection { layers: 0, unconditional: true };
}

/// Architecture of the discriminator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Architecture {
    /// Residual blocks.
    Resnet,
    /// Plain convolutions, as in ProGAN.
    Orig,
}

impl NetworkSettings {
    /// Networks for tests, of 16×16 pixels.
    #[cfg(test)]
    pub(crate) fn tiny() -> Self {
        Self {
            w_dim: 8,
            z_dim: 8,
            channel_base: 64,
            channel_max: 8,
            ..StyleganSettings::auto(16, Some(4)).network
        }
    }

    /// Resolutions of the blocks: 4, 8, … up to the resolution of the images.
    pub fn resolutions(&self) -> impl Iterator<Item = usize> + use<> {
        (2..=self.resolution.ilog2()).map(|log| 1 << log)
    }

    /// Number of channels at a resolution.
    pub fn channels(&self, resolution: usize) -> usize {
        (self.channel_base / resolution).clamp(1, self.channel_max)
    }

    /// Bytes of the largest tensor that the networks make of one image: feature maps at full
    /// resolution, with the margin of a filter.
    fn largest_features(&self) -> u64 {
        let bytes = |side: usize| self.channels(side) * (side + 4) * (side + 4) * size_of::<f32>();
        self.resolutions().map(bytes).max().unwrap_or(1) as u64
    }

    /// Number of w vectors of the synthesis network.
    pub fn num_ws(&self) -> usize {
        2 * self.resolution.ilog2() as usize - 2
    }

    /// Checks that the networks of the model `name` fit the resolution of an archive.
    ///
    /// # Errors
    /// If they do not.
    pub fn fits(&self, archive: usize, name: &str) -> Result<()> {
        let own = self.resolution;
        if archive == own {
            return Ok(());
        }
        Err(Error::user(format!(
            "--data: the images are {archive}×{archive}, but {name} generates {own}×{own}"
        ))
        .hint(format!("prepare the data with --resolution {own}")))
    }

    /// Checks that the networks of the model `name` draw images without a condition.
    ///
    /// # Errors
    /// If they are conditioned on classes or text.
    pub fn check_unconditional(&self, name: &str) -> Result<()> {
        let condition = match (self.classes, &self.sentence) {
            (0, None) => return Ok(()),
            (_, Some(_)) => "text",
            _ => "class",
        };
        Err(Error::user(format!("{name}: was trained with --condition {condition}"))
            .hint("inversion and text need a model that was trained without --condition"))
    }

    /// Size of the condition, a one-hot class or the feature of a sentence; 0 if unconditional.
    pub fn condition(&self) -> usize {
        self.sentence.as_ref().map_or(self.classes, |sentence| sentence.size)
    }

    /// How D compares images with their condition.
    pub fn projection(&self) -> Projection {
        if self.sentence.is_some() { Projection::FEATURES } else { Projection::ONE_HOT }
    }

    /// Size of a condition after the discriminator's mapping network.
    pub fn label_dim(&self) -> usize {
        self.channels(4)
    }

    /// Number of activations of one image in one pass through a network, at least: one feature map
    /// per channel and resolution.
    pub fn activations(&self) -> u64 {
        self.resolutions().map(|side| (self.channels(side) * side * side) as u64).sum()
    }
}

/// Settings of stage 1, the training of StyleGAN2-ADA.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StyleganSettings {
    /// The networks.
    pub network: NetworkSettings,
    /// Thousands of images to train for when `--kimg` is not given.
    pub kimg: f64,
    /// Images per iteration.
    pub batch: usize,
    /// Maximum number of images on the device at once; an iteration takes batch/round rounds.
    pub round: usize,
    /// The precision of features: `f32`, or `mixed` for f16 in the highest resolutions.
    #[serde(default)]
    pub precision: Precision,
    /// Random number generator of the latents and noise of training: `philox` on the device, or `chacha` on
    /// the host, as in earlier versions.
    #[serde(default)]
    pub rng: RandomNumbers,
    /// Learning rate of G and D, at the beginning if there is a schedule.
    pub lr: f64,
    /// Learning rate at the end of the schedule.
    #[serde(default)]
    pub lr_final: f64,
    /// Length of the learning-rate schedule in thousands of images, independent of `--kimg`; 0 for
    /// a constant rate. The rate of the sentence encoder (`matching.lr`) is always constant.
    #[serde(default)]
    pub schedule_kimg: f64,
    /// Constants of both optimisers.
    pub adam: AdamSettings,
    /// The adversarial loss.
    #[serde(default)]
    pub loss: AdversarialLoss,
    /// Weight γ of R1, the gradient penalty on real images.
    pub r1_gamma: f64,
    /// Weight γ of R2, the gradient penalty on generated images.
    #[serde(default)]
    pub r2_gamma: f64,
    /// Adapt the weights of R1 and R2 to the scores of D. They begin at the values above.
    #[serde(default)]
    pub adapt_gamma: bool,
    /// Apply R1 and R2 every this many iterations; 0 for never.
    pub r1_interval: usize,
    /// Weight of path-length regularisation; 0 for none.
    pub pl_weight: f64,
    /// Apply path-length regularisation every this many iterations; 0 for never. As in the authors'
    /// code, G's optimiser is adapted to this interval even if the weight is 0.
    pub pl_interval: usize,
    /// Weight of a batch's mean in the running mean of path lengths.
    pub pl_decay: f64,
    /// Factor by which the batch of path-length regularisation is smaller.
    pub pl_batch_shrink: usize,
    /// Probability of style mixing.
    pub style_mixing: f64,
    /// Half-life of the moving average of G, in thousands of images.
    pub ema_kimg: f64,
    /// Limit of the half-life, as a fraction of the images seen so far; 0 for no limit.
    pub ema_rampup: f64,
    /// Also train on mirrored images.
    pub mirror: bool,
    /// Which images are shown more often than others.
    #[serde(default)]
    pub balance: BalanceSettings,
    /// Augmentation of what the discriminator sees.
    pub augment: AugmentSettings,
    /// Discriminators of the features of a frozen network; only with `--vision-aided`.
    #[serde(default)]
    pub vision: VisionSettings,
    /// Number of first convolutions of D to freeze: from RGB, then each block's conv0, conv1, skip.
    pub freeze_d: usize,
    /// Image-caption matching; only in text-conditional networks.
    #[serde(default)]
    pub matching: MatchingSettings,
}

/// The random number generator of latents and noise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RandomNumbers {
    /// ChaCha8 on the host. Runs whose settings name no generator, as in earlier versions, use it.
    #[default]
    Chacha,
    /// Philox on the device, so that the numbers need not be uploaded.
    Philox,
}

/// Settings of augmentation (Karras et al. 2020b).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AugmentSettings {
    /// How the probability p is set.
    pub mode: AugmentMode,
    /// Probability p in mode `fixed`; initial p in mode `ada`.
    pub p: f64,
    /// Mode `ada`: the target of the mean sign of D(real).
    pub target: f64,
    /// Mode `ada`: iterations between adjustments.
    pub interval: usize,
    /// Mode `ada`: thousands of images in which p can rise from 0 to 1.
    pub kimg: f64,
}

/// How the probability of augmentation is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AugmentMode {
    /// No augmentation.
    None,
    /// A fixed p.
    Fixed,
    /// p follows the overfitting heuristic r_t.
    Ada,
}

impl StyleganSettings {
    /// Images of a round on a device that holds tensors of at most `largest` bytes: as many as the
    /// settings say, or the largest part of that which fits and has whole groups of the minibatch
    /// standard deviation. If nothing fits, training fails with an error.
    pub fn round_within(&self, largest: u64) -> usize {
        let round = self.round.min(self.batch);
        let group = self.network.mbstd_group.min(round).max(1);
        let fits = |n: &usize| *n as u64 * self.network.largest_features() <= largest;
        let parts =
            (1..=round).rev().filter(|n| round.is_multiple_of(*n) && n.is_multiple_of(group));
        parts.into_iter().find(fits).unwrap_or(round)
    }

    /// The configuration `auto` of StyleGAN2-ADA for one device: defaults that depend on the
    /// resolution and, if given, the batch (Karras et al. 2020b, App. C and their code).
    pub fn auto(resolution: usize, batch: Option<usize>) -> Self {
        let batch = batch.unwrap_or_else(|| (4096 / resolution.max(1)).min(32).clamp(1, 64));
        let fmaps = if resolution >= 512 { 1.0 } else { 0.5 };
        Self {
            network: NetworkSettings {
                resolution,
                z_dim: 512,
                w_dim: 512,
                classes: 0,
                mapping_layers: 2,
                channel_base: (32768.0 * fmaps) as usize,
                channel_max: 512,
                architecture: Architecture::Resnet,
                mbstd_group: batch.min(4),
                conv_clamp: None,
                sentence: None,
            },
            kimg: 25000.0,
            batch,
            round: batch,
            precision: Precision::F32,
            rng: RandomNumbers::Philox,
            lr: if resolution >= 1024 { 0.002 } else { 0.0025 },
            lr_final: 0.0,
            schedule_kimg: 0.0,
            adam: AdamSettings { beta1: 0.0, beta2: 0.99, eps: 1e-8 },
            loss: AdversarialLoss::NonSaturating,
            r1_gamma: 0.0002 * (resolution * resolution) as f64 / batch as f64,
            r2_gamma: 0.0,
            adapt_gamma: false,
            r1_interval: 16,
            pl_weight: 2.0,
            pl_interval: 4,
            pl_decay: 0.01,
            pl_batch_shrink: 2,
            style_mixing: 0.9,
            ema_kimg: batch as f64 * 10.0 / 32.0,
            ema_rampup: 0.05,
            mirror: false,
            balance: BalanceSettings::default(),
            augment: AugmentSettings {
                mode: AugmentMode::Ada,
                p: 0.0,
                target: 0.6,
                interval: 4,
                kimg: 500.0,
            },
            vision: VisionSettings::auto(resolution),
            freeze_d: 0,
            matching: MatchingSettings::default(),
        }
    }

    /// Settings for training that starts from a model's weights: the moving average needs no ramp,
    /// and p may change faster (Karras et al. 2020b, their code).
    pub fn transferring(mut self) -> Self {
        self.ema_rampup = 0.0;
        self.augment.kimg = 100.0;
        self
    }

    /// Settings for the relativistic loss, which converges only with both penalties
    /// (Huang et al. 2024, §2.2): R2 gets the weight of R1.
    pub fn relativistic(mut self) -> Self {
        self.loss = AdversarialLoss::Relativistic;
        self.r2_gamma = self.r1_gamma;
        self
    }

    /// Factor of the losses before they are differentiated; see [`Precision::loss_scale`].
    pub fn loss_scale(&self) -> f64 {
        self.precision.loss_scale(self.batch)
    }

    /// The constants of the optimisers. Adam's steps do not depend on the scale of all gradients if ε has
    /// the same scale.
    pub(in crate::systems) fn scaled_adam(&self) -> AdamSettings {
        AdamSettings { eps: self.adam.eps * self.loss_scale(), ..self.adam }
    }

    /// Learning rate after `nimg` images: constant, or falling from `lr` to `lr_final` along half a
    /// cosine and constant from there on.
    pub fn lr_at(&self, nimg: u64) -> f64 {
        if self.schedule_kimg == 0.0 {
            return self.lr;
        }
        self.lr_final + half_cosine(self.lr - self.lr_final, nimg, self.schedule_kimg)
    }

    /// Decay of the moving average of G for the iteration that begins at `nimg` images.
    pub fn ema_beta(&self, nimg: u64) -> f64 {
        ema::ramped_decay(self.batch, self.ema_kimg * 1000.0, nimg, self.ema_rampup)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Checked;

    #[test]
    fn only_mixed_precision_scales_losses() {
        let mut settings = StyleganSettings::auto(32, Some(12));
        assert_eq!((settings.loss_scale(), settings.scaled_adam()), (1.0, settings.adam));
        settings.precision = Precision::Mixed;
        assert_eq!(settings.loss_scale(), 16.0);
        assert_eq!(settings.scaled_adam().eps, 16.0 * settings.adam.eps);
    }

    #[test]
    fn the_learning_rate_falls_to_its_final_value() {
        let mut settings = StyleganSettings::auto(32, None);
        (settings.lr, settings.lr_final) = (0.002, 0.0004);
        assert_eq!([0, 1_000_000].map(|nimg| settings.lr_at(nimg)), [0.002; 2]);
        settings.schedule_kimg = 100.0;
        for (nimg, expected) in [(0, 0.002), (50_000, 0.0012), (100_000, 0.0004), (900_000, 0.0004)]
        {
            assert!((settings.lr_at(nimg) - expected).abs() < 1e-12, "{nimg}");
        }
        assert!(settings.check().is_ok());
        for (lr_final, schedule_kimg) in [(0.0, 100.0), (0.0004, 0.0), (0.003, 100.0)] {
            let settings = StyleganSettings { lr_final, schedule_kimg, ..settings.clone() };
            assert!(settings.check().unwrap_err().message.contains("stylegan.lr_final"));
        }
    }

    /// One image of the last block of paper1024 has 32 feature maps, 135 MB with a filter's margin.
    #[test]
    fn rounds_fit_into_the_largest_tensor() {
        let mut settings = StyleganSettings::auto(1024, Some(32));
        settings.network.mbstd_group = 4;
        for (largest, round) in [(u64::MAX, 32), ((1 << 31) - 4, 8), (1 << 30, 4), (1 << 29, 32)] {
            assert_eq!(settings.round_within(largest), round, "{largest}");
        }
        settings.round = 8;
        assert_eq!(settings.round_within((1 << 31) - 4), 8);
    }
}
