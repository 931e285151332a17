//! A loaded text-conditional model.

use std::sync::Arc;

use burn::tensor::{Device, Tensor};

use super::Sentences;
use crate::data::Archive;
use crate::error::{Error, Result};
use crate::language::{Captions, Tokenizer};
use crate::model::Model;
use crate::systems::guidance::GuidanceSettings;
use crate::systems::requests::{Draw, DrawStep, Drawn, Illustrated};
use crate::systems::stylegan::sample::{latents, render};
use crate::systems::stylegan::sampler::noise_of_seeds;
use crate::systems::stylegan::train::load_generator;
use crate::systems::stylegan::{Generator, Noise};
use crate::systems::{Capabilities, LatentSpace, Loaded, TextToImage};
use crate::train::evaluator::{SampleNoise, Sampler};

/// The generator with the sentence encoder that conditions it.
pub(super) struct TextConditional {
    generator: Generator,
    sentences: Sentences,
    device: Device,
    name: String,
}

impl TextConditional {
    pub fn open(model: &Model, device: &Device) -> Result<Self> {
        Ok(Self {
            sentences: Sentences::load(model, device)?,
            generator: load_generator(model, device)?,
            device: device.clone(),
            name: model.name().to_owned(),
        })
    }

    /// Codes `[N, num_ws, w_dim]` of captions, one per seed.
    fn ws(&self, seeds: &[u64], captions: &[&str], psi: f32) -> Result<Tensor<3>> {
        let z = latents(seeds, None, self.generator.mapping.z_dim(), &self.device);
        self.sentences.ws(&self.generator, z, captions, psi)
    }
}

impl Loaded for TextConditional {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            samples: false,
            text: true,
            strength: false,
            candidates: false,
            inverts: false,
            edits: false,
        }
    }

    fn resolution(&self) -> usize {
        self.generator.synthesis.resolution()
    }

    fn generator(&self) -> Result<&Generator> {
        Ok(&self.generator)
    }

    fn unconditional(&self) -> Result<&Generator> {
        Err(Error::user(format!(
            "{}: was trained with --condition text and generates only from captions",
            self.name
        ))
        .hint("use `cigan generate --text`, or a model that was trained without --condition"))
    }

    fn sampler<'a>(&'a self, archive: &Arc<Archive>) -> Result<Box<dyn Sampler + 'a>> {
        Ok(Box::new(CaptionSampler { model: self, captions: Captions::of(archive)? }))
    }

    fn text_to_image(&self) -> Result<&dyn TextToImage> {
        Ok(self)
    }

    fn latent_space(&self) -> Result<&dyn LatentSpace> {
        Err(Error::user(format!(
            "{}: was trained with --condition text, so it cannot invert images",
            self.name
        ))
        .hint("train `cigan invert` on a model that was trained without --condition"))
    }
}

impl TextToImage for TextConditional {
    fn tokenizer(&self) -> &Tokenizer {
        self.sentences.tokenizer()
    }

    fn code_sizes(&self) -> Vec<[usize; 2]> {
        let dim = self.generator.mapping.w_dim();
        vec![[1, dim], [self.generator.synthesis.num_ws(), dim]]
    }

    /// Draws in one pass, without optimisation steps to observe.
    fn draw(&self, draw: &Draw, _observe: &mut dyn FnMut(&DrawStep) -> bool) -> Result<Drawn> {
        let z_dim = self.generator.mapping.z_dim();
        let z = latents(draw.seeds, draw.vary, z_dim, &self.device);
        let captions = vec![draw.prompt; draw.seeds.len()];
        let psi = draw.settings.truncation as f32;
        // All layers have the same w.
        let codes = self.sentences.ws(&self.generator, z, &captions, psi)?.narrow(1, 0, 1);
        Ok(Drawn { seeds: draw.seeds.to_vec(), marked: Vec::new(), codes, guided: None })
    }

    fn illustrate(
        &self,
        captions: &[&str],
        first: u64,
        settings: &GuidanceSettings,
    ) -> Result<Illustrated> {
        let seeds: Vec<u64> = (0..captions.len() as u64).map(|i| first + i).collect();
        let ws = self.ws(&seeds, captions, settings.truncation as f32)?;
        let images = self.generator.synthesize(ws, &Noise::Const);
        Ok(Illustrated { images, arrived: None })
    }

    fn render(&self, codes: Tensor<3>) -> Tensor<4> {
        render(&self.generator, codes)
    }
}

/// Samples with captions of the training split, drawn as often as they occur.
struct CaptionSampler<'a> {
    model: &'a TextConditional,
    captions: Captions,
}

impl Sampler for CaptionSampler<'_> {
    fn images(&self, seeds: &[u64], psi: f32, noise: SampleNoise) -> Result<Tensor<4>> {
        let model = self.model;
        let ws = model.ws(seeds, &self.captions.of_seeds(seeds), psi)?;
        let noise = noise_of_seeds(&model.generator, seeds, noise, &model.device);
        Ok(model.generator.synthesize(ws, &noise))
    }

    fn note(&self) -> &'static str {
        "text-conditional models: conditioned on randomly drawn training captions"
    }
}
