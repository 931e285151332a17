//! A loaded model of GAN-INT-CLS.

use std::sync::Arc;

use burn::tensor::{Device, Tensor, TensorData};
use rand::Rng;

use super::section::{GAN_INT_CLS, load_generator, load_sentences};
use super::{GanIntClsNetwork, Generator};
use crate::data::Archive;
use crate::draws;
use crate::error::{Error, Result};
use crate::language::{Captions, Tokenizer, WeightedPrompt};
use crate::model::Model;
use crate::nn::Statistics;
use crate::systems::damsm::Damsm;
use crate::systems::guidance::GuidanceSettings;
use crate::systems::ranking::best;
use crate::systems::requests::{Draw, DrawStep, Drawn, Illustrated};
use crate::systems::stylegan::sample::latents;
use crate::systems::{
    Capabilities, ImageSampler, ImageTextSimilarity, Loaded, SampleNoise, TextToImage,
};

/// The generator with the reader of captions.
///
/// The code of an image is z, followed by the vector of its caption.
pub(super) struct LoadedGanIntCls {
    generator: Generator,
    damsm: Damsm,
    /// Vectors of training captions `[K, size]`.
    sentences: Tensor<2>,
    resolution: usize,
    device: Device,
    name: String,
}

impl LoadedGanIntCls {
    pub fn open(model: &Model, device: &Device) -> Result<Self> {
        let network: GanIntClsNetwork = model.settings(&GAN_INT_CLS)?;
        let damsm = Damsm::load(model, device)?;
        let size = damsm.sentences(&["a"])?.dims()[1];
        Ok(Self {
            generator: load_generator(model, size, device)?,
            sentences: load_sentences(model, size, device)?,
            damsm,
            resolution: network.resolution,
            device: device.clone(),
            name: model.name().to_owned(),
        })
    }

    /// Codes `[N, 1, z_dim + size]` of captions `[N, size]`, one per seed.
    fn codes(&self, z: Tensor<2>, captions: Tensor<2>) -> Tensor<3> {
        let code = Tensor::cat(vec![z, captions], 1);
        let [n, length] = code.dims();
        code.reshape([n, 1, length])
    }

    fn z(&self, seeds: &[u64], psi: f64) -> Tensor<2> {
        latents(seeds, None, self.generator.z_dim(), &self.device) * psi
    }

    fn images(&self, seeds: &[u64], psi: f64, captions: Tensor<2>) -> Tensor<4> {
        self.generator.forward(self.z(seeds, psi), captions, Statistics::Standing)
    }
}

impl Loaded for LoadedGanIntCls {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            sizes: vec![self.resolution],
            samples: true,
            text: true,
            candidates: self.damsm.has_images(),
            compares: self.damsm.has_images(),
            // The published samples are not truncated.
            truncation: Some(1.0),
            ..Default::default()
        }
    }

    fn sampler<'a>(&'a self, archive: &Arc<Archive>) -> Result<Box<dyn ImageSampler + 'a>> {
        Ok(Box::new(CaptionSampler { model: self, captions: Captions::of(archive)? }))
    }

    fn sampler_of_class<'a>(&'a self, class: Option<u32>) -> Result<Box<dyn ImageSampler + 'a>> {
        match class {
            None => Ok(Box::new(SentenceSampler(self))),
            Some(class) => Err(Error::user(format!(
                "--class {class}: {} was not trained with classes",
                self.name
            ))
            .hint("omit the flag; the captions of samples are drawn by their seeds")),
        }
    }

    fn text_to_image(&self) -> Result<&dyn TextToImage> {
        Ok(self)
    }

    fn similarity(&self) -> Result<&dyn ImageTextSimilarity> {
        self.damsm.similarity()
    }
}

impl TextToImage for LoadedGanIntCls {
    fn tokenizer(&self) -> &Tokenizer {
        self.damsm.tokenizer()
    }

    fn weights_words(&self) -> bool {
        true
    }

    fn code_sizes(&self) -> Vec<[usize; 2]> {
        vec![[1, self.generator.z_dim() + self.sentences.dims()[1]]]
    }

    /// Draws in one pass, without optimisation steps to observe.
    fn draw(&self, draw: &Draw, _observe: &mut dyn FnMut(&DrawStep) -> bool) -> Result<Drawn> {
        let z = latents(draw.seeds, draw.vary, self.generator.z_dim(), &self.device);
        let prompt = WeightedPrompt::parse(draw.prompt)?;
        let sentence = prompt.code(|texts| self.damsm.sentences(texts))?;
        let captions = sentence.repeat(&[draw.seeds.len(), 1]);
        let codes = self.codes(z * draw.settings.truncation, captions);
        let drawn = Drawn { seeds: draw.seeds.to_vec(), codes, marked: Vec::new(), guided: None };
        let Some(keep) = draw.keep else { return Ok(drawn) };
        best(drawn, draw.prompt, keep, Loaded::similarity(self)?, |codes| self.render(codes))
    }

    fn illustrate(
        &self,
        captions: &[&str],
        first: u64,
        settings: &GuidanceSettings,
    ) -> Result<Illustrated> {
        let seeds: Vec<u64> = (0..captions.len() as u64).map(|i| first + i).collect();
        let captions = self.damsm.sentences(captions)?;
        Ok(Illustrated {
            images: self.images(&seeds, settings.truncation, captions),
            arrived: None,
        })
    }

    fn render(&self, codes: Tensor<3>) -> Tensor<4> {
        let [n, _, length] = codes.dims();
        let (codes, z_dim) = (codes.reshape([n, length]), self.generator.z_dim());
        let (z, captions) =
            (codes.clone().narrow(1, 0, z_dim), codes.narrow(1, z_dim, length - z_dim));
        self.generator.forward(z, captions, Statistics::Standing)
    }
}

/// Samples with captions of the training split, drawn as often as they occur.
struct CaptionSampler<'a> {
    model: &'a LoadedGanIntCls,
    captions: Captions,
}

impl ImageSampler for CaptionSampler<'_> {
    fn images(&self, seeds: &[u64], psi: f32, _noise: SampleNoise) -> Result<Tensor<4>> {
        let captions = self.model.damsm.sentences(&self.captions.of_seeds(seeds))?;
        Ok(self.model.images(seeds, psi.into(), captions))
    }

    fn note(&self) -> &'static str {
        "text-conditional models: conditioned on randomly drawn training captions"
    }
}

/// Samples with the training captions that the model holds, drawn by seed.
struct SentenceSampler<'a>(&'a LoadedGanIntCls);

impl ImageSampler for SentenceSampler<'_> {
    fn images(&self, seeds: &[u64], psi: f32, _noise: SampleNoise) -> Result<Tensor<4>> {
        let all = self.0.sentences.dims()[0];
        let row =
            |&seed: &u64| draws::stream(seed, "caption.sample", 0).random_range(0..all) as i32;
        let rows: Vec<i32> = seeds.iter().map(row).collect();
        let rows = Tensor::from_data(TensorData::new(rows, [seeds.len()]), &self.0.device);
        Ok(self.0.images(seeds, psi.into(), self.0.sentences.clone().select(0, rows)))
    }
}
