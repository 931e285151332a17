//! The precision of training (Karras et al. 2020b, mixed-precision training).
//!
//! The features of the highest resolutions take most of the memory and of the time, and their rounding
//! matters least, so only they may be f16. Weights, styles, gradients of parameters, images and logits
//! stay in f32, and kernels compute in f32.

use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use super::StyleganSettings;
use crate::error::{Error, Result};
use crate::kernels;
use crate::nn::AdamSettings;

/// Number of resolutions with features in f16, counted from the highest. 4×4 is never among them.
pub const HALF_RESOLUTIONS: usize = 4;

/// Factor of the tangents of path-length regularisation, which are of the size of a small step of w. As
/// tangents are linear, their gradients are divided by it.
pub const TANGENT_SCALE: f64 = 16.0;

/// The precision of features.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// All features are f32.
    #[default]
    F32,
    /// Features of the highest resolutions are f16, on GPUs only.
    Mixed,
}

impl Precision {
    /// Number of blocks with features in f16 at most.
    pub fn half_blocks(self) -> usize {
        match self {
            Self::F32 => 0,
            Self::Mixed => HALF_RESOLUTIONS,
        }
    }

    /// Checks that a device can compute with it.
    ///
    /// # Errors
    /// If the device has no f16.
    pub fn check(self, device: &Device) -> Result<()> {
        if self == Self::Mixed && !kernels::stores_half(device) {
            return Err(Error::user(
                "--precision mixed: this device has no half precision in the kernels of cigan",
            )
            .hint("use --precision f32; `cigan devices` lists the devices of this machine"));
        }
        Ok(())
    }
}

impl StyleganSettings {
    /// Factor of the losses before they are differentiated, a power of two. In f16, the gradients of one
    /// image would be too small if they were divided by the batch.
    pub fn loss_scale(&self) -> f64 {
        match self.precision {
            Precision::F32 => 1.0,
            Precision::Mixed => self.batch.next_power_of_two() as f64,
        }
    }

    /// The constants of the optimisers. Adam's steps do not depend on the scale of all gradients if ε has
    /// the same scale.
    pub(in crate::systems) fn scaled_adam(&self) -> AdamSettings {
        AdamSettings { eps: self.adam.eps * self.loss_scale(), ..self.adam }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_mixed_precision_scales_losses() {
        let mut settings = StyleganSettings::auto(32, Some(12));
        assert_eq!((settings.loss_scale(), settings.scaled_adam()), (1.0, settings.adam));
        settings.precision = Precision::Mixed;
        assert_eq!(settings.loss_scale(), 16.0);
        assert_eq!(settings.scaled_adam().eps, 16.0 * settings.adam.eps);
    }

    #[test]
    fn cpus_compute_in_f32_only() {
        let device = Device::flex();
        assert!(Precision::F32.check(&device).is_ok());
        assert!(Precision::Mixed.check(&device).is_err());
    }
}
