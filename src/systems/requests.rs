//! What users ask of a loaded model, and what they get: drawing, editing, projecting.

use std::ops::RangeInclusive;

use burn::tensor::Tensor;
use image::RgbImage;
use serde::{Deserialize, Serialize};

use super::guidance::{GuidanceSettings, Guided};
use crate::error::{Error, Result};

/// Seeds as neighbours of another one, on the arc between two normal draws (not part of the paper):
/// z = √(1 − by²)·z(of) + by·z(seed), which is as normal as either.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Vary {
    /// The seed that they are near.
    pub of: u64,
    /// How far away they are: 0 is the seed itself, 1 is anywhere.
    pub by: f64,
}

/// How far neighbours of a seed are unless told otherwise: alike, and none the same.
pub const VARY_BY: f64 = 0.3;

impl Vary {
    /// # Errors
    /// If the distance is out of range; its flag is named.
    pub fn check(&self) -> Result<()> {
        if (0.0..=1.0).contains(&self.by) {
            return Ok(());
        }
        Err(Error::user(format!("--vary-by {}: not from 0 to 1", self.by))
            .hint("0 is the seed itself, 1 is anywhere"))
    }
}

/// A request to draw images of a prompt.
#[derive(Debug, Clone)]
pub struct Draw<'a> {
    /// The prompt.
    pub prompt: &'a str,
    /// One image each.
    pub seeds: &'a [u64],
    /// Whether the seeds are neighbours of another one.
    pub vary: Option<Vary>,
    /// Strength, steps and truncation.
    pub settings: &'a GuidanceSettings,
    /// Strengths at which images are wanted as well.
    pub marks: &'a [f64],
    /// Keep only this many, those nearest to the prompt first.
    pub keep: Option<usize>,
}

/// A step of the optimisation.
pub struct DrawStep<'a> {
    /// 0 for the start.
    pub index: usize,
    /// Codes of all seeds, in their order [N, layers, dim].
    pub codes: &'a Tensor<3>,
}

/// The images of a prompt, as codes.
pub struct Drawn {
    /// The seeds that were kept, in the order of the codes.
    pub seeds: Vec<u64>,
    /// [N, layers, dim]; as few layers as determine the image.
    pub codes: Tensor<3>,
    /// The same at each of the marks.
    pub marked: Vec<Tensor<3>>,
    /// The optimisation of every seed that was asked for. `None` where nothing is optimised.
    pub guided: Option<Guided>,
}

/// Images of captions, one each.
pub struct Illustrated {
    /// [N, 3, res, res].
    pub images: Tensor<4>,
    /// How many codes reached the requested strength. `None` where nothing is optimised.
    pub arrived: Option<usize>,
}

/// What an edit asks for, in prompts (`&str`) or in their codes (`Tensor<3>`).
#[derive(Debug, Clone, Copy)]
pub enum Change<T> {
    /// Become like this text.
    To(T),
    /// Change as one text changes into another: along the difference of their codes, the strength
    /// being the share of that difference (after CLIP2GAN, Wang et al. 2022).
    Between {
        /// Describes the image as it is.
        from: T,
        /// Describes what it should become.
        to: T,
    },
}

impl<T> Change<T> {
    /// The same change with every text replaced by `f` of it.
    ///
    /// # Errors
    /// Those of `f`.
    pub fn try_map<U>(self, mut f: impl FnMut(T) -> Result<U>) -> Result<Change<U>> {
        Ok(match self {
            Change::To(text) => Change::To(f(text)?),
            Change::Between { from, to } => Change::Between { from: f(from)?, to: f(to)? },
        })
    }
}

/// What is edited.
pub enum EditSource {
    /// Images [N, 3, res, res], which are inverted first.
    Images(Tensor<4>),
    /// Codes [N, 1 or num_ws, w_dim], whose images the generator makes.
    Codes(Tensor<3>),
}

/// How images are edited.
#[derive(Debug, Clone)]
pub struct EditSettings<'a> {
    /// Strength, steps, λ.
    pub guidance: &'a GuidanceSettings,
    /// Steps of projection that refine the inversion first.
    pub project: usize,
    /// Layers that may change; all where absent.
    pub layers: Option<RangeInclusive<usize>>,
    /// Strengths at which images are wanted as well.
    pub marks: &'a [f64],
}

/// Progress of an edit.
pub enum EditStep<'a> {
    /// The inversion is being refined: so many steps are done.
    Projecting(usize),
    /// The images as the generator makes them, before anything changes.
    Inverted(&'a [RgbImage]),
    /// The optimisation: steps done, and the codes [N, layers, w_dim].
    Guiding(usize, &'a Tensor<3>),
}

/// An edit of some images.
pub struct Edited {
    /// The images that were given.
    pub originals: Vec<RgbImage>,
    /// What the generator makes of their codes.
    pub inverted: Vec<RgbImage>,
    /// The optimisation, with the codes of the edits.
    pub guided: Guided,
}

/// Refuses a range of layers that a generator of `num_ws` layers does not have.
///
/// # Errors
/// See above; the flag is named.
pub fn check_layers(range: &RangeInclusive<usize>, num_ws: usize) -> Result<()> {
    if !range.is_empty() && *range.end() < num_ws {
        return Ok(());
    }
    let (first, last) = (range.start(), range.end());
    Err(Error::user(format!("--layers {first}-{last}: not within 0-{}", num_ws - 1))
        .hint("coarse layers come first"))
}

/// How images are projected.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProjectSettings {
    /// Steps of Adam; 0 leaves the starting code.
    pub steps: usize,
    /// Learning rate.
    pub lr: f64,
    /// Weight of the perceptual distance, beside 1 for the mean square error.
    pub perceptual: f64,
    /// Weight of mean (w − E(G(w)))², which keeps the code in E's domain.
    pub domain: f64,
}

impl Default for ProjectSettings {
    fn default() -> Self {
        Self { steps: 100, lr: 0.01, perceptual: 0.5, domain: 2.0 }
    }
}

/// Where the optimisation starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProjectStart {
    /// At E(x).
    Encoder,
    /// At w_avg.
    Average,
}

/// One step of a projection.
#[derive(Debug, Clone)]
pub struct ProjectStep {
    /// 0 for the starting code.
    pub index: usize,
    /// Objective of every image: [N].
    pub losses: Vec<f32>,
}
