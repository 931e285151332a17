//! Settings of stage 2: the one place where each default stands.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result, not_negative, positive};
use crate::nn::AdamSettings;

/// The latent space that E maps into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Space {
    /// One w for all layers.
    #[serde(rename = "w")]
    W,
    /// One w for each layer.
    #[serde(rename = "w+")]
    WPlus,
}

/// What the encoder looks like; kept in every model of stage 2.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EncoderSettings {
    /// The latent space.
    pub space: Space,
    /// Channels after the stem; doubled by every block. 64 in In-Domain GAN inversion.
    pub channels: usize,
    /// Most channels of a block; 1024 there.
    pub channel_max: usize,
}

/// What each loss of E counts for; 0 leaves it out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LossWeights {
    /// L_pix, mean square.
    pub pixel: f64,
    /// L_vgg, in units of the mean distance of two real images.
    pub perceptual: f64,
    /// L_adv against the image discriminator.
    pub adversarial: f64,
    /// L_w-adv against the latent discriminator.
    pub latent_adversarial: f64,
    /// L_cyc, mean (w − E(G(w)))².
    pub cycle: f64,
}

/// How stage 2 is trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InversionSettings {
    /// The encoder.
    pub network: EncoderSettings,
    /// Thousands of images to train for when `--kimg` is not given.
    pub kimg: f64,
    /// Thousands of images over which the learning rate decays; it does not depend on `--kimg`.
    pub schedule_kimg: f64,
    /// Images of one iteration.
    pub batch: usize,
    /// Learning rate of E and of the image discriminator at first.
    pub lr: f64,
    /// The learning rate falls by this factor over every quarter of the schedule, smoothly.
    pub lr_decay: f64,
    /// Constants of the optimisers of E and the image discriminator.
    pub adam: AdamSettings,
    /// Weights of the losses of E; 0 leaves a term out.
    pub weights: LossWeights,
    /// Weight γ of R1 on the image discriminator, every iteration.
    pub r1_gamma: f64,
    /// Learning rate of the latent discriminator.
    pub latent_lr: f64,
    /// Constants of the latent discriminator's optimiser.
    pub latent_adam: AdamSettings,
    /// Weight γ of R1 on the latent discriminator.
    pub latent_r1_gamma: f64,
    /// Iterations between two applications of that R1.
    pub latent_r1_interval: usize,
    /// Width of the latent discriminator.
    pub latent_width: usize,
    /// Earlier codes that the latent discriminator sees again; 0 for none.
    pub pool: usize,
    /// Half-life of the average of E, in thousands of images; 0 for no average.
    pub ema_kimg: f64,
    /// Train on mirrored images as well.
    pub mirror: bool,
}

impl LossWeights {
    fn total(&self) -> f64 {
        self.pixel + self.perceptual + self.adversarial + self.latent_adversarial + self.cycle
    }
}

/// No layer is wider.
const MOST_WIDTH: usize = 16_384;
/// No iteration sees more images.
const MOST_BATCH: usize = 65_536;
/// No loss counts for more.
const MOST_WEIGHT: f64 = 1e6;

impl Default for InversionSettings {
    fn default() -> Self {
        Self {
            network: EncoderSettings { space: Space::W, channels: 64, channel_max: 1024 },
            kimg: 400.0,
            schedule_kimg: 400.0,
            batch: 16,
            lr: 1e-4,
            lr_decay: 0.8,
            adam: AdamSettings { beta1: 0.9, beta2: 0.99, eps: 1e-8 },
            weights: LossWeights {
                pixel: 1.0,
                perceptual: 0.5,
                adversarial: 0.08,
                latent_adversarial: 0.1,
                cycle: 1.0,
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
        }
    }
}

impl InversionSettings {
    /// Learning rate after `nimg` images: lr·decay^(4·nimg/schedule).
    pub fn lr_at(&self, nimg: u64) -> f64 {
        let quarters = 4.0 * nimg as f64 / (self.schedule_kimg * 1000.0);
        self.lr * self.lr_decay.powf(quarters)
    }

    /// Decay of the average of E.
    pub fn ema_beta(&self) -> f64 {
        0.5f64.powf(self.batch as f64 / (self.ema_kimg * 1000.0).max(1e-8))
    }

    /// # Errors
    /// If the numbers contradict each other.
    pub fn check(&self) -> Result<()> {
        if self.batch == 0 {
            return Err(Error::user("inversion.batch is 0").hint("give a positive batch"));
        }
        if self.network.channels == 0 || self.network.channel_max == 0 {
            return Err(Error::user("inversion.network: an encoder without channels")
                .hint("64 and 1024 are the paper's, 32 and 256 suit a CPU"));
        }
        if !(1..=MOST_WIDTH).contains(&self.latent_width) {
            return Err(Error::user(format!("inversion.latent_width is {}", self.latent_width))
                .hint("512 is the usual width of the latent discriminator"));
        }
        if self.network.channels.max(self.network.channel_max) > MOST_WIDTH {
            return Err(Error::user("inversion.network: an encoder of too many channels")
                .hint("64 and 1024 are the paper's, 32 and 256 suit a CPU"));
        }
        if self.batch > MOST_BATCH {
            return Err(Error::user(format!("inversion.batch is {}", self.batch))
                .hint("images of one iteration: 16 is usual"));
        }
        positive("inversion.schedule_kimg", self.schedule_kimg)?;
        positive("inversion.lr", self.lr)?;
        positive("inversion.lr_decay", self.lr_decay)?;
        positive("inversion.latent_lr", self.latent_lr)?;
        self.adam.check("inversion.adam")?;
        self.latent_adam.check("inversion.latent_adam")?;
        not_negative("inversion.r1_gamma", self.r1_gamma)?;
        not_negative("inversion.latent_r1_gamma", self.latent_r1_gamma)?;
        not_negative("inversion.ema_kimg", self.ema_kimg)?;
        let weights = &self.weights;
        for (name, weight) in [
            ("pixel", weights.pixel),
            ("perceptual", weights.perceptual),
            ("adversarial", weights.adversarial),
            ("latent_adversarial", weights.latent_adversarial),
            ("cycle", weights.cycle),
        ] {
            if !(0.0..=MOST_WEIGHT).contains(&weight) {
                return Err(Error::user(format!("inversion.weights.{name} is {weight}"))
                    .hint("weights are 0 (off) or positive, and at most a million"));
            }
        }
        if self.weights.total() == 0.0 {
            return Err(Error::user("inversion.weights: all of them are 0")
                .hint("E then learns nothing; leave at least one loss"));
        }
        Ok(())
    }
}
