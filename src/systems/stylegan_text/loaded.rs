//! A loaded text-conditional model.

use std::sync::Arc;

use burn::tensor::{Device, Tensor};

use super::Sentences;
use crate::data::Archive;
use crate::error::{Error, Result};
use crate::language::{Captions, Tokenizer};
use crate::model::Model;
use crate::systems::guidance::GuidanceSettings;
use crate::systems::requests::{
    Change, Draw, DrawStep, Drawn, EditSettings, EditSource, EditStep, Edited, Illustrated,
    Truncation,
};
use crate::systems::stylegan::features::{critic_of, own_features, own_features_mark};
use crate::systems::stylegan::sample::{latents, render};
use crate::systems::stylegan::section::load_generator;
use crate::systems::stylegan::styles::render as render_with;
use crate::systems::stylegan::{Generator, Noise};
use crate::systems::{
    Capabilities, ImageSampler, LatentSpace, Loaded, SampleNoise, StyleSpace, TextToImage,
};
use crate::vision::Features;

/// The generator with the sentence encoder that conditions it.
pub(super) struct TextConditional {
    generator: Generator,
    sentences: Sentences,
    /// D and its settings, for use as a measure.
    critic: Model,
    device: Device,
    name: String,
}

impl TextConditional {
    pub fn open(model: &Model, device: &Device) -> Result<Self> {
        Ok(Self {
            sentences: Sentences::load(model, device)?,
            generator: load_generator(model, device)?,
            critic: critic_of(model),
            device: device.clone(),
            name: model.name().to_owned(),
        })
    }

    fn needs_captions(&self) -> Error {
        Error::user(format!(
            "{}: was trained with --condition text and only draws from captions",
            self.name
        ))
        .hint("use `cigan generate --text`, or a model that was trained without --condition")
    }

    fn no_edits(&self) -> Error {
        Error::user("this model generates images from prompts, but cannot edit images")
            .hint("use a model that was trained with `cigan align-text`")
    }

    /// Codes `[N, num_ws, w_dim]` of captions, one per seed.
    fn ws(&self, seeds: &[u64], captions: &[&str], psi: f32) -> Result<Tensor<3>> {
        let z = latents(seeds, None, self.generator.mapping.z_dim(), &self.device);
        self.sentences.ws(&self.generator, z, captions, psi)
    }
}

impl Loaded for TextConditional {
    fn capabilities(&self) -> Capabilities {
        let sizes = vec![self.generator.synthesis.resolution()];
        Capabilities { sizes, styles: true, text: true, ..Default::default() }
    }

    fn sampler<'a>(&'a self, archive: &Arc<Archive>) -> Result<Box<dyn ImageSampler + 'a>> {
        Ok(Box::new(CaptionSampler { model: self, captions: Captions::of(archive)? }))
    }

    fn sampler_of_class<'a>(&'a self, _class: Option<u32>) -> Result<Box<dyn ImageSampler + 'a>> {
        Err(self.needs_captions())
    }

    fn styles(&self) -> Result<&dyn StyleSpace> {
        Ok(self)
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

    fn own_features(&self) -> Result<Box<dyn Features>> {
        own_features(&self.critic, &self.device)
    }

    fn own_features_mark(&self) -> Option<Vec<f32>> {
        own_features_mark(&self.critic)
    }
}

impl StyleSpace for TextConditional {
    fn z_dim(&self) -> usize {
        self.generator.mapping.z_dim()
    }

    fn w_dim(&self) -> usize {
        self.generator.mapping.w_dim()
    }

    fn num_ws(&self) -> usize {
        self.generator.synthesis.num_ws()
    }

    fn check_z(&self) -> Result<()> {
        Err(self.needs_captions())
    }

    fn z(&self, seeds: &[u64]) -> Tensor<2> {
        latents(seeds, None, self.z_dim(), &self.device)
    }

    fn map(
        &self,
        _z: Tensor<2>,
        _class: Option<u32>,
        _truncation: Truncation,
    ) -> Result<Tensor<3>> {
        Err(self.needs_captions())
    }

    fn render(&self, styles: Tensor<3>, noise: SampleNoise, seeds: &[u64]) -> Tensor<4> {
        render_with(&self.generator, styles, noise, seeds, &self.device)
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

    fn check_edits(&self) -> Result<()> {
        Err(self.no_edits())
    }

    fn edit(
        &self,
        _source: EditSource,
        _change: Change<&str>,
        _settings: &EditSettings,
        _observe: &mut dyn FnMut(EditStep) -> bool,
    ) -> Result<Edited> {
        Err(self.no_edits())
    }
}

/// Samples with captions of the training split, drawn as often as they occur.
struct CaptionSampler<'a> {
    model: &'a TextConditional,
    captions: Captions,
}

impl ImageSampler for CaptionSampler<'_> {
    fn images(&self, seeds: &[u64], psi: f32, noise: SampleNoise) -> Result<Tensor<4>> {
        let model = self.model;
        let ws = model.ws(seeds, &self.captions.of_seeds(seeds), psi)?;
        Ok(render_with(&model.generator, ws, noise, seeds, &model.device))
    }

    fn note(&self) -> &'static str {
        "text-conditional models: conditioned on randomly drawn training captions"
    }
}
