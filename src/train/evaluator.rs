//! The interface through which a trainer evaluates the samples of its generator.
//!
//! The measures belong to a layer above the trainers. A trainer receives an [`Evaluator`] and does
//! not know what it measures.

use std::path::PathBuf;

use burn::tensor::{Device, Tensor};

use super::events::EventSink;
use super::trainer::Evaluation;
use crate::error::Result;
use crate::interrupt::Interrupt;
use crate::ranks::Ranks;

/// The noise that the layers of the generator add to sampled images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SampleNoise {
    /// The noise stored in the model, the same for every image.
    Constant,
    /// Noise drawn from each image's seed.
    Random,
    /// No noise.
    None,
}

/// Draws images from seeds.
pub trait ImageSampler {
    /// One image per seed, with truncation `psi`: `[N, 3, res, res]`.
    ///
    /// # Errors
    /// Fails if a condition cannot be read.
    fn images(&self, seeds: &[u64], psi: f32, noise: SampleNoise) -> Result<Tensor<4>>;

    /// Describes in the note of a table how conditions were drawn. Empty for models without
    /// conditions.
    fn note(&self) -> &'static str {
        ""
    }
}

/// Evaluates the samples of a generator at a snapshot. All ranks call it with the same generator, and
/// only the result of the first one counts.
pub type Evaluator = Box<dyn Fn(&dyn ImageSampler) -> Result<Evaluation>>;

/// The data and features that snapshots are evaluated with.
#[derive(Debug, Clone)]
pub struct EvaluatorRequest {
    /// Archive with held-out images (`--eval`).
    pub archive: Option<PathBuf>,
    /// Features, as written on the command line (`--eval-features`).
    pub features: Option<String>,
    /// Side of the training images in pixels.
    pub resolution: usize,
    /// Hash of the training archive.
    pub training: String,
    /// Seed of the samples.
    pub seed: u64,
    /// The ranks that share the samples.
    pub ranks: Ranks,
}

/// An evaluator, with what its values depend on.
pub struct OpenedEvaluator {
    /// The evaluator.
    pub evaluator: Evaluator,
    /// Identifies its features and its data. A run keeps them.
    pub measured_by: String,
    /// Hash of the weights of its features; empty if they need none.
    pub weights: String,
}

/// Opens an evaluator. Returns `None` if the request names no archive.
pub type OpenEvaluator = fn(
    &EvaluatorRequest,
    &Device,
    &Interrupt,
    &mut dyn EventSink,
) -> Result<Option<OpenedEvaluator>>;
