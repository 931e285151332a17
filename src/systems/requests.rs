//! Requests to a loaded model and their results: drawing, editing, projecting.

use std::ops::RangeInclusive;

use burn::tensor::Tensor;
use image::RgbImage;
use serde::Serialize;

use super::guidance::{GuidanceSettings, Guided};
use super::similarity::Similarity;
use crate::error::{Error, Result};

/// Truncation of sampled codes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Truncation {
    /// ψ: 1 leaves a code alone, 0 gives the mean code.
    pub psi: f32,
    /// Number of layers that are truncated; all if `None`.
    pub cutoff: Option<usize>,
}

impl Truncation {
    /// No truncation, ψ = 1.
    pub const NONE: Truncation = Truncation { psi: 1.0, cutoff: None };

    /// Truncation by ψ in all layers.
    pub fn psi(psi: f32) -> Self {
        Self { psi, cutoff: None }
    }
}

/// Variations of a seed: each z lies on the arc between the z of two seeds (not part of the paper).
///
/// z = √(1 − by²)·z(of) + by·z(seed), which has the same normal distribution as both.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Vary {
    /// The seed that is varied.
    pub of: u64,
    /// Distance from that seed: 0 gives the seed itself, 1 an independent sample.
    pub by: f64,
}

/// Default of [`Vary::by`]: the images are similar, but no two are the same.
pub const VARY_BY: f64 = 0.3;

impl Vary {
    /// Checks the distance.
    ///
    /// # Errors
    /// If the distance is out of range. The message names its flag.
    pub fn check(&self) -> Result<()> {
        if (0.0..=1.0).contains(&self.by) {
            return Ok(());
        }
        Err(Error::user(format!("--vary-by {}: not from 0 to 1", self.by))
            .hint("0 gives the seed itself, 1 an independent sample"))
    }
}

/// A request to draw images for a prompt.
#[derive(Debug, Clone)]
pub struct Draw<'a> {
    /// The prompt.
    pub prompt: &'a str,
    /// Seeds of the images, one image per seed.
    pub seeds: &'a [u64],
    /// The seed that `seeds` vary, if any.
    pub vary: Option<Vary>,
    /// Strength, steps and truncation.
    pub settings: &'a GuidanceSettings,
    /// Further strengths at which to record the codes.
    pub marks: &'a [f64],
    /// Keep only this many images, those nearest to the prompt, nearest first.
    pub keep: Option<usize>,
    /// Encoders whose judgement the optimisation follows as well.
    pub similarity: Option<Similarity<'a>>,
}

impl<'a> Draw<'a> {
    /// A request for one image per seed.
    pub fn new(prompt: &'a str, seeds: &'a [u64], settings: &'a GuidanceSettings) -> Self {
        Self { prompt, seeds, vary: None, settings, marks: &[], keep: None, similarity: None }
    }
}

/// One step of the optimisation that draws images for a prompt.
pub struct DrawStep<'a> {
    /// Index of the step; 0 for the start.
    pub index: usize,
    /// Codes of all seeds, in their order: `[N, layers, dim]`.
    pub codes: &'a Tensor<3>,
}

/// Result of [`Draw`]: the images for a prompt, as codes.
pub struct Drawn {
    /// The seeds that were kept, in the order of the codes.
    pub seeds: Vec<u64>,
    /// Codes of the images: `[N, layers, dim]`. They have one layer if all layers are the same.
    pub codes: Tensor<3>,
    /// The codes at each mark, in the same shape.
    pub marked: Vec<Tensor<3>>,
    /// Result of the optimisation of every requested seed. `None` if the system does not optimise.
    pub guided: Option<Guided>,
}

/// Images for captions, one per caption.
pub struct Illustrated {
    /// The images: `[N, 3, res, res]` in [-1, 1].
    pub images: Tensor<4>,
    /// How many codes reached the requested strength. `None` if the system does not optimise.
    pub arrived: Option<usize>,
}

/// The change that an edit makes, as prompts (`&str`) or as their codes (`Tensor<3>`).
#[derive(Debug, Clone, Copy)]
pub enum Change<T> {
    /// Move towards this text.
    To(T),
    /// Move along the difference between the codes of two texts. The strength is the fraction of
    /// that difference (after CLIP2GAN, Wang et al. 2022).
    Between {
        /// Description of the image as it is.
        from: T,
        /// Description of the desired image.
        to: T,
    },
}

impl<T> Change<T> {
    /// Applies `f` to every text of the change.
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

/// The input of an edit.
pub enum EditSource {
    /// Images `[N, 3, res, res]`, which are inverted first.
    Images(Tensor<4>),
    /// Codes `[N, 1 or num_ws, w_dim]` whose images the generator draws.
    Codes(Tensor<3>),
}

/// How an image becomes the code that an edit with attributes starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EditStart {
    /// The encoder that inverts images, which reproduces the image best.
    Encoder,
    /// The vector of the image, mapped to a code like the vector of a text.
    Embedding,
}

/// An attribute to add to an image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Attribute<'a> {
    /// The text that describes it.
    pub text: &'a str,
    /// How much of it is added; 1 is the difference between the texts.
    pub amount: f64,
}

/// Largest amount of an attribute in either direction. Codes farther out do not give usable images.
pub const MAX_AMOUNT: f64 = 2.0;

impl Attribute<'_> {
    /// Checks the amount.
    ///
    /// # Errors
    /// If the amount is out of range. The message names its flag.
    pub fn check(&self) -> Result<()> {
        if (-MAX_AMOUNT..=MAX_AMOUNT).contains(&self.amount) {
            return Ok(());
        }
        Err(Error::user(format!(
            "--attribute {}={}: not from -{MAX_AMOUNT} to {MAX_AMOUNT}",
            self.text, self.amount
        ))
        .hint("1 adds the attribute, -1 removes it; the default is 1"))
    }
}

/// Default number of projection steps before an edit of an image. They bring the inversion, and thus
/// the edit, closer to the image; twice as many bring hardly more.
pub const REFINEMENT: usize = 50;

/// Settings of an edit.
#[derive(Debug, Clone)]
pub struct EditSettings<'a> {
    /// Strength, steps and λ.
    pub guidance: &'a GuidanceSettings,
    /// The projection that refines the inversion before the edit; 0 steps for none.
    pub project: ProjectSettings,
    /// The tuning of the generator to the images before the edit; 0 steps for none.
    pub tune: TuneSettings,
    /// Layers that may change; all if `None`.
    pub layers: Option<RangeInclusive<usize>>,
    /// Further strengths at which to record the codes.
    pub marks: &'a [f64],
    /// Encoders whose judgement the optimisation follows as well.
    pub similarity: Option<Similarity<'a>>,
}

impl<'a> EditSettings<'a> {
    /// Edits all layers, without projecting or recording further strengths.
    pub fn new(guidance: &'a GuidanceSettings) -> Self {
        let project = ProjectSettings::refinement(0);
        let tune = TuneSettings::default();
        Self { guidance, project, tune, layers: None, marks: &[], similarity: None }
    }
}

/// Progress of an edit.
pub enum EditStep<'a> {
    /// The inversion is being refined; the number of projection steps done.
    Projecting(usize),
    /// The generator is being tuned; the number of steps done.
    Tuning(usize),
    /// The generator's images of the inverted codes, before the edit.
    Inverted(&'a [RgbImage]),
    /// The optimisation is running: steps done, and a function that draws the images of its codes.
    Guiding(usize, &'a dyn Fn() -> Vec<RgbImage>),
}

/// Result of an edit.
pub struct Edited {
    /// The original images.
    pub originals: Vec<RgbImage>,
    /// Their reconstructions by the generator.
    pub inverted: Vec<RgbImage>,
    /// The edited images.
    pub images: Vec<RgbImage>,
    /// The images at each of [`EditSettings::marks`].
    pub marked: Vec<Vec<RgbImage>>,
    /// Result of the optimisation, including the codes of the edited images. Without the tuned
    /// generator, codes do not give these images.
    pub guided: Guided,
}

/// A group of neighbouring layers of a generator, named after what it controls.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Band {
    /// What the layers control.
    pub name: &'static str,
    /// First and last layer.
    pub layers: [usize; 2],
}

/// Divides the layers of a generator into thirds. Two layers belong to each resolution, so a third is an even number.
pub fn bands(layers: usize) -> Vec<Band> {
    let even = |thirds: usize| (layers * thirds + 3) / 6 * 2;
    let (middle, fine) = (even(1).min(layers), even(2).min(layers));
    [("pose and shape", 0, middle), ("parts", middle, fine), ("colours", fine, layers)]
        .into_iter()
        .filter(|(_, first, behind)| layers > 1 && first < behind)
        .map(|(name, first, behind)| Band { name, layers: [first, behind - 1] })
        .collect()
}

/// Checks that a range of layers lies within a generator of `num_ws` layers.
///
/// # Errors
/// If it does not. The message names the flag.
pub fn check_layers(range: &RangeInclusive<usize>, num_ws: usize) -> Result<()> {
    if !range.is_empty() && *range.end() < num_ws {
        return Ok(());
    }
    let (first, last) = (range.start(), range.end());
    Err(Error::user(format!("--layers {first}-{last}: not within 0-{}", num_ws - 1))
        .hint("layer 0 is the coarsest"))
}

/// A difference of codes `[N, num_ws, dim]` in some layers, and 0 in the others; in all layers if there
/// is no range.
pub fn within_layers(difference: Tensor<3>, range: Option<&RangeInclusive<usize>>) -> Tensor<3> {
    let Some(range) = range else { return difference };
    let [n, layers, dim] = difference.dims();
    let device = difference.device();
    let zeros = |count: usize| Tensor::zeros([n, count, dim], &device);
    let (first, behind) = (*range.start(), range.end() + 1);
    let mut parts = vec![difference.narrow(1, first, behind - first)];
    if first > 0 {
        parts.insert(0, zeros(first));
    }
    if behind < layers {
        parts.push(zeros(layers - behind));
    }
    Tensor::cat(parts, 1)
}

/// Settings of projecting images into the latent space.
#[derive(Debug, Clone, PartialEq)]
pub struct ProjectSettings {
    /// Number of Adam steps; 0 returns the starting code.
    pub steps: usize,
    /// Learning rate.
    pub lr: f64,
    /// Weight of the perceptual distance, relative to a weight of 1 for the mean squared error.
    pub perceptual: f64,
    /// Weight of mean (w − E(G(w)))², which keeps the code in E's domain.
    pub domain: f64,
    /// The space of the codes.
    pub space: ProjectSpace,
    /// Weight of L_spread in [`ProjectSpace::WPlus`], which keeps the code near W.
    pub spread: f64,
}

impl ProjectSettings {
    /// The projection of an image before a generator is tuned to it: in W, as Roich et al. (2021,
    /// §3.1) recommend. Tuning makes up for the detail that W loses.
    pub fn pivot(steps: usize) -> Self {
        Self { steps, space: ProjectSpace::W, ..Self::default() }
    }

    /// The projection of an image before an edit, in `steps` steps.
    pub fn refinement(steps: usize) -> Self {
        Self { steps, space: ProjectSpace::WPlus, ..Self::default() }
    }
}

impl Default for ProjectSettings {
    fn default() -> Self {
        Self {
            steps: 100,
            lr: 0.01,
            perceptual: 0.5,
            domain: 2.0,
            space: ProjectSpace::Encoder,
            spread: 1.0,
        }
    }
}

/// Settings of tuning a generator to images.
#[derive(Debug, Clone, PartialEq)]
pub struct TuneSettings {
    /// Number of Adam steps; 0 leaves the generator as it is.
    pub steps: usize,
    /// Learning rate.
    pub lr: f64,
    /// Weight of the perceptual distance, relative to a weight of 1 for the mean squared error.
    pub perceptual: f64,
}

impl Default for TuneSettings {
    fn default() -> Self {
        Self { steps: 0, lr: 0.002, perceptual: 0.5 }
    }
}

/// One step of tuning.
#[derive(Debug, Clone)]
pub struct TuneStep {
    /// Index of the step; 0 for the original generator.
    pub index: usize,
    /// Value of the objective for each image: `[N]`.
    pub losses: Vec<f32>,
}

/// The space in which a projection optimises codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProjectSpace {
    /// That of E.
    Encoder,
    /// W: one vector for all layers.
    W,
    /// W+: a separate vector for each layer.
    WPlus,
}

impl ProjectSpace {
    /// All of them.
    pub const ALL: [ProjectSpace; 3] = [Self::Encoder, Self::W, Self::WPlus];

    /// Its name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Encoder => "encoder",
            Self::W => "w",
            Self::WPlus => "w+",
        }
    }

    /// What a description of a projection adds: nothing, or " in W", or " in W+".
    pub fn clause(&self) -> &'static str {
        match self {
            Self::Encoder => "",
            Self::W => " in W",
            Self::WPlus => " in W+",
        }
    }

    /// Its description for the help.
    pub fn about(&self) -> &'static str {
        match self {
            Self::Encoder => "the space into which the encoder maps images",
            Self::W => "one vector for all layers",
            Self::WPlus => "a separate vector for each layer, which reproduces images more closely",
        }
    }
}

/// The code from which a projection starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProjectStart {
    /// E(x).
    Encoder,
    /// The mean code w_avg.
    Average,
}

/// One step of a projection.
#[derive(Debug, Clone)]
pub struct ProjectStep {
    /// Index of the step; 0 for the starting code.
    pub index: usize,
    /// Value of the objective for each image: `[N]`.
    pub losses: Vec<f32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_divided_by_resolution() {
        let found = |layers| bands(layers).iter().map(|b| b.layers).collect::<Vec<_>>();
        assert_eq!(found(1), Vec::<[usize; 2]>::new());
        assert_eq!(found(6), [[0, 1], [2, 3], [4, 5]]);
        assert_eq!(found(8), [[0, 1], [2, 5], [6, 7]]);
        assert_eq!(found(14), [[0, 3], [4, 9], [10, 13]]);
        assert_eq!(found(18), [[0, 5], [6, 11], [12, 17]]);
        for layers in 2..30 {
            let found = found(layers);
            assert_eq!((found[0][0], found[found.len() - 1][1]), (0, layers - 1));
            assert!(found.windows(2).all(|pair| pair[0][1] + 1 == pair[1][0]), "{found:?}");
        }
    }
}
