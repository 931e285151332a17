//! Settings of GAN-INT-CLS, and the only definition of their defaults.

use serde::{Deserialize, Serialize};

use super::generator::Generator;
use crate::error::{Error, Result, positive};
use crate::nn::AdamSettings;
use crate::settings::Checked;
use crate::settings::limits::{MAX_BATCH, MAX_LR, MAX_WEIGHT, MAX_WIDTH, check_values, within};
use crate::train::schedule::halved;

/// Smallest side of images.
const MIN_RESOLUTION: usize = 16;

/// Architecture of both networks; stored in every model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GanIntClsNetwork {
    /// Side of the images in pixels: a power of two from 16 to 1024.
    pub resolution: usize,
    /// Size of z.
    pub z_dim: usize,
    /// Size of a caption's vector after the linear layer of each network.
    pub projection: usize,
    /// Channels of the generator at half the resolution; a multiple of 4.
    pub generator_width: usize,
    /// Channels of the discriminator at half the resolution; a multiple of 4.
    pub discriminator_width: usize,
}

impl GanIntClsNetwork {
    /// The published architecture, for images of side `resolution`, or of the smallest side that it
    /// supports.
    pub fn at(resolution: usize) -> Self {
        Self {
            resolution: resolution.max(MIN_RESOLUTION),
            z_dim: 100,
            projection: 128,
            generator_width: 128,
            discriminator_width: 64,
        }
    }

    /// Channels at side `side`: `width`·min(8, R/(2·side)).
    pub fn channels(&self, width: usize, side: usize) -> usize {
        width * (self.resolution / (2 * side)).clamp(1, 8)
    }

    /// The sides 16, 32, … up to half the resolution.
    pub fn upper_sides(&self) -> impl DoubleEndedIterator<Item = usize> + use<> {
        (4..self.resolution.ilog2()).map(|log| 1 << log)
    }
}

impl Checked for GanIntClsNetwork {
    fn check(&self) -> Result<()> {
        if !self.resolution.is_power_of_two() || !(MIN_RESOLUTION..=1024).contains(&self.resolution)
        {
            return Err(Error::user(format!(
                "gan_int_cls.network.resolution is {}: not a power of two from 16 to 1024",
                self.resolution
            ))
            .hint("prepare the data with --resolution 32, 64, 128 or 256"));
        }
        within("gan_int_cls.network.z_dim", self.z_dim, 1..=MAX_WIDTH)?;
        within("gan_int_cls.network.projection", self.projection, 1..=MAX_WIDTH)?;
        for (name, width) in [
            ("generator_width", self.generator_width),
            ("discriminator_width", self.discriminator_width),
        ] {
            within(format!("gan_int_cls.network.{name}"), width, 4..=MAX_WIDTH / 8)?;
            if !width.is_multiple_of(4) {
                return Err(Error::user(format!("gan_int_cls.network.{name} is {width}"))
                    .hint("use a multiple of 4, such as 64"));
            }
        }
        check_values("gan_int_cls.network", Generator::shapes(self, 1).values())
    }
}

/// The four variants that the paper compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variant {
    /// Neither mismatched pairs nor means of captions.
    Gan,
    /// Mismatched pairs.
    GanCls,
    /// Means of captions.
    GanInt,
    /// Both.
    GanIntCls,
}

impl Variant {
    /// Share of mismatched pairs in D's loss on fakes, and weight of means of captions in G's loss.
    pub fn weights(self) -> (f64, f64) {
        match self {
            Self::Gan => (0.0, 0.0),
            Self::GanCls => (0.5, 0.0),
            Self::GanInt => (0.0, 1.0),
            Self::GanIntCls => (0.5, 1.0),
        }
    }
}

/// The place of an interpolated caption between two captions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Interpolation {
    /// The middle, as in the published code.
    Half,
    /// Anywhere between them, at random.
    Uniform,
}

/// Settings of the training of GAN-INT-CLS.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GanIntClsSettings {
    /// The networks.
    pub network: GanIntClsNetwork,
    /// Thousands of images to train for when `--kimg` is not given.
    pub kimg: f64,
    /// Thousands of images over which the learning rate is halved five times.
    pub schedule_kimg: f64,
    /// Images per iteration.
    pub batch: usize,
    /// Initial learning rate of both networks.
    pub lr: f64,
    /// Constants of the optimisers.
    pub adam: AdamSettings,
    /// Share of mismatched pairs in D's loss on what it must reject (CLS), from 0 to below 1.
    pub mismatched: f64,
    /// Weight of means of two captions in G's loss (INT).
    pub interpolated: f64,
    /// Where between two captions an interpolated one lies.
    pub interpolation: Interpolation,
    /// Captions of an image whose vectors are averaged.
    pub captions: usize,
    /// Mirror images at random, except with captions that name a side.
    pub mirror: bool,
    /// Half-life of the moving average of G in thousands of images; 0 uses G itself.
    pub ema_kimg: f64,
}

/// Number of times that the learning rate is halved.
const HALVINGS: u32 = 5;
/// Largest number of captions to average.
const MAX_CAPTIONS: usize = 1000;

impl GanIntClsSettings {
    /// The published settings, for images of side `resolution`.
    pub fn at(resolution: usize) -> Self {
        let (mismatched, interpolated) = Variant::GanIntCls.weights();
        Self {
            network: GanIntClsNetwork::at(resolution),
            // 600 epochs of the training images of CUB's class split.
            kimg: 5313.0,
            schedule_kimg: 5313.0,
            batch: 64,
            lr: 2e-4,
            adam: AdamSettings { beta1: 0.5, beta2: 0.999, eps: 1e-8 },
            mismatched,
            interpolated,
            interpolation: Interpolation::Half,
            captions: 4,
            mirror: true,
            ema_kimg: 0.0,
        }
    }

    /// Learning rate after `nimg` images.
    pub fn lr_at(&self, nimg: u64) -> f64 {
        halved(self.lr, nimg, self.schedule_kimg, HALVINGS)
    }

    /// A lower bound of the memory in bytes that training needs: G's feature maps at half the
    /// resolution with their gradients, and its weights with their gradients and moments.
    pub fn least_memory(&self) -> u64 {
        let side = self.network.resolution as u64 / 2;
        let features = (self.batch as u64)
            .saturating_mul(self.network.generator_width as u64)
            .saturating_mul(side * side);
        let weights = Generator::shapes(&self.network, 1).values();
        features.saturating_mul(2).saturating_add(weights.saturating_mul(4)).saturating_mul(4)
    }
}

impl Checked for GanIntClsSettings {
    fn check(&self) -> Result<()> {
        self.network.check()?;
        within("gan_int_cls.batch", self.batch, 2..=MAX_BATCH)?;
        positive("gan_int_cls.kimg", self.kimg)?;
        positive("gan_int_cls.schedule_kimg", self.schedule_kimg)?;
        positive("gan_int_cls.lr", self.lr)?;
        within("gan_int_cls.lr", self.lr, 0.0..=MAX_LR)?;
        self.adam.check("gan_int_cls.adam")?;
        if !(0.0..1.0).contains(&self.mismatched) {
            return Err(Error::user(format!("gan_int_cls.mismatched is {}", self.mismatched))
                .hint("0.5 is the published share; 0 turns mismatched pairs off"));
        }
        within("gan_int_cls.interpolated", self.interpolated, 0.0..=MAX_WEIGHT)?;
        if self.interpolated > 0.0 && !self.batch.is_multiple_of(2) {
            return Err(Error::user(format!("gan_int_cls.batch is {}: odd", self.batch)).hint(
                "use an even batch, because captions are interpolated in pairs, or set \
                 gan_int_cls.interpolated=0",
            ));
        }
        within("gan_int_cls.captions", self.captions, 1..=MAX_CAPTIONS)?;
        within("gan_int_cls.ema_kimg", self.ema_kimg, 0.0..=1e6)
    }
}
