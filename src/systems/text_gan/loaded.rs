//! A loaded GAN that draws images for captions in one pass.

use std::sync::Arc;

use burn::tensor::{Device, Tensor};
use rand::Rng;

use super::drawing::CaptionGenerator;
use super::sentence_vectors::load_sentences;
use super::style::{StyleEncoder, load_style};
use crate::data::Archive;
use crate::draws;
use crate::error::{Error, Result};
use crate::language::{Captions, PromptTokenizer, WeightedPrompt};
use crate::model::Model;
use crate::nn::Statistics;
use crate::nn::params::indices;
use crate::systems::damsm::Damsm;
use crate::systems::gan::latents;
use crate::systems::guidance::GuidanceSettings;
use crate::systems::ranking::{Judge, best, cosines};
use crate::systems::requests::{Draw, DrawStep, Drawn, Illustrated, Vary};
use crate::systems::system::check_scale;
use crate::systems::{
    Capabilities, ImageSampler, ImageTextSimilarity, Loaded, NoiseSpace, SampleNoise, StyleReader,
    TextToImage,
};

/// A generator with the encoder of captions.
#[derive(Clone)]
pub struct LoadedTextGan<G> {
    generator: G,
    damsm: Damsm,
    /// Reads z off images, in models of `train-style`.
    style: Option<StyleEncoder>,
    /// Vectors of training captions `[K, caption]`.
    captions: Tensor<2>,
    /// The size of the images, as an index into the generator's sizes.
    size: usize,
    device: Device,
    name: String,
}

impl<G: CaptionGenerator> LoadedTextGan<G> {
    /// Opens a model. `load` loads its generator, whose captions this encoder reads.
    ///
    /// # Errors
    /// If a part is missing or damaged.
    pub fn open(
        model: &Model,
        device: &Device,
        load: impl FnOnce(&Damsm) -> Result<G>,
    ) -> Result<Self> {
        let damsm = Damsm::load(model, device)?;
        let generator = load(&damsm)?;
        let size = generator.read(&damsm, &["a"])?.dims()[1];
        let side = generator.sizes().last().copied().unwrap_or_default();
        Ok(Self {
            style: load_style(model, side, generator.z_size(), device)?,
            size: generator.sizes().len() - 1,
            generator,
            captions: load_sentences(model, size, device)?,
            damsm,
            device: device.clone(),
            name: model.name().to_owned(),
        })
    }

    fn noise(&self, seeds: &[u64], vary: Option<Vary>, psi: f64) -> Tensor<2> {
        latents(seeds, vary, self.generator.noise_size(), &self.device) * psi
    }

    fn images(&self, seeds: &[u64], psi: f64, captions: Tensor<2>) -> Tensor<4> {
        let codes = self.generator.codes(self.noise(seeds, None, psi), captions);
        self.generator.images(codes, self.size)
    }
}

impl<G: CaptionGenerator + 'static> Loaded for LoadedTextGan<G> {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            sizes: self.generator.sizes(),
            samples: true,
            text: true,
            candidates: self.damsm.has_images(),
            compares: self.damsm.has_images(),
            restyles: self.style.is_some(),
            // The published samples are not truncated.
            truncation: Some(1.0),
            ..Default::default()
        }
    }

    fn resolution(&self) -> usize {
        self.generator.sizes()[self.size]
    }

    fn at_scale(&self, scale: usize) -> Result<Box<dyn Loaded>> {
        check_scale(scale, &self.generator.sizes())?;
        Ok(Box::new(Self { size: scale, ..self.clone() }))
    }

    fn sampler<'a>(&'a self, archive: &Arc<Archive>) -> Result<Box<dyn ImageSampler + 'a>> {
        Ok(Box::new(CaptionSampler { model: self, captions: Captions::of(archive)? }))
    }

    fn sampler_of_class<'a>(&'a self, class: Option<u32>) -> Result<Box<dyn ImageSampler + 'a>> {
        match class {
            None => Ok(Box::new(SentenceSampler(self))),
            Some(class) => Err(no_classes(class, &self.name)),
        }
    }

    fn text_to_image(&self) -> Result<&dyn TextToImage> {
        Ok(self)
    }

    fn similarity(&self) -> Result<&dyn ImageTextSimilarity> {
        self.damsm.similarity()
    }

    fn noise_space(&self) -> Result<&dyn NoiseSpace> {
        Ok(self)
    }

    fn style_reader(&self) -> Result<&dyn StyleReader> {
        match self.style {
            Some(_) => Ok(self),
            None => Err(Error::user(format!("{}: contains no style encoder", self.name))
                .hint("train one with `cigan train-style --model MODEL`")),
        }
    }
}

impl<G: CaptionGenerator + 'static> NoiseSpace for LoadedTextGan<G> {
    fn noise_size(&self) -> usize {
        self.generator.noise_size()
    }

    fn z_size(&self) -> usize {
        self.generator.z_size()
    }

    fn read(&self, texts: &[&str]) -> Result<Tensor<2>> {
        self.generator.read(&self.damsm, texts)
    }

    fn read_prompt(&self, prompt: &str) -> Result<Tensor<2>> {
        match self.generator.weighs_captions() {
            true => WeightedPrompt::parse(prompt)?.code(|texts| NoiseSpace::read(self, texts)),
            false => NoiseSpace::read(self, &[prompt]),
        }
    }

    fn draw(&self, noise: Tensor<2>, texts: Tensor<2>) -> Tensor<4> {
        self.generator.draw(noise, texts)
    }
}

impl<G: CaptionGenerator + 'static> StyleReader for LoadedTextGan<G> {
    fn styles(&self, images: Tensor<4>) -> Tensor<2> {
        // `style_reader` returns the model only if it has one.
        self.style.as_ref().expect("a style encoder").forward(images, Statistics::Standing)
    }

    fn space(&self) -> &dyn NoiseSpace {
        self
    }
}

impl<G: CaptionGenerator + 'static> TextToImage for LoadedTextGan<G> {
    fn tokenizer(&self) -> &dyn PromptTokenizer {
        self.damsm.tokenizer()
    }

    fn weights_words(&self) -> bool {
        self.generator.weighs_captions()
    }

    fn code_sizes(&self) -> Vec<[usize; 2]> {
        vec![[1, self.generator.code_size(self.captions.dims()[1])]]
    }

    /// Draws in one pass, without optimisation steps to observe.
    fn draw(&self, draw: &Draw, _observe: &mut dyn FnMut(&DrawStep) -> bool) -> Result<Drawn> {
        let noise = self.noise(draw.seeds, draw.vary, draw.settings.truncation);
        let caption = self.read_prompt(draw.prompt)?;
        let codes = self.generator.codes(noise, caption.repeat(&[draw.seeds.len(), 1]));
        let [n, length] = codes.dims();
        let codes = codes.reshape([n, 1, length]);
        let drawn = Drawn { seeds: draw.seeds.to_vec(), codes, marked: Vec::new(), guided: None };
        let Some(keep) = draw.keep else { return Ok(drawn) };
        let judge = Judge::Encoders(Loaded::similarity(self)?);
        best(drawn, draw.prompt, keep, judge, |codes| self.render(codes))
    }

    fn illustrate(
        &self,
        captions: &[&str],
        first: u64,
        settings: &GuidanceSettings,
    ) -> Result<Illustrated> {
        let seeds: Vec<u64> = (first..).take(captions.len()).collect();
        let captions = self.generator.read(&self.damsm, captions)?;
        Ok(Illustrated {
            images: self.images(&seeds, settings.truncation, captions),
            arrived: None,
        })
    }

    fn agreement(&self, images: Tensor<4>, captions: &[&str]) -> Result<Vec<f32>> {
        cosines(Loaded::similarity(self)?, images, captions)
    }

    fn render(&self, codes: Tensor<3>) -> Tensor<4> {
        let [n, _, length] = codes.dims();
        self.generator.images(codes.reshape([n, length]), self.size)
    }
}

/// The error of a request for a class of the model `name`, whose samples show captions.
pub fn no_classes(class: u32, name: &str) -> Error {
    Error::user(format!("--class {class}: {name} was not trained with classes"))
        .hint("omit the flag; the captions of samples are drawn by their seeds")
}

/// The vectors of training captions that samples of these seeds show: `[N, size]`, of all `[K, size]`.
pub fn of_seeds(all: &Tensor<2>, seeds: &[u64]) -> Tensor<2> {
    let count = all.dims()[0];
    let row = |&seed: &u64| draws::stream(seed, "caption.sample", 0).random_range(0..count);
    all.clone().select(0, indices(seeds.iter().map(row), &all.device()))
}

/// Samples with captions of the training split, drawn as often as they occur.
struct CaptionSampler<'a, G> {
    model: &'a LoadedTextGan<G>,
    captions: Captions,
}

impl<G: CaptionGenerator> ImageSampler for CaptionSampler<'_, G> {
    fn images(&self, seeds: &[u64], psi: f32, _noise: SampleNoise) -> Result<Tensor<4>> {
        let LoadedTextGan { generator, damsm, .. } = self.model;
        let captions = generator.read(damsm, &self.captions.of_seeds(seeds))?;
        Ok(self.model.images(seeds, psi.into(), captions))
    }

    fn note(&self) -> &'static str {
        "text-conditional models: conditioned on randomly drawn training captions"
    }
}

/// Samples with the training captions that the model holds, drawn by seed.
struct SentenceSampler<'a, G>(&'a LoadedTextGan<G>);

impl<G: CaptionGenerator> ImageSampler for SentenceSampler<'_, G> {
    fn images(&self, seeds: &[u64], psi: f32, _noise: SampleNoise) -> Result<Tensor<4>> {
        Ok(self.0.images(seeds, psi.into(), of_seeds(&self.0.captions, seeds)))
    }
}
