//! The networks of one model.

use std::sync::Arc;

use burn::tensor::{Device, Tensor};

use super::Setting;
use crate::data::Archive;
use crate::error::{Error, Result};
use crate::language::Captions;
use crate::model::{Model, Stage};
use crate::systems::cigan::guidance::generate::{generate, latents, render, starts};
use crate::systems::cigan::inversion::Encoder;
use crate::systems::cigan::inversion::train::load_encoder;
use crate::systems::cigan::text::train::load_text;
use crate::systems::cigan::text::{TextEncoder, Tokenizer};
use crate::systems::stylegan::generator::Truncation;
use crate::systems::stylegan::labels::Labels;
use crate::systems::stylegan::sentence::reads_captions;
use crate::systems::stylegan::train::{load_generator, load_text_generator};
use crate::systems::stylegan::{Generator, NetworkSettings, Noise, Sentences};

/// Pictures from captions.
pub struct Said {
    /// [N, 3, res, res].
    pub pictures: Tensor<4>,
    /// How many of their codes reached the asked strength; `None` where no code is moved.
    pub arrived: Option<usize>,
}

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
    /// What reads captions in a text-conditional model, and the training captions that its samples
    /// are drawn with.
    pub sentences: Option<(Sentences, Captions)>,
    /// The classes that samples of a class-conditional model are drawn with.
    pub labels: Option<Labels>,
}

impl Subject {
    /// Loads what `model` has; tables will call it `name`. A text-conditional model takes captions
    /// from the training part of `archive`.
    ///
    /// # Errors
    /// If a network does not fit its settings, or there are no captions where some are needed.
    pub fn load(
        name: String,
        model: Model,
        archive: &Arc<Archive>,
        device: &Device,
    ) -> Result<Self> {
        let (generator, sentences) = match reads_captions(&model)? {
            true => {
                let (generator, sentences) = load_text_generator(&model, device)?;
                (generator, Some((sentences, Captions::of(archive)?)))
            }
            false => (load_generator(&model, device)?, None),
        };
        let encoder = match model.has(Stage::Inversion) {
            true => Some(load_encoder(&model, device)?),
            false => None,
        };
        let text = match model.has(Stage::Text) {
            true => Some(load_text(&model, device)?),
            false => None,
        };
        let network: NetworkSettings = model.settings(Stage::Stylegan)?;
        let labels = Labels::of(archive, network.classes)?;
        Ok(Self { name, model, generator, encoder, text, sentences, labels })
    }

    /// Whether it makes pictures from captions, in whichever way.
    pub fn draws_captions(&self) -> bool {
        self.text.is_some() || self.sentences.is_some()
    }

    /// Codes [N, num_ws, w_dim] of samples of `seeds` at truncation ψ. Those of a text-conditional
    /// model say training captions, as they occur.
    ///
    /// # Errors
    /// If a caption cannot be read.
    pub fn ws(&self, seeds: &[u64], psi: f32, device: &Device) -> Result<Tensor<3>> {
        let z = latents(seeds, None, self.generator.mapping.z_dim(), device);
        match &self.sentences {
            None => {
                let label = self.labels.as_ref().map(|labels| labels.of_seeds(seeds, device));
                Ok(self.generator.ws(z, label, Truncation::psi(psi)))
            }
            Some((sentences, captions)) => {
                sentences.ws(&self.generator, z, &captions.of_seeds(seeds), psi)
            }
        }
    }

    /// One picture a caption, from seeds `first`, `first + 1`, …. Codes are moved towards the
    /// captions; a text-conditional model draws them directly.
    ///
    /// # Errors
    /// If the model does not read captions.
    pub fn from_captions(&self, captions: &[&str], first: u64, setting: &Setting) -> Result<Said> {
        let (guidance, device) = (&setting.guidance, setting.device);
        let seeds: Vec<u64> = (0..captions.len() as u64).map(|i| first + i).collect();
        if let Some((sentences, _)) = &self.sentences {
            let z = latents(&seeds, None, self.generator.mapping.z_dim(), device);
            let ws = sentences.ws(&self.generator, z, captions, guidance.truncation as f32)?;
            let pictures = self.generator.synthesize(ws, &Noise::Const);
            return Ok(Said { pictures, arrived: None });
        }
        let codes = self.texts(captions, device)?;
        let (layers, psi) = (codes.dims()[1], guidance.truncation);
        let start = starts(&self.generator, &seeds, None, layers, psi, device);
        let guided = generate(&self.generator, codes, start, guidance, &[], device, |_| true)?;
        let arrived = Some(captions.len() - guided.short());
        Ok(Said { pictures: render(&self.generator, guided.codes), arrived })
    }

    /// Codes of captions [N, layers, w_dim].
    ///
    /// # Errors
    /// If the model has no text encoder.
    pub fn texts(&self, captions: &[&str], device: &Device) -> Result<Tensor<3>> {
        let (encoder, tokenizer) = self.text()?;
        Ok(encoder.forward(&tokenizer.prompts(captions)?, device))
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
