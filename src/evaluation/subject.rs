//! The networks of one model.

use burn::tensor::Device;

use crate::error::{Error, Result};
use crate::inversion::Encoder;
use crate::inversion::train::load_encoder;
use crate::model::{Model, Stage};
use crate::stylegan::Generator;
use crate::stylegan::train::load_generator;
use crate::text::train::load_text;
use crate::text::{TextEncoder, Tokenizer};

/// A model that is being evaluated, with the stages that it has.
pub struct Subject {
    /// What tables call it.
    pub name: String,
    /// The model itself.
    pub model: Model,
    /// G.
    pub generator: Generator,
    /// E, from stage 2 on.
    pub encoder: Option<Encoder>,
    /// T and its vocabulary, from stage 3 on.
    pub text: Option<(TextEncoder, Tokenizer)>,
}

impl Subject {
    /// Loads what `model` has; tables will call it `name`.
    ///
    /// # Errors
    /// If a network does not fit its settings.
    pub fn load(name: String, model: Model, device: &Device) -> Result<Self> {
        let generator = load_generator(&model, device)?;
        let encoder = match model.has(Stage::Inversion) {
            true => Some(load_encoder(&model, device)?),
            false => None,
        };
        let text = match model.has(Stage::Text) {
            true => Some(load_text(&model, device)?),
            false => None,
        };
        Ok(Self { name, model, generator, encoder, text })
    }

    /// E.
    ///
    /// # Errors
    /// If the model is of stage 1.
    pub fn encoder(&self) -> Result<&Encoder> {
        self.encoder.as_ref().ok_or_else(|| {
            Error::user(format!("{}: holds no encoder", self.name))
                .hint("train one with `cigan invert`")
        })
    }

    /// T and its vocabulary.
    ///
    /// # Errors
    /// If the model is of an earlier stage.
    pub fn text(&self) -> Result<&(TextEncoder, Tokenizer)> {
        self.text.as_ref().ok_or_else(|| {
            Error::user(format!("{}: holds no text encoder", self.name))
                .hint("train one with `cigan align-text`")
        })
    }
}
