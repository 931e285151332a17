//! The seams between systems and their users: what can be trained, and what a loaded model can do.
//!
//! `generate`, `edit`, `sample`, `evaluate`, `serve` and `info` know these traits alone. They never
//! ask which system a model belongs to.

use std::sync::Arc;

use burn::tensor::{Device, Tensor};

use super::guidance::{GuidanceSettings, Guided};
use super::requests::{
    Change, Draw, DrawStep, Drawn, EditSettings, EditSource, EditStep, Edited, Illustrated,
    ProjectSettings, ProjectStart, ProjectStep,
};
use super::stylegan::Generator;
use crate::data::Archive;
use crate::error::{Error, Result};
use crate::language::Tokenizer;
use crate::model::{Model, Section};
use crate::train::Stage;
use crate::train::evaluator::Sampler;

/// A system: stages that are trained, and models that draw.
pub trait System: Sync {
    /// Its name in messages and tables, such as `CI-GAN`.
    fn name(&self) -> &'static str;

    /// The stages that are trained, in the order of the pipeline.
    fn stages(&self) -> &'static [&'static dyn Stage];

    /// Sections of its models, in the order of the pipeline.
    fn sections(&self) -> &'static [&'static Section];

    /// Whether a model belongs to this system.
    fn owns(&self, model: &Model) -> bool;

    /// Opens a model of this system. Networks are loaded when they are first used.
    ///
    /// # Errors
    /// If the model's settings cannot be read.
    fn open(&self, model: &Model, device: &Device) -> Result<Box<dyn Loaded>>;
}

/// What a model can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// Draws samples from seeds alone.
    pub samples: bool,
    /// Draws images of a prompt.
    pub text: bool,
    /// Follows a prompt to an adjustable strength, in steps of an optimisation. Without it, a
    /// prompt and a seed give an image at once.
    pub strength: bool,
    /// Ranks candidates by how near they are to the prompt.
    pub candidates: bool,
    /// Inverts images into its latent space.
    pub inverts: bool,
    /// Edits images by a prompt.
    pub edits: bool,
}

/// A model that is ready for use, whatever its system.
pub trait Loaded: Send + Sync {
    /// What it can do.
    fn capabilities(&self) -> Capabilities;

    /// Side of its images in pixels.
    fn resolution(&self) -> usize;

    /// The style-based generator, for what works on its codes directly: latents from files, style
    /// mixing, interpolation.
    ///
    /// # Errors
    /// If the system has none.
    fn generator(&self) -> Result<&Generator>;

    /// The generator, where it draws without a prompt.
    ///
    /// # Errors
    /// If the model draws from prompts alone.
    fn unconditional(&self) -> Result<&Generator>;

    /// Samples as the evaluation draws them: with conditions, where the system has some, as they
    /// occur in the training split of `archive`.
    ///
    /// # Errors
    /// If the archive lacks the conditions.
    fn sampler<'a>(&'a self, archive: &Arc<Archive>) -> Result<Box<dyn Sampler + 'a>>;

    /// What draws images of a prompt.
    ///
    /// # Errors
    /// If the model cannot; the hint says what to train.
    fn text_to_image(&self) -> Result<&dyn TextToImage>;

    /// The latent space that images can be inverted into.
    ///
    /// # Errors
    /// If the model cannot; the hint says what to train.
    fn latent_space(&self) -> Result<&dyn LatentSpace>;
}

/// Draws images of prompts, and edits images where the system can.
pub trait TextToImage: Send + Sync {
    /// The words that the model knows.
    fn tokenizer(&self) -> &Tokenizer;

    /// Sizes that a code of an image may have, as (vectors, numbers of a vector).
    fn code_sizes(&self) -> Vec<[usize; 2]>;

    /// Finds the codes of images of a prompt. `observe` sees every step; drawing stops early when
    /// it returns false.
    ///
    /// # Errors
    /// If a setting is out of range or the optimisation diverges.
    fn draw(&self, draw: &Draw, observe: &mut dyn FnMut(&DrawStep) -> bool) -> Result<Drawn>;

    /// One image a caption, from the seeds `first`, `first + 1`, …
    ///
    /// # Errors
    /// If a caption cannot be read or the optimisation diverges.
    fn illustrate(
        &self,
        captions: &[&str],
        first: u64,
        settings: &GuidanceSettings,
    ) -> Result<Illustrated>;

    /// Images [N, 3, res, res] of codes [N, layers, dim].
    fn render(&self, codes: Tensor<3>) -> Tensor<4>;

    /// Whether images can be edited.
    ///
    /// # Errors
    /// If not; the hint says what would.
    fn check_edits(&self) -> Result<()> {
        Err(no_edits())
    }

    /// Edits images. `observe` sees the progress; editing stops early when it returns false.
    ///
    /// # Errors
    /// If the system does not edit, a setting is out of range, or the optimisation diverges.
    fn edit(
        &self,
        _source: EditSource,
        _change: Change<&str>,
        _settings: &EditSettings,
        _observe: &mut dyn FnMut(EditStep) -> bool,
    ) -> Result<Edited> {
        Err(no_edits())
    }
}

fn no_edits() -> Error {
    Error::user("this model draws images of prompts, but does not edit images")
        .hint("edit with a model of `cigan align-text`")
}

/// A latent space with a way in and a way out.
pub trait LatentSpace: Send + Sync {
    /// Vectors of an inverted code: 1 in W, `num_ws` in W+.
    fn layers(&self) -> usize;

    /// Codes [N, layers, dim] of images [N, 3, res, res], in one pass.
    fn invert(&self, images: Tensor<4>) -> Tensor<3>;

    /// Images [N, 3, res, res] of codes [N, layers, dim].
    fn render(&self, codes: Tensor<3>) -> Tensor<4>;

    /// The mean code [1, 1, dim] of the model's own samples.
    fn mean_code(&self) -> Tensor<3>;

    /// Codes [N, dim] of the model's own samples, without truncation.
    fn sample_codes(&self, seeds: &[u64]) -> Tensor<2>;

    /// Codes [N, layers, dim] that drawing starts from, at truncation ψ.
    fn starts(&self, seeds: &[u64], layers: usize, psi: f64) -> Tensor<3>;

    /// Mean distance between a code and the inversion of its image, over `count` fresh codes.
    fn cycle_error(&self, seed: u64, count: usize) -> f64;

    /// Codes of images by optimisation. `observe` sees every step with its images; projecting stops
    /// early when it returns false.
    ///
    /// # Errors
    /// If the objective is not finite, or there is nothing to compare images by.
    fn project(
        &self,
        images: Tensor<4>,
        start: ProjectStart,
        settings: &ProjectSettings,
        observe: &mut dyn FnMut(&ProjectStep, &Tensor<4>) -> bool,
    ) -> Result<Tensor<3>>;

    /// Whether texts have codes in this space.
    fn reads_texts(&self) -> bool;

    /// Codes [N, layers, dim] of texts.
    ///
    /// # Errors
    /// If the model has no text encoder, or a text cannot be read.
    fn texts(&self, captions: &[&str]) -> Result<Tensor<3>>;

    /// Moves codes from `start` [N, layers, dim] towards codes of texts, [1, layers, dim] or one
    /// each.
    ///
    /// # Errors
    /// If a setting is out of range or the optimisation diverges.
    fn pull(
        &self,
        start: Tensor<3>,
        text: Tensor<3>,
        settings: &GuidanceSettings,
    ) -> Result<Guided>;

    /// Edits images [N, 3, res, res] with codes [N, layers, dim] by codes of texts.
    ///
    /// # Errors
    /// If a setting is out of range, the optimisation diverges, or there is nothing to compare
    /// images by.
    fn edit_codes(
        &self,
        images: Tensor<4>,
        codes: Tensor<3>,
        change: &Change<Tensor<3>>,
        settings: &GuidanceSettings,
    ) -> Result<Guided>;
}
