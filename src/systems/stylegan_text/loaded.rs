//! A loaded text-conditional model.

use std::sync::Arc;

use burn::tensor::{Device, Tensor};

use super::Sentences;
use super::sentence::ws;
use crate::data::Archive;
use crate::error::{Error, Result};
use crate::language::{Captions, PromptTokenizer, WeightedPrompt};
use crate::model::Model;
use crate::systems::gan::latents;
use crate::systems::guidance::GuidanceSettings;
use crate::systems::requests::{Draw, DrawStep, Drawn, Illustrated};
use crate::systems::stylegan::features::{critic_of, own_features, own_features_mark};
use crate::systems::stylegan::sample::render;
use crate::systems::stylegan::section::load_generator;
use crate::systems::stylegan::styles::{PromptsOnly, Styles};
use crate::systems::stylegan::{Generator, Noise};
use crate::systems::{
    Capabilities, ImageSampler, LatentSpace, Loaded, SampleNoise, StyleSpace, TextToImage,
};
use crate::vision::Features;

/// The generator with the sentence encoder that conditions it.
pub(super) struct TextConditional {
    styles: Styles,
    sentences: Sentences,
    /// D and its settings, for use as a measure.
    critic: Model,
    name: String,
}

impl TextConditional {
    pub fn open(model: &Model, device: &Device) -> Result<Self> {
        let name = model.name().to_owned();
        let message =
            format!("{name}: was trained with --condition text and generates only from captions");
        let hint = "use `cigan generate --text`, or a model that was trained without --condition";
        Ok(Self {
            styles: Styles {
                generator: load_generator(model, device)?,
                classes: 0,
                device: device.clone(),
                prompts_only: Some(PromptsOnly { message, hint }),
            },
            sentences: Sentences::load(model, device)?,
            critic: critic_of(model),
            name,
        })
    }

    fn generator(&self) -> &Generator {
        &self.styles.generator
    }

    /// Codes `[N, num_ws, w_dim]` of captions, one per seed.
    fn ws(&self, seeds: &[u64], captions: &[&str], psi: f32) -> Result<Tensor<3>> {
        self.sentences.ws(self.generator(), self.styles.z(seeds), captions, psi)
    }
}

impl Loaded for TextConditional {
    fn capabilities(&self) -> Capabilities {
        let sizes = vec![self.generator().synthesis.resolution()];
        Capabilities { sizes, text: true, ..Default::default() }
    }

    fn sampler<'a>(&'a self, archive: &Arc<Archive>) -> Result<Box<dyn ImageSampler + 'a>> {
        Ok(Box::new(CaptionSampler { model: self, captions: Captions::of(archive)? }))
    }

    fn sampler_of_class<'a>(&'a self, _class: Option<u32>) -> Result<Box<dyn ImageSampler + 'a>> {
        self.styles.check_z()?;
        Err(Error::internal("a text-conditional model draws without a prompt"))
    }

    fn styles(&self) -> Result<&dyn StyleSpace> {
        Ok(&self.styles)
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
        own_features(&self.critic, &self.styles.device)
    }

    fn own_features_mark(&self) -> Option<Vec<f32>> {
        own_features_mark(&self.critic)
    }
}

impl TextToImage for TextConditional {
    fn tokenizer(&self) -> &dyn PromptTokenizer {
        self.sentences.tokenizer()
    }

    fn weights_words(&self) -> bool {
        true
    }

    fn code_sizes(&self) -> Vec<[usize; 2]> {
        let dim = self.styles.w_dim();
        vec![[1, dim], [self.styles.num_ws(), dim]]
    }

    /// Draws in one pass, without optimisation steps to observe.
    fn draw(&self, draw: &Draw, _observe: &mut dyn FnMut(&DrawStep) -> bool) -> Result<Drawn> {
        let z = latents(draw.seeds, draw.vary, self.styles.z_dim(), &self.styles.device);
        let prompt = WeightedPrompt::parse(draw.prompt)?;
        let feature = prompt.code(|texts| self.sentences.features(texts, &self.styles.device))?;
        let features = feature.repeat(&[draw.seeds.len(), 1]);
        let psi = draw.settings.truncation as f32;
        // All layers have the same w.
        let codes = ws(self.generator(), z, features, psi).narrow(1, 0, 1);
        Ok(Drawn { seeds: draw.seeds.to_vec(), marked: Vec::new(), codes, guided: None })
    }

    fn illustrate(
        &self,
        captions: &[&str],
        first: u64,
        settings: &GuidanceSettings,
    ) -> Result<Illustrated> {
        let seeds: Vec<u64> = (first..).take(captions.len()).collect();
        let ws = self.ws(&seeds, captions, settings.truncation as f32)?;
        let images = self.generator().synthesize(ws, &Noise::Const);
        Ok(Illustrated { images, arrived: None })
    }

    fn render(&self, codes: Tensor<3>) -> Tensor<4> {
        render(self.generator(), codes)
    }

    fn check_edits(&self) -> Result<()> {
        Err(Error::user("this model generates images from prompts, but cannot edit images")
            .hint("use a model that was trained with `cigan align-text`"))
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
        Ok(model.styles.render(ws, noise, seeds))
    }

    fn note(&self) -> &'static str {
        "text-conditional models: conditioned on randomly drawn training captions"
    }
}
