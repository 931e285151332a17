//! Settings and result of moving latent codes towards a text.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result, positive};
use crate::settings::limits::{MAX_STEPS, within};

/// Truncation ψ of samples, and of the codes from which generation starts, by default.
pub const TRUNCATION: f64 = 0.7;

/// The share of the variety of unguided samples that images for a text keep at the default
/// strength.
pub const MIN_DIVERSITY: f64 = 0.7;

/// Settings for moving latent codes towards a text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuidanceSettings {
    /// Maximum number of Adam steps.
    pub steps: usize,
    /// Learning rate.
    pub lr: f64,
    /// Fraction of the distance to the text that is closed, 0 to 1. At 1, codes equal the code of
    /// the text along the directions in which texts differ; models without directions give the same
    /// image for all seeds. At the default of these settings, images for a text keep at least 70 % of
    /// the variety of unguided samples (docs/RESULTS.md).
    pub strength: f64,
    /// Truncation ψ of the codes from which generation starts.
    pub truncation: f64,
    /// Weight λ of the perceptual distance to the edited image. The unit of that distance is the
    /// mean distance between two real images.
    pub preserve: f64,
    /// Weight of the agreement of images with the prompt according to other encoders, if a command
    /// is given some.
    pub similarity_weight: f64,
}

/// Largest accepted weight of the similarity; with a larger one, codes no longer reach the text.
const MAX_SIMILARITY: f64 = 1e4;
/// Largest accepted λ; with a larger one, the image does not change.
pub const MAX_PRESERVE: f64 = 1e4;
/// Largest accepted |ψ|; codes farther out do not give usable images.
pub const MAX_TRUNCATION: f64 = 100.0;
/// Largest accepted learning rate; a single step would overshoot any text.
const MAX_GUIDANCE_LR: f64 = 100.0;

impl Default for GuidanceSettings {
    fn default() -> Self {
        Self {
            steps: 200,
            lr: 0.01,
            strength: 0.2,
            truncation: TRUNCATION,
            preserve: 0.5,
            similarity_weight: 3.0,
        }
    }
}

impl GuidanceSettings {
    /// The default settings for edits. Their strength is higher, because a single image has no
    /// variety to preserve.
    pub fn for_edits() -> Self {
        Self { strength: 0.3, ..Self::default() }
    }

    /// The settings that have no flag of their own and differ from the defaults, as assignments of
    /// `--set` separated by spaces; `None` if there are none.
    pub fn assignments(&self) -> Option<String> {
        let Self { lr, steps: _, strength: _, truncation: _, preserve: _, similarity_weight: _ } =
            *self;
        (lr != Self::default().lr).then(|| format!("guidance.lr={lr}"))
    }

    /// Checks the ranges.
    ///
    /// # Errors
    /// If a number is out of range. The message names its flag and its key in settings files.
    pub fn check(&self) -> Result<()> {
        if !(0.0..=1.0).contains(&self.strength) {
            return Err(out_of("strength", self.strength, "not from 0 to 1")
                .hint("0 leaves the image unchanged, 1 moves it all the way to the text"));
        }
        if !(0.0..=MAX_PRESERVE).contains(&self.preserve) {
            let finding = format!("not from 0 to {MAX_PRESERVE}");
            return Err(out_of("preserve", self.preserve, &finding).hint(format!(
                "0 preserves nothing of the image; the default is {}",
                Self::default().preserve
            )));
        }
        if !(0.0..=MAX_SIMILARITY).contains(&self.similarity_weight) {
            let finding = format!("not from 0 to {MAX_SIMILARITY}");
            return Err(out_of("similarity-weight", self.similarity_weight, &finding).hint(
                format!(
                    "0 ignores the encoders; the default is {}",
                    Self::default().similarity_weight
                ),
            ));
        }
        if !(-MAX_TRUNCATION..=MAX_TRUNCATION).contains(&self.truncation) {
            let finding = format!("not from -{MAX_TRUNCATION} to {MAX_TRUNCATION}");
            return Err(out_of("truncation", self.truncation, &finding).hint(format!(
                "1 turns truncation off; the default is {}",
                Self::default().truncation
            )));
        }
        within("--steps (guidance.steps)", self.steps, 0..=MAX_STEPS)?;
        if self.lr > MAX_GUIDANCE_LR {
            return Err(Error::user(format!(
                "guidance.lr is {}: larger than {MAX_GUIDANCE_LR}",
                self.lr
            ))
            .hint(format!("use a smaller value; the default is {}", Self::default().lr)));
        }
        positive("guidance.lr", self.lr)
    }
}

/// The error `--NAME (guidance.NAME) VALUE: FINDING`.
fn out_of(name: &str, value: f64, finding: &str) -> Error {
    let key = name.replace('-', "_");
    Error::user(format!("--{name} (guidance.{key}) {value}: {finding}"))
}

/// Result of moving a batch of codes towards a text.
#[derive(Debug, Clone)]
pub struct Guided {
    /// The codes at the requested strength: `[N, layers, w_dim]`.
    pub codes: Tensor<3>,
    /// The codes at each mark, in the same shape. A code that did not reach a mark within the
    /// available steps is the last one computed.
    pub marked: Vec<Tensor<3>>,
    /// ‖w − t‖ by step and code.
    pub curve: Vec<Vec<f32>>,
    /// The largest requested strength, marks included.
    pub farthest: f64,
    /// Number of codes that reached it before the steps ran out.
    pub reached: usize,
}

impl Guided {
    /// Number of codes that did not reach the largest requested strength within the available
    /// steps.
    pub fn short(&self) -> usize {
        let all = self.codes.dims()[0];
        if self.farthest > 0.0 { all - self.reached.min(all) } else { 0 }
    }
}
