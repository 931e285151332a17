//! The encoders of a model, ready for use.

use std::sync::Arc;

use burn::tensor::{Device, Tensor};

use super::image::ImageTower;
use super::section::{load_image, load_text, resolution};
use crate::data::Archive;
use crate::error::{Error, Result};
use crate::language::{Prompt, Tokenizer, Tokens, WordEncoder, Words};
use crate::model::Model;
use crate::nn::contrast::unit;
use crate::systems::retrieval::CAPTIONS_AT_ONCE;
use crate::systems::{Capabilities, ImageSampler, ImageTextSimilarity, Loaded, TextToImage};

/// The encoders of DAMSM with their vocabulary.
#[derive(Debug, Clone)]
pub struct Damsm {
    text: WordEncoder,
    tokenizer: Tokenizer,
    /// Absent in models that were exported only to draw.
    image: Option<ImageTower>,
    device: Device,
    name: String,
}

impl Damsm {
    /// Loads the encoders of a model that contains them.
    ///
    /// # Errors
    /// If the model has none, or is damaged.
    pub fn load(model: &Model, device: &Device) -> Result<Self> {
        let (text, tokenizer) = load_text(model, device)?;
        let image = load_image(model, device)?;
        Ok(Self { text, tokenizer, image, device: device.clone(), name: model.name().to_owned() })
    }

    /// The vocabulary.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// Length of the vectors of words and sentences.
    pub fn size(&self) -> usize {
        self.text.size()
    }

    /// The encoder of images.
    ///
    /// # Errors
    /// If the model has none.
    pub fn image_tower(&self) -> Result<&ImageTower> {
        self.image.as_ref().ok_or_else(|| self.no_images())
    }

    /// Vectors of the words and sentences of captions.
    pub fn words(&self, tokens: &Tokens) -> Words {
        self.text.read(tokens, None, &self.device)
    }

    /// Vectors of sentences: `[N, size]`.
    ///
    /// # Errors
    /// If the tokenizer's rules cannot be applied.
    pub fn sentences(&self, captions: &[&str]) -> Result<Tensor<2>> {
        let part = |captions: &[&str]| {
            let tokens = self.tokenizer.prompts(captions)?;
            Ok(self.text.read(&tokens, None, &self.device).sentence)
        };
        Ok(Tensor::cat(captions.chunks(CAPTIONS_AT_ONCE).map(part).collect::<Result<_>>()?, 0))
    }

    /// Whether the model compares images with texts.
    pub fn has_images(&self) -> bool {
        self.image.is_some()
    }

    /// Itself, if the model has both encoders.
    ///
    /// # Errors
    /// If it only has the text encoder.
    pub fn similarity(&self) -> Result<&dyn ImageTextSimilarity> {
        if self.has_images() { Ok(self) } else { Err(self.no_images()) }
    }

    fn no_images(&self) -> Error {
        Error::user(format!("{}: contains no image encoder", self.name))
            .hint("use the full model; this one was exported with --only generator")
    }
}

impl ImageTextSimilarity for Damsm {
    fn check_prompt(&self, flag: &str, prompt: &str) -> Result<Prompt> {
        self.tokenizer.check_prompt(flag, prompt)
    }

    fn images(&self, images: Tensor<4>) -> Tensor<2> {
        // `similarity` returns encoders only if there is one for images.
        unit(self.image.as_ref().expect("an image encoder").global(images))
    }

    fn texts(&self, captions: &[&str]) -> Result<Tensor<2>> {
        Ok(unit(self.sentences(captions)?))
    }
}

/// A loaded model of `train-damsm`.
pub struct LoadedDamsm {
    damsm: Damsm,
    resolution: usize,
    /// What the model is for.
    purpose: &'static str,
}

impl LoadedDamsm {
    /// Opens a model.
    ///
    /// # Errors
    /// If it has no such encoders, or is damaged.
    pub fn open(model: &Model, device: &Device) -> Result<Self> {
        Ok(Self {
            damsm: Damsm::load(model, device)?,
            resolution: resolution(model)?,
            purpose: "DAMSM only encodes images and texts",
        })
    }

    /// The same for a model that also has another purpose, which messages name.
    pub fn with_purpose(self, purpose: &'static str) -> Self {
        Self { purpose, ..self }
    }

    fn draws_nothing(&self) -> Error {
        Error::user(format!("{}: cannot generate images: {}", self.damsm.name, self.purpose)).hint(
            "train a generator with `cigan train-baseline --text MODEL`, or rank images with \
             `cigan generate --rank-by MODEL`",
        )
    }
}

impl Loaded for LoadedDamsm {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            sizes: vec![self.resolution],
            compares: self.damsm.has_images(),
            ..Default::default()
        }
    }

    fn sampler<'a>(&'a self, _archive: &Arc<Archive>) -> Result<Box<dyn ImageSampler + 'a>> {
        Err(self.draws_nothing())
    }

    fn sampler_of_class<'a>(&'a self, _class: Option<u32>) -> Result<Box<dyn ImageSampler + 'a>> {
        Err(self.draws_nothing())
    }

    fn text_to_image(&self) -> Result<&dyn TextToImage> {
        Err(self.draws_nothing())
    }

    fn similarity(&self) -> Result<&dyn ImageTextSimilarity> {
        self.damsm.similarity()
    }
}
