//! A loaded model of `train-captioner`.

use std::sync::Arc;

use burn::tensor::{Device, Tensor};

use super::{Captioner, load_captioner};
use crate::data::Archive;
use crate::error::Result;
use crate::language::{Prompt, Tokenizer, Tokens};
use crate::model::Model;
use crate::nn::Statistics;
use crate::nn::params::to_vec;
use crate::systems::damsm::loaded::LoadedDamsm;
use crate::systems::damsm::section::load_vocabulary;
use crate::systems::{
    Capabilities, ImageDescriber, ImageSampler, ImageTextSimilarity, Loaded, TextToImage,
};

/// A captioner with the encoders of DAMSM.
pub(super) struct LoadedCaptioner {
    damsm: LoadedDamsm,
    captioner: Captioner,
    tokenizer: Tokenizer,
}

impl LoadedCaptioner {
    /// Opens a model.
    ///
    /// # Errors
    /// If it has no captioner, or is damaged.
    pub fn open(model: &Model, device: &Device) -> Result<Self> {
        Ok(Self {
            damsm: LoadedDamsm::open(model, device)?
                .with_purpose("a captioner only describes and encodes images"),
            captioner: load_captioner(model, device)?,
            tokenizer: load_vocabulary(model)?,
        })
    }

    fn vectors(&self, images: Tensor<4>) -> Tensor<2> {
        self.captioner.encode(images, Statistics::Standing)
    }
}

impl Loaded for LoadedCaptioner {
    fn capabilities(&self) -> Capabilities {
        Capabilities { describes: true, ..self.damsm.capabilities() }
    }

    fn sampler<'a>(&'a self, archive: &Arc<Archive>) -> Result<Box<dyn ImageSampler + 'a>> {
        self.damsm.sampler(archive)
    }

    fn sampler_of_class<'a>(&'a self, class: Option<u32>) -> Result<Box<dyn ImageSampler + 'a>> {
        self.damsm.sampler_of_class(class)
    }

    fn text_to_image(&self) -> Result<&dyn TextToImage> {
        self.damsm.text_to_image()
    }

    fn similarity(&self) -> Result<&dyn ImageTextSimilarity> {
        self.damsm.similarity()
    }

    fn describer(&self) -> Result<&dyn ImageDescriber> {
        Ok(self)
    }
}

impl ImageDescriber for LoadedCaptioner {
    fn describe(&self, images: Tensor<4>) -> Vec<String> {
        let captions = self.captioner.describe(self.vectors(images), self.tokenizer.max_tokens());
        captions.iter().map(|ids| self.tokenizer.text(ids)).collect()
    }

    fn log_likelihoods(&self, images: Tensor<4>, captions: &[&str]) -> Result<Vec<f64>> {
        let tokens = self.tokenizer.batch(captions)?;
        let sums = to_vec(self.captioner.log_likelihood(self.vectors(images), &tokens));
        let per_token = |(sum, &length): (f32, &usize)| f64::from(sum) / (length + 1) as f64;
        Ok(sums.into_iter().zip(&tokens.lengths).map(per_token).collect())
    }
    fn check_prompt(&self, flag: &str, prompt: &str) -> Result<Prompt> {
        self.tokenizer.check_prompt(flag, prompt)
    }

    fn information(&self, images: Tensor<4>, texts: &[&str]) -> Result<Tensor<2>> {
        let vectors = self.vectors(images);
        let tokens: Vec<Tokens> =
            texts.iter().map(|text| self.tokenizer.prompts(&[text])).collect::<Result<_>>()?;
        let rows = tokens.iter().map(|text| self.captioner.information(vectors.clone(), text));
        Ok(Tensor::cat(rows.collect(), 0))
    }
}
