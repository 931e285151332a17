//! A model that is ready to draw and to edit: what `generate`, `edit` and the page of `serve` share.
//!
//! It answers in codes and pictures and knows neither files nor flags nor HTTP.

mod codes;
mod draw;
mod edit;
mod seeds;

pub use codes::{Latents, codes_file};
pub use draw::{Draw, DrawStep, Drawn};
pub use edit::{Change, EditSettings, EditStep, Edited, Editor, Source};
pub use seeds::{Candidates, SEEDS, Seeds};

use burn::tensor::{Device, Tensor};
use image::RgbImage;

use crate::error::Result;
use crate::language::{Prompt, TextEncoder, Tokenizer};
use crate::model::{Model, Stage};
use crate::picture;
use crate::systems::cigan::guidance::generate::render;
use crate::systems::cigan::inversion::Encoder;
use crate::systems::cigan::inversion::train::load_encoder;
use crate::systems::cigan::text::train::load_text;
use crate::systems::stylegan::Generator;
use crate::systems::stylegan::sentence::{Sentences, reads_captions};
use crate::systems::stylegan::train::{load_generator, load_text_generator};

/// Pictures on the device at once.
const CHUNK: usize = 32;

/// A loaded model with everything that pictures from text need.
pub struct Studio {
    /// G, averaged.
    pub generator: Generator,
    reads: Reads,
    device: Device,
}

/// What a text does.
enum Reads {
    /// It is a place in latent space that codes are pulled to (paper §3.4).
    Target {
        text: TextEncoder,
        tokenizer: Tokenizer,
        /// Judges candidates; inverts what is edited.
        encoder: Encoder,
    },
    /// It conditions the generator: the rival of the paper's Table 1.
    Condition(Sentences),
}

impl Studio {
    /// Loads a model of stage 3, or of `train-stylegan --condition text`.
    ///
    /// # Errors
    /// If the model is of an earlier stage or damaged.
    pub fn open(model: &Model, device: &Device) -> Result<Self> {
        if model.has(Stage::Stylegan) && reads_captions(model)? {
            let (generator, sentences) = load_text_generator(model, device)?;
            let reads = Reads::Condition(sentences);
            return Ok(Self { generator, reads, device: device.clone() });
        }
        let (text, tokenizer) = load_text(model, device)?;
        let encoder = load_encoder(model, device)?;
        let generator = load_generator(model, device)?;
        let reads = Reads::Target { text, tokenizer, encoder };
        Ok(Self { generator, reads, device: device.clone() })
    }

    /// Whether texts condition the generator, so that nothing is optimised: strength and steps mean
    /// nothing then.
    pub fn draws_directly(&self) -> bool {
        matches!(self.reads, Reads::Condition(_))
    }

    /// Side of the pictures in pixels.
    pub fn resolution(&self) -> usize {
        self.generator.synthesis.resolution()
    }

    /// The words that the model knows.
    pub fn tokenizer(&self) -> &Tokenizer {
        match &self.reads {
            Reads::Target { tokenizer, .. } => tokenizer,
            Reads::Condition(sentences) => sentences.tokenizer(),
        }
    }

    /// Whether the model understands a prompt, and what of it it does not; `flag` is what messages
    /// call it.
    ///
    /// # Errors
    /// If there is not one known word in it.
    pub fn check(&self, flag: &str, prompt: &str) -> Result<Prompt> {
        self.tokenizer().check_prompt(flag, prompt)
    }

    /// Whether two prompts are one to the model, which leaves out what it does not know.
    ///
    /// # Errors
    /// If the tokenizer's rules cannot be applied.
    pub fn reads_alike(&self, a: &str, b: &str) -> Result<bool> {
        let tokenizer = self.tokenizer();
        Ok(tokenizer.prompts(&[a])? == tokenizer.prompts(&[b])?)
    }

    /// Pictures of codes [N, layers, w_dim].
    pub fn pictures(&self, codes: &Tensor<3>) -> Vec<RgbImage> {
        in_parts(codes, |codes| picture::from_tensor(render(&self.generator, codes)))
    }
}

/// A function of codes [N, layers, w_dim], some at a time.
fn in_parts<T>(codes: &Tensor<3>, f: impl Fn(Tensor<3>) -> Vec<T>) -> Vec<T> {
    codes.clone().split(CHUNK, 0).into_iter().flat_map(f).collect()
}
