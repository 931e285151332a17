//! The precision of training (Karras et al. 2020b, mixed-precision training).
//!
//! The features of the highest resolutions take most of the memory and of the time, and their rounding
//! matters least, so only they may be f16. Weights, styles, gradients of parameters, images and logits
//! stay in f32, and kernels compute in f32.

use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::kernels;

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

    /// Factor of the losses of a batch before they are differentiated, a power of two. In f16, the gradients
    /// of one image would be too small if they were divided by the batch.
    pub fn loss_scale(self, batch: usize) -> f64 {
        match self {
            Self::F32 => 1.0,
            Self::Mixed => batch.next_power_of_two() as f64,
        }
    }

    /// Checks that a device can compute with it.
    ///
    /// # Errors
    /// If the device has no f16.
    pub fn check(self, device: &Device) -> Result<()> {
        if self == Self::Mixed && !kernels::stores_half(device) {
            return Err(Error::user("mixed precision is not supported on this device")
                .hint("train in f32, or use a GPU with f16; `cigan devices` lists the devices"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpus_compute_in_f32_only() {
        let device = Device::flex();
        assert!(Precision::F32.check(&device).is_ok());
        assert!(Precision::Mixed.check(&device).is_err());
    }
}
