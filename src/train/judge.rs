//! Measuring the samples of a generator while it trains.
//!
//! The measures live above the trainers, so a trainer is handed a [`Judge`] and does not know what
//! it measures.

use std::path::PathBuf;

use burn::tensor::{Device, Tensor};

use super::events::EventSink;
use super::trainer::Evaluation;
use crate::error::Result;
use crate::interrupt::Interrupt;

/// Noise of the layers of sampled images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SampleNoise {
    /// The constant noise of the model.
    Constant,
    /// Drawn for every seed.
    Random,
}

/// Images of seeds.
pub trait Sampler {
    /// One image a seed: [N, 3, res, res], at truncation ψ.
    ///
    /// # Errors
    /// If a condition cannot be read.
    fn images(&self, seeds: &[u64], psi: f32, noise: SampleNoise) -> Result<Tensor<4>>;

    /// Words for the note of a table about how conditions were drawn; empty where there are none.
    fn note(&self) -> &'static str {
        ""
    }
}

/// Measures samples at snapshots.
pub type Judge = Box<dyn Fn(&dyn Sampler) -> Result<Evaluation>>;

/// What snapshots are to be measured against.
#[derive(Debug, Clone)]
pub struct JudgeRequest {
    /// `--eval`: the archive with held-out images.
    pub archive: Option<PathBuf>,
    /// `--eval-features`, as on the command line.
    pub features: Option<String>,
    /// Side of the training images.
    pub resolution: usize,
    /// Hash of the training archive.
    pub training: String,
    /// Seed of the samples.
    pub seed: u64,
}

/// Opens what a request asks for: the judge, and words that identify what it measures. `None` where
/// nothing is asked for.
pub type OpenJudge =
    fn(&JudgeRequest, &Device, &Interrupt, &mut dyn EventSink) -> Result<Option<(Judge, String)>>;
