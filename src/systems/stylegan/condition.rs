//! What the networks are conditioned on while they train: nothing, classes, or captions.

use std::ops::Range;
use std::sync::Arc;

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use rand::Rng;

use super::drawn::rows;
use super::sentence::{S, S_EMA, SENTENCE_VOCABULARY, Sentences, feature, fresh};
use super::transfer::{Transferred, transferred};
use super::{Discriminator, Labels, StyleganSettings};
use crate::data::{Archive, Item, Split};
use crate::draws;
use crate::error::Result;
use crate::language::{Captions, TextEncoder, Tokenizer, Tokens};
use crate::model::Model;
use crate::nn::adam::lazy_factor;
use crate::nn::params::{self, NamedGradients};
use crate::nn::{Adam, Dual, ema};
use crate::tensorfile::TensorFile;

/// What the networks are conditioned on.
pub(super) enum Condition {
    /// Nothing.
    None,
    /// The class of an image.
    Class(Labels),
    /// What a caption says.
    Text(Box<Reading>),
}

/// Which weights of a network that is trained.
#[derive(Debug, Clone, Copy)]
pub(super) enum Weights {
    /// Those of this iteration.
    Current,
    /// Their moving average.
    Averaged,
}

/// The sentence encoder in training.
pub(super) struct Reading {
    captions: Captions,
    tokenizer: Tokenizer,
    encoder: TextEncoder,
    average: TextEncoder,
    adam: Adam,
    lr: f64,
    /// Of the training images, those with captions.
    share: f64,
}

impl Condition {
    /// What the settings ask for, of an archive. Settings that are left open, such as the kind of
    /// the vocabulary, are filled in.
    ///
    /// # Errors
    /// If the archive lacks classes or captions.
    pub fn of(
        archive: &Arc<Archive>,
        settings: &mut StyleganSettings,
        seed: u64,
        device: &Device,
    ) -> Result<Self> {
        let Some(sentence) = &mut settings.network.sentence else {
            let labels = Labels::of(archive, settings.network.classes)?;
            return Ok(labels.map_or(Condition::None, Condition::Class));
        };
        let captions = Captions::of(archive)?;
        let tokenizer = captions.vocabulary(&mut sentence.tokenizer)?;
        let encoder = fresh(sentence, tokenizer.len(), seed, device);
        Ok(Condition::Text(Box::new(Reading {
            average: encoder.valid(),
            encoder: encoder.train(),
            adam: Adam::new(settings.adam.lazy(settings.r1_interval)),
            lr: settings.matching.lr * lazy_factor(settings.r1_interval),
            share: captions.images().len() as f64 / archive.indices_of(Split::Train).len() as f64,
            captions,
            tokenizer,
        })))
    }

    /// Share of the training images that have captions; `None` where none are read.
    pub fn said(&self) -> Option<f64> {
        self.reading().map(|reading| reading.share)
    }

    fn reading(&self) -> Option<&Reading> {
        match self {
            Condition::Text(reading) => Some(reading),
            _ => None,
        }
    }

    fn reading_mut(&mut self) -> Option<&mut Reading> {
        match self {
            Condition::Text(reading) => Some(reading),
            _ => None,
        }
    }

    /// The sentence encoder, where there is one.
    pub fn encoder(&self) -> Option<&TextEncoder> {
        self.reading().map(|reading| &reading.encoder)
    }

    /// Conditions for images of G or of its average, drawn as they occur in the training part and
    /// read by the encoder or its average: [count, condition], detached.
    ///
    /// # Errors
    /// If the tokenizer's rules cannot be applied.
    pub fn draw(
        &self,
        of: Weights,
        rng: &mut impl Rng,
        count: usize,
        device: &Device,
    ) -> Result<Option<Tensor<2>>> {
        Ok(match self {
            Condition::None => None,
            Condition::Class(labels) => Some(labels.draw(rng, count, device)),
            Condition::Text(reading) => {
                let tokens = reading.tokenizer.batch(&reading.captions.draw(count, rng))?;
                let encoder = match of {
                    Weights::Current => reading.encoder.valid(),
                    Weights::Averaged => reading.average.clone(),
                };
                Some(feature(&encoder, &tokens, device))
            }
        })
    }

    /// Conditions of the samples of these seeds, for the average of G: [N, condition].
    ///
    /// # Errors
    /// If the tokenizer's rules cannot be applied.
    pub fn of_seeds(&self, seeds: &[u64], device: &Device) -> Result<Option<Tensor<2>>> {
        Ok(match self {
            Condition::None => None,
            Condition::Class(labels) => Some(labels.of_seeds(seeds, device)),
            Condition::Text(reading) => {
                let sentences = Sentences::new(reading.average.clone(), reading.tokenizer.clone());
                Some(sentences.features(&reading.captions.of_seeds(seeds), device)?)
            }
        })
    }

    /// What goes with a batch of real images.
    ///
    /// # Errors
    /// If the tokenizer's rules cannot be applied.
    pub fn of_items(&self, items: &[Item], seed: u64, nimg: u64, device: &Device) -> Result<Given> {
        Ok(match self {
            Condition::None => Given::Nothing,
            Condition::Class(labels) => Given::Label(labels.of_items(items, device)),
            Condition::Text(reading) => {
                let images: Vec<usize> = items.iter().map(|item| item.index).collect();
                let stream = |purpose: &str| draws::stream(seed, purpose, nimg);
                let said: Vec<bool> =
                    images.iter().map(|&image| reading.captions.has(image)).collect();
                let own = reading.captions.of_images(&images, &mut stream("caption.real"));
                let other = reading.captions.of_others(&images, &mut stream("caption.mismatched"));
                Given::Captions {
                    own: reading.tokenizer.batch(&own)?,
                    other: reading.tokenizer.batch(&other)?,
                    said,
                }
            }
        })
    }

    /// Moves the sentence encoder, where there is one, against its share of D's gradients.
    pub fn step(&mut self, gradients: NamedGradients) {
        if let Some(reading) = self.reading_mut() {
            let lr = reading.lr;
            reading.encoder = reading.adam.step(reading.encoder.clone(), gradients, lr);
        }
    }

    /// Moves the average of the sentence encoder.
    pub fn average(&mut self, beta: f64) {
        if let Some(reading) = self.reading_mut() {
            reading.average = ema::update(reading.average.clone(), &reading.encoder, beta);
        }
    }

    /// See [`Adam::take_non_finite`].
    pub fn take_non_finite(&mut self) -> u64 {
        self.reading_mut().map_or(0, |reading| reading.adam.take_non_finite())
    }

    /// Takes the sentence encoder of a model where its vocabulary is the same: under another one its
    /// embeddings would be those of other words.
    ///
    /// # Errors
    /// Never for a vocabulary that was learnt or read.
    pub fn transfer(&mut self, model: &Model, counts: &mut Transferred) -> Result<()> {
        if let Some(reading) = self.reading_mut()
            && model.text(SENTENCE_VOCABULARY) == Some(reading.tokenizer.to_json()?.as_str())
        {
            let same = |name: &str| name.to_owned();
            let encoder = reading.encoder.clone();
            reading.encoder = transferred(encoder, model, S_EMA, [&same, &same], counts)?.train();
            reading.average = reading.encoder.valid();
        }
        Ok(())
    }

    /// Adds what is trained to a training state.
    pub fn collect(&self, file: &mut TensorFile) {
        if let Some(reading) = self.reading() {
            params::collect(&reading.encoder, S, file);
            params::collect(&reading.average, S_EMA, file);
            reading.adam.collect("adam_S", file);
        }
    }

    /// Takes it back.
    ///
    /// # Errors
    /// If the state belongs to other networks.
    pub fn restore(&mut self, state: &TensorFile, device: &Device) -> Result<()> {
        if let Some(reading) = self.reading_mut() {
            reading.encoder = params::restore(reading.encoder.clone(), S, state)?;
            reading.average = params::restore(reading.average.clone(), S_EMA, state)?;
            reading.adam.restore("adam_S", &reading.encoder, state, device)?;
        }
        Ok(())
    }

    /// Adds what drawing pictures needs to a model.
    ///
    /// # Errors
    /// If the vocabulary does not serialise.
    pub fn put(&self, model: &mut Model) -> Result<()> {
        if let Some(reading) = self.reading() {
            model.put(&reading.average, S_EMA);
            model.set_text(SENTENCE_VOCABULARY, reading.tokenizer.to_json()?);
        }
        Ok(())
    }
}

/// What goes with a batch of real images.
#[derive(Debug, Clone)]
pub(super) enum Given {
    /// Nothing.
    Nothing,
    /// One-hot classes [N, classes].
    Label(Tensor<2>),
    /// A caption of each, and one of another image; empty for images of which nothing is `said`.
    Captions { own: Tokens, other: Tokens, said: Vec<bool> },
}

impl Given {
    /// That of some of the images.
    pub fn part(&self, range: &Range<usize>) -> Self {
        match self {
            Given::Nothing => Given::Nothing,
            Given::Label(label) => Given::Label(rows(label, range)),
            Given::Captions { own, other, said } => Given::Captions {
                own: own.rows(range),
                other: other.rows(range),
                said: said[range.clone()].to_vec(),
            },
        }
    }

    /// Images of which something is said.
    pub fn pairs(&self) -> usize {
        match self {
            Given::Captions { said, .. } => said.iter().filter(|said| **said).count(),
            _ => 0,
        }
    }

    /// 1 for images of which something is said, 0 for the others: [N]; `None` where no image lacks
    /// what the others have.
    pub fn said(&self, device: &Device) -> Option<Tensor<1>> {
        let Given::Captions { said, .. } = self else { return None };
        if said.iter().all(|said| *said) {
            return None;
        }
        let ones: Vec<f32> = said.iter().map(|&said| f32::from(u8::from(said))).collect();
        let count = ones.len();
        Some(Tensor::from_data(TensorData::new(ones, [count]), device))
    }
}

/// D with what reads the captions of its images: what is regularised and trained together.
#[derive(Module, Debug)]
pub(super) struct Critic {
    d: Discriminator,
    encoder: Option<TextEncoder>,
}

impl Critic {
    pub fn new(d: &Discriminator, condition: &Condition) -> Self {
        Self { d: d.clone(), encoder: condition.encoder().cloned() }
    }

    /// Logits of images with what belongs to them.
    pub fn score(&self, image: Dual<4>, given: &Given) -> Dual<1> {
        let device = image.value.device();
        let looked = self.d.look(image);
        self.d.score(looked, self.matching(given, &device), given.said(&device))
    }

    /// Logits [N] of images with what belongs to them and, where there are captions, with those of
    /// others. The images are looked at once.
    pub fn compare(&self, image: Dual<4>, given: &Given) -> (Tensor<1>, Option<Tensor<1>>) {
        let device = image.value.device();
        let looked = self.d.look(image);
        let said = given.said(&device);
        let own = self.d.score(looked.clone(), self.matching(given, &device), said.clone()).value;
        let other = match (given, &self.encoder) {
            (Given::Captions { other, .. }, Some(encoder)) => {
                Some(self.d.score(looked, Some(feature(encoder, other, &device)), said).value)
            }
            _ => None,
        };
        (own, other)
    }

    /// The condition of images: [N, condition]. Differentiable in the sentence encoder.
    fn matching(&self, given: &Given, device: &Device) -> Option<Tensor<2>> {
        match (given, &self.encoder) {
            (Given::Label(label), _) => Some(label.clone()),
            (Given::Captions { own, .. }, Some(encoder)) => Some(feature(encoder, own, device)),
            _ => None,
        }
    }
}
