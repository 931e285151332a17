//! Settings of the captioner, and the only definition of their defaults.

use serde::{Deserialize, Serialize};

use crate::nn::AdamSettings;

/// Architecture of the captioner; stored in every model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaptionerNetwork {
    /// Size of the embedding of a word, and of the vector of an image.
    pub embedding: usize,
    /// Size of the state of the LSTM.
    pub hidden: usize,
}

impl Default for CaptionerNetwork {
    /// The published sizes.
    fn default() -> Self {
        Self { embedding: 256, hidden: 512 }
    }
}

/// Settings of `train-captioner`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaptionerSettings {
    /// The decoder of captions.
    pub network: CaptionerNetwork,
    /// Start with the weights of DAMSM's image encoder, not with random ones.
    pub from_damsm: bool,
    /// Thousands of images to train for when `--kimg` is not given.
    pub kimg: f64,
    /// Images per iteration, each with one caption.
    pub batch: usize,
    /// Images per round; batch normalisation uses the statistics of each round. 0: the whole batch.
    #[serde(default)]
    pub round: usize,
    /// Learning rate.
    pub lr: f64,
    /// Constants of the optimiser.
    pub adam: AdamSettings,
    /// Mirror images at random, except with captions that name a side.
    pub mirror: bool,
    /// Smallest side of a random crop, as a fraction of the image.
    pub crop: f64,
}

impl Default for CaptionerSettings {
    fn default() -> Self {
        Self {
            network: CaptionerNetwork::default(),
            from_damsm: true,
            // 200 epochs of the training images of CUB's class split.
            kimg: 1771.0,
            batch: 64,
            round: 0,
            lr: 1e-3,
            adam: AdamSettings::PUBLISHED,
            mirror: true,
            crop: 0.75,
        }
    }
}
