//! Settings of DAMSM, and the only definition of their defaults.

use serde::{Deserialize, Serialize};

use super::losses::DamsmLoss;
use crate::language::TokenizerSettings;
use crate::nn::AdamSettings;
use crate::train::rounds::rows_of_a_round;
use crate::train::schedule::half_cosine;

/// Architecture of both encoders; stored in every model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DamsmNetwork {
    /// Side of the images in pixels: a power of two. Other images are resized to it.
    pub resolution: usize,
    /// Size of a token's embedding.
    pub embedding: usize,
    /// Size of the LSTM's state, per direction. Vectors of words, sentences, regions and images are
    /// twice as long.
    pub hidden: usize,
    /// Channels of the image encoder at full resolution; they double at every halving of the side.
    pub channels: usize,
    /// Maximum number of channels.
    pub channel_max: usize,
}

impl DamsmNetwork {
    /// The default architecture for images of side `resolution`.
    pub fn at(resolution: usize) -> Self {
        Self { resolution, embedding: 300, hidden: 128, channels: 32, channel_max: 256 }
    }

    /// Length of a vector of a word, a sentence, a region or an image.
    pub fn size(&self) -> usize {
        2 * self.hidden
    }

    /// Side of the grid of regions.
    pub fn grid(&self) -> usize {
        if self.resolution <= 128 { 8 } else { 16 }
    }

    /// Number of halvings from the image to the grid.
    pub fn halvings(&self) -> usize {
        (self.resolution / self.grid()).ilog2() as usize
    }

    /// Number of channels after `halvings` halvings.
    pub fn width(&self, halvings: usize) -> usize {
        (self.channels << halvings.min(16)).min(self.channel_max)
    }
}

/// Settings of `train-damsm`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DamsmSettings {
    /// The encoders.
    pub network: DamsmNetwork,
    /// The tokenizer.
    pub tokenizer: TokenizerSettings,
    /// The loss between images and captions.
    pub loss: DamsmLoss,
    /// Thousands of pairs to train for when `--kimg` is not given.
    pub kimg: f64,
    /// Thousands of pairs over which the learning rate falls to 0 along a half cosine.
    pub schedule_kimg: f64,
    /// Pairs per iteration; all other pairs of the batch are negatives of a pair.
    pub batch: usize,
    /// Maximum number of pairs that are encoded at once; 0 for the whole batch. All other pairs of
    /// the batch are negatives of a pair in any case.
    #[serde(default)]
    pub round: usize,
    /// Initial learning rate.
    pub lr: f64,
    /// Constants of the optimisers.
    pub adam: AdamSettings,
    /// Maximum norm of the text encoder's gradient.
    pub clip: f64,
    /// Fraction of the values of embeddings that are dropped at every step.
    pub embedding_dropout: f64,
    /// Fraction of a caption's tokens that are dropped at every step.
    pub word_dropout: f64,
    /// Mirror images at random, except with captions that name a side.
    pub mirror: bool,
    /// Smallest side of a random crop, as a fraction of the image.
    pub crop: f64,
    /// Weight of the contrastive loss between two views of an image, captioned or not. It is not
    /// used if nine in ten training images have captions.
    pub view_weight: f64,
    /// Smallest side of a view, as a fraction of the image.
    pub view_crop: f64,
    /// Temperature of the loss between views.
    pub view_temperature: f64,
}

impl DamsmSettings {
    /// The default settings for images of side `resolution`.
    pub fn at(resolution: usize) -> Self {
        Self {
            network: DamsmNetwork::at(resolution),
            // Captions of the published models have 18 words.
            tokenizer: TokenizerSettings { max_tokens: 18, ..TokenizerSettings::default() },
            loss: DamsmLoss::default(),
            kimg: 200.0,
            schedule_kimg: 200.0,
            batch: 48,
            round: 0,
            lr: 2e-4,
            adam: AdamSettings { beta1: 0.5, beta2: 0.999, eps: 1e-8 },
            clip: 0.25,
            embedding_dropout: 0.5,
            word_dropout: 0.1,
            mirror: true,
            crop: 0.75,
            view_weight: 0.1,
            view_crop: 0.6,
            view_temperature: 0.1,
        }
    }

    /// Number of pairs of a round.
    pub fn pairs_of_a_round(&self) -> usize {
        rows_of_a_round(self.batch, self.round)
    }

    /// Learning rate after `nimg` pairs.
    pub fn lr_at(&self, nimg: u64) -> f64 {
        half_cosine(self.lr, nimg, self.schedule_kimg)
    }
}
