//! The interfaces of systems: what can be trained, and what a loaded model can do.
//!
//! `generate`, `edit`, `sample`, `evaluate`, `serve` and `info` use only these traits and the
//! [abilities](super::abilities) of the model. They never check which system it belongs to.

use std::sync::Arc;

use burn::tensor::Device;

use super::abilities::{
    AttributeEditing, ImageDescriber, LatentSpace, NoiseSpace, StyleReader, StyleSpace, TextCodes,
    TextToImage,
};
use super::benchmark::Benchmark;
use super::guidance::GuidanceSettings;
use super::import::Import;
use super::pipeline::Pipeline;
use super::requests::REFINEMENT;
use super::similarity::ImageTextSimilarity;
use crate::data::Archive;
use crate::error::{Error, Result};
use crate::model::{Model, Section};
use crate::tensorfile::TensorFile;
use crate::train::Stage;
use crate::train::evaluator::ImageSampler;
use crate::vision::{Features, Perceptual};

/// A kind of model: the stages that train it, and how its models are opened.
pub trait System: Sync {
    /// Its name in messages and tables, such as `CI-GAN`.
    fn name(&self) -> &'static str;

    /// Its training stages, in pipeline order.
    fn stages(&self) -> &'static [&'static dyn Stage];

    /// The stages that train a whole model of this system, for `cigan train`. `None` if its models
    /// are trained by one command, or by stages of the user's choice.
    fn pipeline(&self) -> Option<&'static Pipeline> {
        None
    }

    /// The sections of its models, in pipeline order.
    fn sections(&self) -> &'static [&'static Section];

    /// Whether a model belongs to this system. At most one system owns a model.
    fn owns(&self, model: &Model) -> bool;

    /// Opens a model of this system and loads the networks that generate images.
    ///
    /// # Errors
    /// If the settings or networks of the model are missing or damaged.
    fn open(&self, model: &Model, device: &Device) -> Result<Box<dyn Loaded>>;

    /// The file of a model with only the networks that draw images. `None` if the system's models
    /// cannot be reduced to them.
    fn generator_only(&self, _model: &Model) -> Option<TensorFile> {
        None
    }

    /// The layouts of other programs that its models can be exported in.
    fn layouts(&self) -> &'static [Layout] {
        &[]
    }

    /// The files of other programs that become models of this system.
    fn imports(&self) -> &'static [Import] {
        &[]
    }

    /// The tasks that `cigan bench` times with random weights.
    fn benchmarks(&self) -> &'static [&'static dyn Benchmark] {
        &[]
    }
}

/// A layout of exported files: names and shapes of the tensors as another program expects them.
pub struct Layout {
    /// Its name in `--layout`.
    pub name: &'static str,
    /// A sentence that says which program reads it.
    pub about: &'static str,
    /// Exports a model, or only its generator.
    ///
    /// # Errors
    /// If the model lacks a network, or has one that the layout cannot contain.
    pub export: fn(model: &Model, generator_only: bool) -> Result<TensorFile>,
}

/// The capabilities of a loaded model.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Capabilities {
    /// Sides of its images in pixels, smallest first.
    pub sizes: Vec<usize>,
    /// Number of classes that its samples are conditioned on; 0 for none.
    pub classes: usize,
    /// Draws images from seeds alone.
    pub samples: bool,
    /// Mixes and interpolates the styles of images that seeds draw.
    pub styles: bool,
    /// Draws images from prompts.
    pub text: bool,
    /// Moves images towards a prompt by an adjustable strength, in optimisation steps. Without this
    /// capability, a prompt and a seed give an image in one pass.
    pub strength: bool,
    /// Default strength for generating from prompts, if it was measured for the model.
    pub default_strength: Option<f64>,
    /// Ranks candidate images by their distance to the prompt.
    pub candidates: bool,
    /// Default truncation ψ for generating from prompts, if it is not the common one.
    pub truncation: Option<f64>,
    /// Inverts images into its latent space.
    pub inverts: bool,
    /// Edits images by a prompt.
    pub edits: bool,
    /// Edits in one pass, without optimisation steps and without a term that preserves the image.
    pub direct_edits: bool,
    /// Adds amounts of several attributes to images.
    pub attributes: bool,
    /// Compares images with texts.
    pub compares: bool,
    /// Reads captions off images.
    pub describes: bool,
    /// Gives an image another text and keeps its style.
    pub restyles: bool,
}

impl Capabilities {
    /// The default settings for generating images from prompts.
    pub fn guidance(&self) -> GuidanceSettings {
        let common = GuidanceSettings::default();
        GuidanceSettings {
            strength: self.default_strength.unwrap_or(common.strength),
            truncation: self.truncation.unwrap_or(common.truncation),
            ..common
        }
    }

    /// Default number of projection steps before an edit of an image; 0 for models that do not refine
    /// inversions.
    pub fn refinement(&self) -> usize {
        if self.edits && !self.direct_edits { REFINEMENT } else { 0 }
    }

    /// The commands that work with the model, each with what it does.
    pub fn commands(&self) -> Vec<(&'static str, &'static str)> {
        [
            (self.samples, ("sample", "generate random images")),
            (self.styles, ("mix", "mix the styles of images")),
            (self.styles, ("interpolate", "interpolate between images")),
            (self.text, ("generate", "generate images from text")),
            (self.text, ("interpolate --texts", "interpolate between texts")),
            (self.edits, ("edit", "edit images by text")),
            (self.attributes, ("edit --attribute", "add attributes to images")),
            (self.inverts, ("project", "find the codes of images")),
            (self.compares, ("generate --rank-by", "rank images by a text")),
            (self.restyles, ("restyle", "give images another text and keep their style")),
            (self.describes, ("evaluate --captioner", "read captions off generated images")),
        ]
        .into_iter()
        .filter_map(|(can, command)| can.then_some(command))
        .collect()
    }
}

/// A model of any system that is ready for use.
///
/// A system implements the methods of the abilities that its models have. By default, a model has
/// none, and the errors say so.
pub trait Loaded: Send + Sync {
    /// Its capabilities.
    fn capabilities(&self) -> Capabilities;

    /// Checks the parts of its model that opening it does not read.
    ///
    /// # Errors
    /// If one of them is damaged.
    fn check(&self, _model: &Model) -> Result<()> {
        Ok(())
    }

    /// Side of its largest images in pixels.
    fn resolution(&self) -> usize {
        self.capabilities().sizes.last().copied().unwrap_or_default()
    }

    /// The same model, for images of another of its sizes; 0 is the smallest.
    ///
    /// # Errors
    /// If there is no such size.
    fn at_scale(&self, scale: usize) -> Result<Box<dyn Loaded>> {
        Err(Error::user(format!("--scale {scale}: this model generates images of one size"))
            .hint("omit the flag"))
    }

    /// The sampler that the evaluation uses. If the system has conditions, it draws them as often
    /// as they occur in the training split of `archive`.
    ///
    /// # Errors
    /// If the archive lacks the conditions.
    fn sampler<'a>(&'a self, archive: &Arc<Archive>) -> Result<Box<dyn ImageSampler + 'a>>;

    /// The sampler of images from seeds alone, or of one class.
    ///
    /// # Errors
    /// If the model only draws from prompts, or does not have the class.
    fn sampler_of_class<'a>(&'a self, _class: Option<u32>) -> Result<Box<dyn ImageSampler + 'a>> {
        Err(unable("cannot generate images from seeds alone"))
    }

    /// The codes of its style-based generator.
    ///
    /// # Errors
    /// If the model has no such generator.
    fn styles(&self) -> Result<&dyn StyleSpace> {
        Err(unable("has no style codes"))
    }

    /// The interface that generates images from prompts.
    ///
    /// # Errors
    /// If the model cannot do that. The hint names the command that trains the missing part.
    fn text_to_image(&self) -> Result<&dyn TextToImage> {
        Err(unable("cannot generate images from prompts"))
    }

    /// The latent space that images can be inverted into.
    ///
    /// # Errors
    /// If the model has none. The hint names the command that trains the missing part.
    fn latent_space(&self) -> Result<&dyn LatentSpace> {
        Err(unable("cannot invert images"))
    }

    /// The latent space if texts have codes in it.
    fn text_codes(&self) -> Option<&dyn TextCodes> {
        None
    }

    /// The interface that adds amounts of several attributes to images.
    ///
    /// # Errors
    /// If the model cannot do that.
    fn attributes(&self) -> Result<&dyn AttributeEditing> {
        Err(Error::user("this model cannot add attributes to images").hint(
            "give a model of `cigan train-baseline --system clip2gan`; other models edit with --text, \
             or with --from and --to",
        ))
    }

    /// Its encoders of images and texts, which rank images by their agreement with a text.
    ///
    /// # Errors
    /// If the model has none.
    fn similarity(&self) -> Result<&dyn ImageTextSimilarity> {
        Err(Error::user("this model cannot compare images with texts")
            .hint("give a model of `cigan train-damsm` or `cigan import clip`"))
    }

    /// Its network that reads captions off images.
    ///
    /// # Errors
    /// If the model has none.
    fn describer(&self) -> Result<&dyn ImageDescriber> {
        Err(Error::user("this model cannot read captions off images")
            .hint("give a model of `cigan train-captioner`"))
    }

    /// The noise and the texts that its generator draws images of.
    ///
    /// # Errors
    /// If it has no such generator.
    fn noise_space(&self) -> Result<&dyn NoiseSpace> {
        Err(Error::user("this model has no generator that draws images of noise and a text")
            .hint("give a model of `cigan train-baseline`, such as one of --system gan-int-cls"))
    }

    /// Its network that reads the style of images.
    ///
    /// # Errors
    /// If the model has none.
    fn style_reader(&self) -> Result<&dyn StyleReader> {
        self.noise_space()?;
        Err(Error::user("this model contains no style encoder")
            .hint("train one with `cigan train-style --model MODEL`"))
    }

    /// Image features of one of its own networks, such as a discriminator. They fit the domain and
    /// need no weight file.
    ///
    /// # Errors
    /// If the model has no such network.
    fn own_features(&self) -> Result<Box<dyn Features>> {
        Err(Error::user("this model has no image features of its own").hint(
            "give --features squeezenet=FILE or pixels, and --perceptual squeezenet=FILE or \
             vgg16=FILE",
        ))
    }

    /// Weights that distinguish its own features from those of other models.
    fn own_features_mark(&self) -> Option<Vec<f32>> {
        None
    }

    /// The perceptual distance by its own features, in the unit that training measured. `None` if
    /// training measured none.
    ///
    /// # Errors
    /// If the model lacks a part of it.
    fn perceptual(&self) -> Result<Option<Perceptual>> {
        Ok(None)
    }

    /// Name of the features that its encoder's perceptual loss compared: `discriminator`,
    /// `squeezenet`, `vgg16` or an LPIPS trunk.
    fn perceptual_trained_with(&self) -> Option<&str> {
        None
    }
}

/// Checks that a scale is an index into the sizes of a model.
///
/// # Errors
/// If it is not. The hint lists the sizes.
pub(super) fn check_scale(scale: usize, sizes: &[usize]) -> Result<()> {
    if scale < sizes.len() {
        return Ok(());
    }
    let sides = sizes.iter().enumerate().map(|(scale, side)| format!("{scale} for {side}×{side}"));
    Err(Error::user(format!("--scale {scale}: the model generates {} sizes", sizes.len()))
        .hint(format!("use {}", sides.collect::<Vec<_>>().join(", "))))
}

/// The error of a model without an ability.
fn unable(finding: &str) -> Error {
    Error::user(format!("this model {finding}"))
        .hint("`cigan info MODEL` lists the commands that work with the model")
}
