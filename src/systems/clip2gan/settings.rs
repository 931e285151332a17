//! Settings of CLIP2GAN, and the only definition of their defaults.

use serde::{Deserialize, Serialize};

use super::losses::Adversarial;
use super::noise::Noise;
use crate::nn::AdamSettings;

/// Architecture of the mapper, and the noise that it is used with; stored in every model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clip2GanNetwork {
    /// Number of fully connected layers.
    pub depth: usize,
    /// Width of the layers between the first and the last one.
    pub width: usize,
    /// Noise on the vectors of images in training, and of texts in drawing.
    pub noise: Noise,
}

impl Default for Clip2GanNetwork {
    fn default() -> Self {
        Self { depth: 12, width: 512, noise: Noise::default() }
    }
}

/// Settings of the training of CLIP2GAN.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clip2GanSettings {
    /// The mapper.
    pub network: Clip2GanNetwork,
    /// Subtract the mean vector of all images from those of images, and that of all texts from those of
    /// texts. Encoders place images and texts in separate regions.
    pub center: bool,
    /// Thousands of images to train for when `--kimg` is not given.
    pub kimg: f64,
    /// Images per iteration.
    pub batch: usize,
    /// Images per round; the diversity loss compares them. 0: the whole batch.
    #[serde(default)]
    pub round: usize,
    /// Learning rate of the mapper and of D.
    pub lr: f64,
    /// Constants of the optimisers.
    pub adam: AdamSettings,
    /// Also train on mirrored images.
    pub mirror: bool,
    /// Weight of the mean squared difference between an image and its reconstruction.
    pub reconstruction_weight: f64,
    /// Weight of the perceptual distance between them.
    pub perceptual_weight: f64,
    /// Weight of the adversarial loss; 0 trains no D.
    pub adversarial_weight: f64,
    /// Weight of 1 − the cosine between their pooled perceptual features.
    pub identity_weight: f64,
    /// Weight of the loss that makes images of different noise differ.
    pub diversity_weight: f64,
    /// The adversarial loss: `wgan-gp` or `nonsaturating`.
    pub adversarial: Adversarial,
    /// Weight of D's gradient penalty.
    pub penalty_weight: f64,
}

impl Default for Clip2GanSettings {
    fn default() -> Self {
        Self {
            network: Clip2GanNetwork::default(),
            center: true,
            kimg: 400.0,
            batch: 16,
            round: 0,
            lr: 1e-4,
            adam: AdamSettings { beta1: 0.0, beta2: 0.99, eps: 1e-8 },
            mirror: true,
            reconstruction_weight: 1.0,
            perceptual_weight: 0.5,
            adversarial_weight: 0.08,
            // The published loss compares faces.
            identity_weight: 0.0,
            diversity_weight: 0.1,
            adversarial: Adversarial::WganGp,
            penalty_weight: 10.0,
        }
    }
}

impl Clip2GanSettings {
    /// Whether two images of one vector are compared.
    pub fn compares_noise(&self) -> bool {
        self.diversity_weight > 0.0 && self.network.noise.is_random()
    }

    /// Whether a loss compares perceptual features.
    pub fn compares_features(&self) -> bool {
        self.perceptual_weight > 0.0 || self.identity_weight > 0.0
    }
}
