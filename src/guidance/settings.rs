//! Settings of guided optimisation: the one place where each default stands.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result, positive};

/// How codes are moved towards a text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuidanceSettings {
    /// Most steps of Adam.
    pub steps: usize,
    /// Learning rate.
    pub lr: f64,
    /// Fraction of the distance to the text that is closed, 0 to 1; 1 makes all seeds alike.
    pub strength: f64,
    /// Truncation ψ of the codes that generation starts from.
    pub truncation: f64,
    /// Weight λ of the perceptual distance to the image that is edited.
    pub preserve: f64,
}

impl Default for GuidanceSettings {
    fn default() -> Self {
        Self { steps: 200, lr: 0.01, strength: 0.5, truncation: 0.7, preserve: 0.5 }
    }
}

impl GuidanceSettings {
    /// # Errors
    /// If a number is out of range; its flag is named.
    pub fn check(&self) -> Result<()> {
        if !(0.0..=1.0).contains(&self.strength) {
            return Err(Error::user(format!("--strength {}: not from 0 to 1", self.strength))
                .hint("0 leaves the picture alone, 1 goes all the way to the text"));
        }
        if !(self.preserve >= 0.0 && self.preserve.is_finite()) {
            return Err(Error::user(format!(
                "--preserve {}: not 0 or a positive number",
                self.preserve
            ))
            .hint("0 keeps nothing of the picture, 0.5 is the default"));
        }
        if !self.truncation.is_finite() {
            return Err(Error::user(format!("--truncation {}: not a number", self.truncation))
                .hint("1 is no truncation, 0.7 the default"));
        }
        positive("guidance.lr", self.lr)
    }
}
