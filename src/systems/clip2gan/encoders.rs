//! The encoders of images and texts whose vectors the mapper reads.

use burn::tensor::{Device, Tensor};

use crate::error::{Error, Result};
use crate::language::{Prompt, PromptTokenizer, TextEncoder, Tokenizer, WeightedPrompt};
use crate::model::{Model, Section};
use crate::nn::contrast::unit;
use crate::nn::resize::bilinear;
use crate::systems::ImageTextSimilarity;
use crate::systems::cigan::inversion::section::load_encoder;
use crate::systems::cigan::inversion::{Encoder, EncoderSettings, INVERSION, Space};
use crate::systems::cigan::text::TEXT;
use crate::systems::cigan::text::section::load_text;
use crate::systems::clip::{CLIP, Clip, ClipNetwork};
use crate::systems::damsm::{self, DAMSM, Damsm};
use crate::systems::retrieval::{CAPTIONS_AT_ONCE, flat};
use crate::systems::stylegan::{NetworkSettings, STYLEGAN};

/// Encoders of images and texts, of any kind.
pub enum Encoders {
    /// Of `train-damsm`.
    Damsm(Damsm),
    /// Of `import clip`.
    Clip(Clip),
    /// E and T of CI-GAN.
    Codes(CodeEncoders),
}

impl Encoders {
    /// The sections of the encoders of a model; `None` if it has no encoders.
    pub fn sections(model: &Model) -> Option<&'static [&'static Section]> {
        static OF_CLIP: [&Section; 1] = [&CLIP];
        static OF_DAMSM: [&Section; 1] = [&DAMSM];
        static OF_CODES: [&Section; 2] = [&INVERSION, &TEXT];
        // A model that CLIP2GAN extends may have E as well.
        [&OF_CLIP[..], &OF_DAMSM, &OF_CODES]
            .into_iter()
            .find(|sections| sections.iter().all(|section| model.has(section)))
    }

    /// Length of the vectors of the encoders of a model, without loading them.
    ///
    /// # Errors
    /// If the model has none, or is damaged.
    pub fn length(model: &Model) -> Result<usize> {
        if model.has(&CLIP) {
            return Ok(model.settings::<ClipNetwork>(&CLIP)?.size);
        }
        if model.has(&DAMSM) {
            return Ok(damsm::section::network(model)?.size());
        }
        let encoder: EncoderSettings = model.settings(&INVERSION)?;
        let network: NetworkSettings = model.settings(&STYLEGAN)?;
        let layers = if encoder.space == Space::WPlus { network.num_ws() } else { 1 };
        Ok(layers * network.w_dim)
    }

    /// Loads the encoders of a model.
    ///
    /// # Errors
    /// If the model has none, or is damaged.
    pub fn load(model: &Model, device: &Device) -> Result<Self> {
        match Self::sections(model) {
            Some([section]) if **section == CLIP => Ok(Self::Clip(Clip::load(model, device)?)),
            Some([_]) => Ok(Self::Damsm(Damsm::load(model, device)?)),
            Some(_) => Ok(Self::Codes(CodeEncoders::load(model, device)?)),
            None => Err(Error::user(format!(
                "{}: contains no encoders of images and texts",
                model.name()
            ))
            .hint("the file is damaged; use another snapshot of the run")),
        }
    }

    /// Length of a vector.
    pub fn size(&self) -> usize {
        match self {
            Self::Damsm(damsm) => damsm.size(),
            Self::Clip(clip) => clip.size(),
            Self::Codes(codes) => codes.layers * codes.w_dim,
        }
    }

    /// The vocabulary of the texts.
    pub fn tokenizer(&self) -> &dyn PromptTokenizer {
        match self {
            Self::Damsm(damsm) => damsm.tokenizer(),
            Self::Clip(clip) => clip.tokenizer(),
            Self::Codes(codes) => &codes.tokenizer,
        }
    }

    /// Whether there is an encoder of images. Models that were exported only to draw have none.
    pub fn has_images(&self) -> bool {
        match self {
            Self::Damsm(damsm) => damsm.has_images(),
            Self::Clip(clip) => clip.has_images(),
            Self::Codes(_) => true,
        }
    }

    fn similarity(&self) -> &dyn ImageTextSimilarity {
        match self {
            Self::Damsm(damsm) => damsm,
            Self::Clip(clip) => clip,
            Self::Codes(codes) => codes,
        }
    }
}

impl ImageTextSimilarity for Encoders {
    fn check_prompt(&self, flag: &str, prompt: &str) -> Result<Prompt> {
        self.similarity().check_prompt(flag, prompt)
    }

    fn images(&self, images: Tensor<4>) -> Tensor<2> {
        self.similarity().images(images)
    }

    fn texts(&self, captions: &[&str]) -> Result<Tensor<2>> {
        self.similarity().texts(captions)
    }

    fn warning(&self, side: usize) -> Option<String> {
        self.similarity().warning(side)
    }
}

/// E and T of CI-GAN, whose codes are the vectors.
pub struct CodeEncoders {
    encoder: Encoder,
    text: TextEncoder,
    tokenizer: Tokenizer,
    layers: usize,
    w_dim: usize,
    resolution: usize,
    device: Device,
}

impl CodeEncoders {
    fn load(model: &Model, device: &Device) -> Result<Self> {
        let encoder = load_encoder(model, device)?;
        let (text, tokenizer) = load_text(model, device)?;
        let network: NetworkSettings = model.settings(&STYLEGAN)?;
        Ok(Self {
            layers: encoder.layers(),
            w_dim: network.w_dim,
            resolution: network.resolution,
            encoder,
            text,
            tokenizer,
            device: device.clone(),
        })
    }
}

impl ImageTextSimilarity for CodeEncoders {
    fn check_prompt(&self, flag: &str, prompt: &str) -> Result<Prompt> {
        self.tokenizer.check_prompt(flag, prompt)
    }

    fn images(&self, images: Tensor<4>) -> Tensor<2> {
        let [_, _, h, w] = images.dims();
        let images =
            if [h, w] == [self.resolution; 2] { images } else { bilinear(images, self.resolution) };
        unit(flat(self.encoder.forward(images)))
    }

    fn texts(&self, captions: &[&str]) -> Result<Tensor<2>> {
        let part = |captions: &[&str]| {
            let tokens = self.tokenizer.prompts(captions)?;
            Ok(flat(self.text.forward(&tokens, &self.device)))
        };
        let parts = captions.chunks(CAPTIONS_AT_ONCE).map(part).collect::<Result<_>>()?;
        Ok(unit(Tensor::cat(parts, 0)))
    }
}

/// Encoders whose vectors of images, and those of texts, have their mean at the origin.
///
/// Encoders place images and texts in separate regions. Without this, a text would enter the mapper
/// from a region where no image was in training.
pub struct CentredEncoders {
    /// The encoders.
    pub encoders: Encoders,
    /// Mean vector of training images `[1, size]`; zeros if vectors are not centred.
    pub image_mean: Tensor<2>,
    /// Mean vector of training captions `[1, size]`; zeros if vectors are not centred.
    pub text_mean: Tensor<2>,
}

impl CentredEncoders {
    /// Vectors of images, given what the encoder computes for them: `[N, size]` → `[N, size]`.
    pub fn of_images(&self, vectors: Tensor<2>) -> Tensor<2> {
        unit(vectors - self.image_mean.clone())
    }

    /// Vectors of texts, given what the encoder computes for them: `[N, size]` → `[N, size]`.
    pub fn of_texts(&self, vectors: Tensor<2>) -> Tensor<2> {
        unit(vectors - self.text_mean.clone())
    }

    /// The vector of a prompt, which may have weights: `[1, size]`.
    ///
    /// # Errors
    /// If the prompt cannot be read.
    pub fn prompt(&self, prompt: &str) -> Result<Tensor<2>> {
        Ok(unit(WeightedPrompt::parse(prompt)?.code(|texts| self.texts(texts))?))
    }
}

impl ImageTextSimilarity for CentredEncoders {
    fn check_prompt(&self, flag: &str, prompt: &str) -> Result<Prompt> {
        self.encoders.check_prompt(flag, prompt)
    }

    fn images(&self, images: Tensor<4>) -> Tensor<2> {
        self.of_images(self.encoders.images(images))
    }

    fn texts(&self, captions: &[&str]) -> Result<Tensor<2>> {
        Ok(self.of_texts(self.encoders.texts(captions)?))
    }

    fn warning(&self, side: usize) -> Option<String> {
        self.encoders.warning(side)
    }
}
