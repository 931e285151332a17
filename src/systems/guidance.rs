//! How codes are moved towards a text: the settings, each with its one default, and the result.

use burn::tensor::Tensor;
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
    /// Fraction of the distance to the text that is closed, 0 to 1; 1 makes all seeds alike. The
    /// default leaves pictures of a text 70 % of the variety of samples at least (docs/RESULTS.md).
    pub strength: f64,
    /// Truncation ψ of the codes that generation starts from.
    pub truncation: f64,
    /// Weight λ of the perceptual distance to the image that is edited, whose unit is the mean
    /// distance of two real images.
    pub preserve: f64,
}

/// Beyond it nothing moves.
const MOST_PRESERVE: f64 = 1e4;
/// Codes farther out belong to no picture.
const MOST_TRUNCATION: f64 = 100.0;
/// Longer steps than any way to a text.
const MOST_LR: f64 = 100.0;

impl Default for GuidanceSettings {
    fn default() -> Self {
        Self { steps: 200, lr: 0.01, strength: 0.2, truncation: 0.7, preserve: 0.5 }
    }
}

impl GuidanceSettings {
    /// Of edits: one picture changes, and there is no variety to keep.
    pub fn for_edits() -> Self {
        Self { strength: 0.3, ..Self::default() }
    }

    /// # Errors
    /// If a number is out of range; its flag is named, and where else it may have come from.
    pub fn check(&self) -> Result<()> {
        if !(0.0..=1.0).contains(&self.strength) {
            return Err(out_of("strength", self.strength, "not from 0 to 1")
                .hint("0 leaves the picture alone, 1 goes all the way to the text"));
        }
        if !(0.0..=MOST_PRESERVE).contains(&self.preserve) {
            let finding = format!("not from 0 to {MOST_PRESERVE}");
            return Err(out_of("preserve", self.preserve, &finding).hint(format!(
                "0 keeps nothing of the picture, {} is the default",
                Self::default().preserve
            )));
        }
        if !(-MOST_TRUNCATION..=MOST_TRUNCATION).contains(&self.truncation) {
            let finding = format!("not from -{MOST_TRUNCATION} to {MOST_TRUNCATION}");
            return Err(out_of("truncation", self.truncation, &finding)
                .hint(format!("1 is no truncation, {} the default", Self::default().truncation)));
        }
        if self.lr > MOST_LR {
            return Err(Error::user(format!("guidance.lr is {}", self.lr))
                .hint(format!("{} is the default", Self::default().lr)));
        }
        positive("guidance.lr", self.lr)
    }
}

/// `--NAME (guidance.NAME) VALUE: FINDING`.
fn out_of(name: &str, value: f64, finding: &str) -> Error {
    Error::user(format!("--{name} (guidance.{name}) {value}: {finding}"))
}

/// Where the optimisation ended.
#[derive(Debug, Clone)]
pub struct Guided {
    /// At the asked strength [N, layers, w_dim].
    pub codes: Tensor<3>,
    /// At each of the marks, likewise; where the steps ran out before one, where they ended.
    pub marked: Vec<Tensor<3>>,
    /// ‖w − t‖ at every step, of every code.
    pub curve: Vec<Vec<f32>>,
    /// The largest strength that was asked for, marks included.
    pub farthest: f64,
    /// Codes that reached it before the steps ran out.
    pub reached: usize,
}

impl Guided {
    /// Codes that the steps ran out for before the asked strength.
    pub fn short(&self) -> usize {
        let all = self.codes.dims()[0];
        if self.farthest > 0.0 { all - self.reached.min(all) } else { 0 }
    }
}
