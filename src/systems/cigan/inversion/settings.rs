//! Settings of stage 2, and the only definition of their defaults.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result, positive};
use crate::language::BalanceSettings;
use crate::nn::{AdamSettings, ema};
use crate::settings::Checked;
use crate::settings::limits::{MAX_BATCH, MAX_INTERVAL, MAX_KIMG, MAX_LR, MAX_WIDTH, within};
use crate::train::rounds::{check_divides, rows_of_a_round};

/// The latent space into which E maps images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Space {
    /// One w for all layers.
    #[serde(rename = "w")]
    W,
    /// A separate w for each layer.
    #[serde(rename = "w+")]
    WPlus,
}

/// Architecture of the encoder; stored in every model of stage 2.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EncoderSettings {
    /// The latent space.
    pub space: Space,
    /// Channels after the stem; every block doubles them. In-Domain GAN inversion uses 64.
    pub channels: usize,
    /// Maximum number of channels of a block. In-Domain GAN inversion uses 1024.
    pub channel_max: usize,
}

impl EncoderSettings {
    /// Number of channels that block `block` gets; those of block 0 come from the stem.
    pub fn width(&self, block: usize) -> usize {
        (self.channels << block).min(self.channel_max)
    }
}

/// Weights of the losses of E; 0 leaves a loss out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LossWeights {
    /// L_pix, the mean squared error.
    pub pixel: f64,
    /// L_vgg, in units of the mean distance between two real images.
    pub perceptual: f64,
    /// L_adv against the image discriminator.
    pub adversarial: f64,
    /// L_w-adv against the latent discriminator.
    pub latent_adversarial: f64,
    /// L_cyc, mean (w − E(G(w)))².
    pub cycle: f64,
    /// L_spread, mean (w_l − w̄)² over the layers of codes in W+; it has no effect in W.
    #[serde(default)]
    pub spread: f64,
}

/// Settings of stage 2, the training of the encoder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InversionSettings {
    /// The encoder.
    pub network: EncoderSettings,
    /// Thousands of images to train for when `--kimg` is not given.
    pub kimg: f64,
    /// Length of the learning-rate schedule in thousands of images, independent of `--kimg`.
    pub schedule_kimg: f64,
    /// Images per iteration.
    pub batch: usize,
    /// Maximum number of images on the device at once; 0 for the whole batch.
    #[serde(default)]
    pub round: usize,
    /// Initial learning rate of E and of the image discriminator.
    pub lr: f64,
    /// Factor by which the learning rate falls, continuously, over each quarter of the schedule.
    pub lr_decay: f64,
    /// Constants of the optimisers of E and the image discriminator.
    pub adam: AdamSettings,
    /// Weights of the losses of E.
    pub weights: LossWeights,
    /// Weight γ of R1 on the image discriminator, which is applied in every iteration.
    pub r1_gamma: f64,
    /// Learning rate of the latent discriminator.
    pub latent_lr: f64,
    /// Constants of the latent discriminator's optimiser.
    pub latent_adam: AdamSettings,
    /// Weight γ of R1 on the latent discriminator.
    pub latent_r1_gamma: f64,
    /// Apply R1 to the latent discriminator every this many iterations; 0 for never.
    pub latent_r1_interval: usize,
    /// Width of the latent discriminator.
    pub latent_width: usize,
    /// Number of earlier codes in the pool of the latent discriminator; 0 for no pool.
    pub pool: usize,
    /// Half-life of the moving average of E, in thousands of images; 0 for no average.
    pub ema_kimg: f64,
    /// Also train on mirrored images.
    pub mirror: bool,
    /// Which images are shown more often than others.
    #[serde(default)]
    pub balance: BalanceSettings,
}

impl LossWeights {
    fn total(&self) -> f64 {
        self.pixel + self.perceptual + self.adversarial + self.latent_adversarial + self.cycle
    }
}

/// Maximum number of codes in the pool. A step of training copies it twice.
const MAX_POOL: usize = 100_000;
/// Maximum weight of a loss.
const MAX_LOSS_WEIGHT: f64 = 1e6;

impl Default for InversionSettings {
    fn default() -> Self {
        Self {
            network: EncoderSettings { space: Space::W, channels: 64, channel_max: 1024 },
            kimg: 400.0,
            schedule_kimg: 400.0,
            batch: 16,
            round: 0,
            lr: 1e-4,
            lr_decay: 0.8,
            adam: AdamSettings { beta1: 0.9, beta2: 0.99, eps: 1e-8 },
            weights: LossWeights {
                pixel: 1.0,
                perceptual: 0.5,
                adversarial: 0.08,
                latent_adversarial: 0.1,
                cycle: 1.0,
                spread: 0.0,
            },
            r1_gamma: 10.0,
            latent_lr: 2e-5,
            latent_adam: AdamSettings { beta1: 0.9, beta2: 0.999, eps: 1e-8 },
            latent_r1_gamma: 10.0,
            latent_r1_interval: 16,
            latent_width: 512,
            pool: 50,
            ema_kimg: 2.0,
            mirror: true,
            balance: BalanceSettings::default(),
        }
    }
}

impl InversionSettings {
    /// Images of a round.
    pub fn images_of_a_round(&self) -> usize {
        rows_of_a_round(self.batch, self.round)
    }

    /// Learning rate after `nimg` images: lr·decay^(4·nimg/schedule).
    pub fn lr_at(&self, nimg: u64) -> f64 {
        let quarters = 4.0 * nimg as f64 / (self.schedule_kimg * 1000.0);
        self.lr * self.lr_decay.powf(quarters)
    }

    /// Decay of the moving average of E per iteration.
    pub fn ema_beta(&self) -> f64 {
        ema::decay(self.batch, self.ema_kimg * 1000.0)
    }
}

impl Checked for EncoderSettings {
    fn check(&self) -> Result<()> {
        within("inversion.network.channels", self.channels, 1..=MAX_WIDTH)?;
        within("inversion.network.channel_max", self.channel_max, 1..=MAX_WIDTH)
    }
}

impl Checked for InversionSettings {
    fn check(&self) -> Result<()> {
        if self.batch == 0 {
            return Err(
                Error::user("inversion.batch is 0").hint("use a positive batch size, such as 16")
            );
        }
        check_divides("inversion", self.batch, self.images_of_a_round())?;
        self.network.check()?;
        if !(1..=MAX_WIDTH).contains(&self.latent_width) {
            return Err(Error::user(format!("inversion.latent_width is {}", self.latent_width))
                .hint(format!("use a width from 1 to {MAX_WIDTH}; 512 is the default")));
        }
        if self.batch > MAX_BATCH {
            return Err(Error::user(format!("inversion.batch is {}", self.batch))
                .hint(format!("use at most {MAX_BATCH} images per iteration; 16 is the default")));
        }
        positive("inversion.schedule_kimg", self.schedule_kimg)?;
        positive("inversion.lr", self.lr)?;
        positive("inversion.lr_decay", self.lr_decay)?;
        positive("inversion.latent_lr", self.latent_lr)?;
        within("inversion.lr", self.lr, 0.0..=MAX_LR)?;
        within("inversion.latent_lr", self.latent_lr, 0.0..=MAX_LR)?;
        within("inversion.lr_decay", self.lr_decay, 0.0..=MAX_LR)?;
        within("inversion.latent_r1_interval", self.latent_r1_interval, 0..=MAX_INTERVAL)?;
        within("inversion.pool", self.pool, 0..=MAX_POOL)?;
        self.adam.check("inversion.adam")?;
        self.latent_adam.check("inversion.latent_adam")?;
        within("inversion.r1_gamma", self.r1_gamma, 0.0..=MAX_LOSS_WEIGHT)?;
        within("inversion.latent_r1_gamma", self.latent_r1_gamma, 0.0..=MAX_LOSS_WEIGHT)?;
        within("inversion.ema_kimg", self.ema_kimg, 0.0..=MAX_KIMG)?;
        self.balance.check("inversion.balance")?;
        let weights = &self.weights;
        for (name, weight) in [
            ("pixel", weights.pixel),
            ("perceptual", weights.perceptual),
            ("adversarial", weights.adversarial),
            ("latent_adversarial", weights.latent_adversarial),
            ("cycle", weights.cycle),
            ("spread", weights.spread),
        ] {
            if !(0.0..=MAX_LOSS_WEIGHT).contains(&weight) {
                return Err(Error::user(format!("inversion.weights.{name} is {weight}"))
                    .hint("use a weight from 0 (off) to a million"));
            }
        }
        if self.weights.total() == 0.0 {
            return Err(Error::user("inversion.weights: all weights are 0, not counting spread")
                .hint("set another weight; E learns nothing about images from spread"));
        }
        Ok(())
    }
}
