//! Captions as the condition: trains the sentence encoder S together with D, on matching and
//! mismatched pairs (GAN-CLS, Reed et al. 2016).

use std::ops::Range;
use std::sync::Arc;

use burn::module::Module;
use burn::tensor::{Device, Gradients, Tensor, TensorData};
use rand_chacha::ChaCha8Rng;

use super::section::{S_EMA, SENTENCE_VOCABULARY};
use super::sentence::{S, Sentences, feature, fresh};
use crate::data::{Archive, Batch, Split};
use crate::draws;
use crate::error::{Error, Result};
use crate::language::captions::pick;
use crate::language::{Captions, TextEncoder, Tokenizer, Tokens};
use crate::model::Model;
use crate::nn::adam::lazy_factor;
use crate::nn::params::NamedGradients;
use crate::nn::sums::total;
use crate::nn::{Adam, Dual, ema};
use crate::systems::gan::AdversarialLoss;
use crate::systems::gan::matching::{Mismatched, discriminator_matching};
use crate::systems::stylegan::conditioning::{Conditioning, DiscriminatorLoss, Fakes, Weights};
use crate::systems::stylegan::transfer::{Transferred, transferred};
use crate::systems::stylegan::{Discriminator, STYLEGAN, StyleganSettings};
use crate::train::gradient_sum::GradientSum;
use crate::train::round_values::RoundValues;
use crate::train::{Keep, Parts};

/// The sentence encoder in training, with the captions that it reads.
pub struct CaptionConditioning {
    captions: Captions,
    tokenizer: Tokenizer,
    /// Warnings about the captions.
    warnings: Vec<String>,
    encoder: TextEncoder,
    average: TextEncoder,
    adam: Adam,
    lr: f64,
    /// Fraction of the training images that have captions.
    share: f64,
    /// Weight of mismatched pairs in D's loss on fakes.
    mismatched: f64,
}

/// The captions of a batch of real images.
#[derive(Debug, Clone)]
pub struct CaptionPairs {
    /// One caption of each image; empty for images without captions.
    own: Tokens,
    /// One caption of another image for each image; empty for images without captions.
    other: Tokens,
    /// Whether each image has captions.
    captioned: Vec<bool>,
}

impl CaptionPairs {
    /// Number of images with captions.
    fn count(&self) -> usize {
        self.captioned.iter().filter(|captioned| **captioned).count()
    }

    /// 1 for images that have captions, 0 for the others: `[N]`. `None` where all have captions.
    fn mask(&self, device: &Device) -> Option<Tensor<1>> {
        if self.captioned.iter().all(|captioned| *captioned) {
            return None;
        }
        let ones: Vec<f32> =
            self.captioned.iter().map(|&captioned| f32::from(u8::from(captioned))).collect();
        let count = ones.len();
        Some(Tensor::from_data(TensorData::new(ones, [count]), device))
    }
}

/// D together with the sentence encoder, so that both are trained and regularised together.
#[derive(Module, Debug)]
pub struct TextCritic {
    d: Discriminator,
    encoder: TextEncoder,
}

impl TextCritic {
    /// Logits `[N]` of images with their own captions, and with those of other images, from the
    /// outputs `[N, outputs]` of D's trunk.
    fn compare(&self, trunk: Tensor<2>, condition: &CaptionPairs) -> [Tensor<1>; 2] {
        let device = trunk.device();
        let mask = condition.mask(&device);
        let with = |tokens: &Tokens| {
            let features = feature(&self.encoder, tokens, &device);
            self.d.score(trunk.clone().into(), Some(features), mask.clone()).value
        };
        [with(&condition.own), with(&condition.other)]
    }
}

impl Conditioning for CaptionConditioning {
    type BatchCondition = CaptionPairs;
    type Critic = TextCritic;

    fn of(
        archive: &Arc<Archive>,
        settings: &mut StyleganSettings,
        seed: u64,
        device: &Device,
    ) -> Result<Self> {
        let adam = Adam::new(settings.scaled_adam().lazy(settings.r1_interval));
        let lr = settings.matching.lr * lazy_factor(settings.r1_interval);
        let mismatched = settings.matching.mismatched;
        let Some(sentence) = &mut settings.network.sentence else {
            return Err(Error::internal("a text-conditional network without a sentence encoder"));
        };
        let captions = Captions::of(archive)?;
        let table = format!("{}.network.sentence.tokenizer", STYLEGAN.name);
        let (tokenizer, warnings) = captions.vocabulary(&table, &mut sentence.tokenizer)?;
        let encoder = fresh(sentence, tokenizer.len(), seed, device);
        Ok(Self {
            average: encoder.valid(),
            encoder: encoder.train(),
            adam,
            lr,
            share: captions.images().len() as f64 / archive.indices_of(Split::Train).len() as f64,
            mismatched,
            captions,
            tokenizer,
            warnings,
        })
    }

    fn share(&self) -> Option<f64> {
        Some(self.share)
    }

    fn warnings(&self) -> Vec<String> {
        self.warnings.clone()
    }

    fn draw(
        &self,
        of: Weights,
        rng: &mut ChaCha8Rng,
        count: usize,
        device: &Device,
    ) -> Result<Option<Tensor<2>>> {
        let tokens = self.tokenizer.batch(&self.captions.draw(count, rng))?;
        let encoder = match of {
            Weights::Current => self.encoder.valid(),
            Weights::Averaged => self.average.clone(),
        };
        Ok(Some(feature(&encoder, &tokens, device)))
    }

    fn of_seeds(&self, seeds: &[u64], device: &Device) -> Result<Option<Tensor<2>>> {
        let sentences = Sentences::new(self.average.clone(), self.tokenizer.clone());
        Ok(Some(sentences.features(&self.captions.of_seeds(seeds), device)?))
    }

    fn of_batch(
        &self,
        batch: &Batch,
        seed: u64,
        nimg: u64,
        _device: &Device,
    ) -> Result<CaptionPairs> {
        let images: Vec<usize> = batch.items.iter().map(|item| item.index).collect();
        let stream = |purpose: &str| draws::stream(seed, purpose, nimg);
        let mut rng = stream("caption.real");
        let own: Vec<&str> = batch.captions().map(|captions| pick(captions, &mut rng)).collect();
        let other = self.captions.of_others(&images, &mut stream("caption.mismatched"));
        Ok(CaptionPairs {
            own: self.tokenizer.batch(&own)?,
            other: self.tokenizer.batch(&other)?,
            captioned: batch.captions().map(|captions| !captions.is_empty()).collect(),
        })
    }

    fn part(condition: &CaptionPairs, range: &Range<usize>) -> CaptionPairs {
        CaptionPairs {
            own: condition.own.rows(range),
            other: condition.other.rows(range),
            captioned: condition.captioned[range.clone()].to_vec(),
        }
    }

    fn critic(&self, d: &Discriminator) -> TextCritic {
        TextCritic { d: d.clone(), encoder: self.encoder.clone() }
    }

    fn score(critic: &TextCritic, images: Dual<4>, condition: &CaptionPairs) -> Dual<1> {
        let device = images.value.device();
        let trunk = critic.d.trunk(images);
        let features = feature(&critic.encoder, &condition.own, &device);
        critic.d.score(trunk, Some(features), condition.mask(&device))
    }

    fn discriminator_loss(
        &self,
        loss: AdversarialLoss,
        critic: &TextCritic,
        fakes: Fakes,
        images: Tensor<4>,
        condition: &CaptionPairs,
        values: &mut RoundValues,
    ) -> DiscriminatorLoss {
        let device = images.device();
        let [fake, real] = critic.d.trunk_of_pair(fakes.images, images);
        let fake_logits = critic.d.score(fake.into(), fakes.label, fakes.conditioned.clone()).value;
        let [real_logits, others] = critic.compare(real, condition);
        let all = || others.clone().inner().ones_like();
        let captioned = condition.mask(&device).unwrap_or_else(all);
        let fake_captioned = fakes.conditioned.unwrap_or_else(all);
        let pairs = condition.count();
        if pairs > 0 {
            let sum = total(others.clone().inner() * captioned.clone());
            values.each("score/mismatched", sum / pairs as f64);
        }
        let mismatched =
            Mismatched { logits: others, captioned, fake_captioned, weight: self.mismatched };
        let loss =
            discriminator_matching(loss, fake_logits.clone(), real_logits.clone(), mismatched);
        DiscriminatorLoss { loss, fake_logits, real_logits }
    }

    fn gradients(&self, gradients: &Gradients) -> NamedGradients {
        NamedGradients::of(&self.encoder, gradients)
    }

    fn step(&mut self, gradients: GradientSum) -> Result<()> {
        let gradients = gradients.finish(&self.encoder)?;
        self.encoder = self.adam.step(self.encoder.clone(), gradients, self.lr);
        Ok(())
    }

    fn average(&mut self, beta: f64) {
        self.average = ema::update(self.average.clone(), &self.encoder, beta);
    }

    fn take_non_finite(&mut self) -> u64 {
        self.adam.take_non_finite()
    }

    /// Copies the sentence encoder of a model with the same vocabulary. With another vocabulary,
    /// its embeddings would belong to other words.
    fn transfer(&mut self, model: &Model, counts: &mut Transferred) -> Result<()> {
        if model.text(SENTENCE_VOCABULARY) == Some(self.tokenizer.to_json()?.as_str()) {
            let same = |name: &str| name.to_owned();
            let encoder = self.encoder.clone();
            self.encoder =
                transferred(encoder, model, S_EMA, [&same, &same], counts, |_| Ok(()))?.train();
            self.average = self.encoder.valid();
        }
        Ok(())
    }

    fn parts(&mut self, parts: &mut Parts) -> Result<()> {
        parts.network(S, &mut self.encoder, Keep::Checkpoint)?;
        parts.network(S_EMA, &mut self.average, Keep::Both)?;
        parts.optimiser("adam_S", &mut self.adam, &self.encoder)
    }

    fn put_texts(&self, model: &mut Model) -> Result<()> {
        model.set_text(SENTENCE_VOCABULARY, self.tokenizer.to_json()?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use image::{ImageFormat, RgbImage};

    use super::*;
    use crate::data::{ArchiveWriter, ImageRecord, Provenance};
    use crate::nn::params::to_vec;
    use crate::systems::stylegan::draws::Source;

    /// Ten images; the first `captioned` of them have captions.
    fn archive(captioned: usize) -> (tempfile::TempDir, Arc<Archive>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("grey.zip");
        let mut writer = ArchiveWriter::create(&path, 8).unwrap();
        for i in 0..10 {
            let mut png = Cursor::new(Vec::new());
            RgbImage::new(8, 8).write_to(&mut png, ImageFormat::Png).unwrap();
            let captions = if i < captioned { vec!["a grey bird".to_owned()] } else { Vec::new() };
            let record = ImageRecord {
                file: String::new(),
                id: format!("image-{i}"),
                split: Split::Train,
                label: None,
                captions,
                phrases: None,
                derived: false,
                attributes: Default::default(),
            };
            writer.add(png.get_ref(), record).unwrap();
        }
        writer.finish(Provenance::default(), Vec::new(), Vec::new()).unwrap();
        (folder, Arc::new(Archive::open(&path).unwrap()))
    }

    #[test]
    fn generated_images_are_judged_with_captions_as_often_as_real_ones() {
        let device = Device::flex();
        let mut unmasked = Vec::new();
        for captioned in [3, 8, 10] {
            let (_folder, archive) = archive(captioned);
            let mut settings = StyleganSettings::auto(8, Some(4));
            settings.network.sentence = Some(Default::default());
            let conditioning =
                CaptionConditioning::of(&archive, &mut settings, 0, &device).unwrap();
            let of = |nimg| {
                let (settings, conditioning, device) = (&settings, &conditioning, &device);
                Source { settings, conditioning, p: None, seed: 0, nimg, device }
                    .conditioned("dmain", 50)
            };
            if of(0).is_none() {
                unmasked.push(captioned);
                continue;
            }
            let all: Vec<f32> = (0..40).flat_map(|nimg| to_vec(of(nimg).unwrap())).collect();
            assert!(all.iter().all(|masked| [0.0, 1.0].contains(masked)));
            let share = all.iter().sum::<f32>() / all.len() as f32;
            assert!((share - captioned as f32 / 10.0).abs() < 0.04, "{share}, {captioned} in ten");
        }
        assert_eq!(unmasked, [10], "no image is masked if all have captions");
    }
}
