//! The interfaces of systems: what can be trained, and what a loaded model can do.
//!
//! `generate`, `edit`, `sample`, `evaluate`, `serve` and `info` use only these traits. They never
//! check which system a model belongs to.

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

/// A kind of model: the stages that train it, and how its models are opened.
pub trait System: Sync {
    /// Its name in messages and tables, such as `CI-GAN`.
    fn name(&self) -> &'static str;

    /// Its training stages, in pipeline order.
    fn stages(&self) -> &'static [&'static dyn Stage];

    /// The sections of its models, in pipeline order.
    fn sections(&self) -> &'static [&'static Section];

    /// Whether a model belongs to this system.
    fn owns(&self, model: &Model) -> bool;

    /// Opens a model of this system. Networks are loaded when they are first used.
    ///
    /// # Errors
    /// If the model's settings cannot be read.
    fn open(&self, model: &Model, device: &Device) -> Result<Box<dyn Loaded>>;
}

/// The capabilities of a loaded model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// Draws samples from seeds alone.
    pub samples: bool,
    /// Generates images from prompts.
    pub text: bool,
    /// Moves images towards a prompt by an adjustable strength, in optimisation steps. Without this
    /// capability, a prompt and a seed give an image in one pass.
    pub strength: bool,
    /// Ranks candidate images by their distance to the prompt.
    pub candidates: bool,
    /// Inverts images into its latent space.
    pub inverts: bool,
    /// Edits images by a prompt.
    pub edits: bool,
}

/// A model of any system that is ready for use.
pub trait Loaded: Send + Sync {
    /// Its capabilities.
    fn capabilities(&self) -> Capabilities;

    /// Side length of its images in pixels.
    fn resolution(&self) -> usize;

    /// The style-based generator, for commands that work on its codes directly: latents from files,
    /// style mixing, interpolation.
    ///
    /// # Errors
    /// If the system has no such generator.
    fn generator(&self) -> Result<&Generator>;

    /// The generator, if it can draw without a prompt.
    ///
    /// # Errors
    /// If the model only draws from prompts.
    fn unconditional(&self) -> Result<&Generator>;

    /// The sampler that the evaluation uses. If the system has conditions, it draws them as often
    /// as they occur in the training split of `archive`.
    ///
    /// # Errors
    /// If the archive lacks the conditions.
    fn sampler<'a>(&'a self, archive: &Arc<Archive>) -> Result<Box<dyn Sampler + 'a>>;

    /// The interface that generates images from prompts.
    ///
    /// # Errors
    /// If the model cannot do that. The hint names the command that trains the missing part.
    fn text_to_image(&self) -> Result<&dyn TextToImage>;

    /// The latent space that images can be inverted into.
    ///
    /// # Errors
    /// If the model has none. The hint names the command that trains the missing part.
    fn latent_space(&self) -> Result<&dyn LatentSpace>;
}

/// Generates images from prompts, and edits images if the system supports it.
pub trait TextToImage: Send + Sync {
    /// The tokenizer, which holds the model's vocabulary.
    fn tokenizer(&self) -> &Tokenizer;

    /// The sizes `[vectors, vector length]` that an image's code may have.
    fn code_sizes(&self) -> Vec<[usize; 2]>;

    /// Finds the codes of images of a prompt. Every step calls `observe`; drawing stops early when
    /// it returns false.
    ///
    /// # Errors
    /// If a setting is out of range or the optimisation diverges.
    fn draw(&self, draw: &Draw, observe: &mut dyn FnMut(&DrawStep) -> bool) -> Result<Drawn>;

    /// Draws one image per caption, from the seeds `first`, `first + 1`, …
    ///
    /// # Errors
    /// If a caption cannot be read or the optimisation diverges.
    fn illustrate(
        &self,
        captions: &[&str],
        first: u64,
        settings: &GuidanceSettings,
    ) -> Result<Illustrated>;

    /// Images `[N, 3, res, res]` of codes `[N, layers, dim]`.
    fn render(&self, codes: Tensor<3>) -> Tensor<4>;

    /// Checks that the model can edit images.
    ///
    /// # Errors
    /// If it cannot. The hint names a model that can.
    fn check_edits(&self) -> Result<()> {
        Err(no_edits())
    }

    /// Edits images. `observe` receives the progress; editing stops early when it returns false.
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
    Error::user("this model generates images from prompts, but cannot edit images")
        .hint("use a model that was trained with `cigan align-text`")
}

/// A latent space that images can be inverted into and drawn from.
pub trait LatentSpace: Send + Sync {
    /// Number of vectors in an inverted code: 1 in W, `num_ws` in W+.
    fn layers(&self) -> usize;

    /// Codes `[N, layers, dim]` of images `[N, 3, res, res]`, in one pass.
    fn invert(&self, images: Tensor<4>) -> Tensor<3>;

    /// Images `[N, 3, res, res]` of codes `[N, layers, dim]`.
    fn render(&self, codes: Tensor<3>) -> Tensor<4>;

    /// The mean code `[1, 1, dim]` of the model's samples.
    fn mean_code(&self) -> Tensor<3>;

    /// Codes `[N, dim]` of the model's samples, without truncation.
    fn sample_codes(&self, seeds: &[u64]) -> Tensor<2>;

    /// The codes `[N, layers, dim]` from which drawing starts, at truncation ψ.
    fn starts(&self, seeds: &[u64], layers: usize, psi: f64) -> Tensor<3>;

    /// Mean distance between a code and the inversion of its image, over `count` random codes.
    fn cycle_error(&self, seed: u64, count: usize) -> f64;

    /// Codes of images by optimisation. Every step calls `observe` with its images; projecting
    /// stops early when it returns false.
    ///
    /// # Errors
    /// If the objective is not finite, or the model has no perceptual features.
    fn project(
        &self,
        images: Tensor<4>,
        start: ProjectStart,
        settings: &ProjectSettings,
        observe: &mut dyn FnMut(&ProjectStep, &Tensor<4>) -> bool,
    ) -> Result<Tensor<3>>;

    /// Whether texts have codes in this space.
    fn reads_texts(&self) -> bool;

    /// Codes `[N, layers, dim]` of texts.
    ///
    /// # Errors
    /// If the model has no text encoder, or a text cannot be read.
    fn texts(&self, captions: &[&str]) -> Result<Tensor<3>>;

    /// Moves codes from `start` `[N, layers, dim]` towards codes of texts, either one for all
    /// (`[1, layers, dim]`) or one per code.
    ///
    /// # Errors
    /// If a setting is out of range or the optimisation diverges.
    fn pull(
        &self,
        start: Tensor<3>,
        text: Tensor<3>,
        settings: &GuidanceSettings,
    ) -> Result<Guided>;

    /// Edits images `[N, 3, res, res]`, whose codes are `[N, layers, dim]`, by the codes of texts.
    ///
    /// # Errors
    /// If a setting is out of range, the optimisation diverges, or the model has no perceptual
    /// features.
    fn edit_codes(
        &self,
        images: Tensor<4>,
        codes: Tensor<3>,
        change: &Change<Tensor<3>>,
        settings: &GuidanceSettings,
    ) -> Result<Guided>;
}
