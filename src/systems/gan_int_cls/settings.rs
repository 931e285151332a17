//! Settings of GAN-INT-CLS, and the only definition of their defaults.

use serde::{Deserialize, Serialize};

use crate::nn::AdamSettings;
use crate::systems::text_gan::trunk::Widths;
use crate::train::schedule::halved;

/// Smallest side of images.
pub(super) const MIN_RESOLUTION: usize = 16;
/// Largest side of images.
pub(super) const MAX_RESOLUTION: usize = 1024;

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

    /// Channels of the generator.
    pub fn generator_widths(&self) -> Widths {
        Widths { resolution: self.resolution, width: self.generator_width }
    }

    /// Channels of the discriminator.
    pub fn discriminator_widths(&self) -> Widths {
        Widths { resolution: self.resolution, width: self.discriminator_width }
    }

    /// The sides 16, 32, … up to half the resolution.
    pub fn upper_sides(&self) -> impl DoubleEndedIterator<Item = usize> + use<> {
        (4..self.resolution.ilog2()).map(|log| 1 << log)
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
    /// Images per round; batch normalisation uses the statistics of each round. 0: the whole batch.
    #[serde(default)]
    pub round: usize,
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
            round: 0,
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
}
