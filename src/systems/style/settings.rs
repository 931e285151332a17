//! Settings of `train-style`, and the only definition of their defaults.

use serde::{Deserialize, Serialize};

use crate::nn::AdamSettings;
use crate::systems::text_gan::style::StyleNetwork;

/// Settings of `train-style`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StyleSettings {
    /// The style encoder.
    pub network: StyleNetwork,
    /// Thousands of images to train for when `--kimg` is not given.
    pub kimg: f64,
    /// Images per iteration.
    pub batch: usize,
    /// Images per round; batch normalisation uses the statistics of each round. 0: the whole batch.
    #[serde(default)]
    pub round: usize,
    /// Learning rate.
    pub lr: f64,
    /// Constants of the optimiser.
    pub adam: AdamSettings,
}

impl Default for StyleSettings {
    fn default() -> Self {
        Self {
            network: StyleNetwork::default(),
            kimg: 100.0,
            batch: 64,
            round: 0,
            lr: 2e-4,
            adam: AdamSettings { beta1: 0.5, beta2: 0.999, eps: 1e-8 },
        }
    }
}
