//! The training loop of DAMSM.

use std::ops::Range;
use std::sync::Arc;

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use rand::Rng;

use super::codes::{ImageCodes, rows_of_words, words_of_rows};
use super::image::ImageTower;
use super::section::{DAMSM, DT, DV, Stored, VOCABULARY};
use super::settings::DamsmSettings;
use super::views::{View, names_a_side, seen};
use crate::data::{Archive, Batch, Loader, Sampler, Split, spread};
use crate::draws;
use crate::error::Result;
use crate::language::captions::evaluable;
use crate::language::settings::MAX_TOKENS;
use crate::language::words::mask;
use crate::language::{Captions, Tokenizer, Tokens, WordEncoder};
use crate::metrics::r_precision::{FOLDS, OTHERS, candidates, cosine, r_precision};
use crate::model::{Model, Provenance};
use crate::nn::contrast::{both_ways, unit};
use crate::nn::params::to_vec;
use crate::nn::{Adam, Init};
use crate::picture;
use crate::ranks::Ranks;
use crate::report::Metrics;
use crate::settings::Checked;
use crate::systems::retrieval::{retrieval, set_chance, set_retrieval};
use crate::tensorfile::TensorFile;
use crate::train::gathered::Gathered;
use crate::train::gradient_sum::GradientSum;
use crate::train::rounds::{check_rounds, own_images, rounds, rows};
use crate::train::trainer::reals;
use crate::train::{Evaluation, Keep, Means, Parts, Picture, Trainer};

/// Share of captioned training images beyond which the loss on views of images is not used.
const ENOUGH_CAPTIONS: f64 = 0.9;
/// Maximum number of images in retrieval during training.
const IMAGES: usize = 1000;
/// Images on the device at once.
const CHUNK: usize = 64;

/// Trainer of DAMSM's encoders.
pub struct DamsmTrainer {
    settings: DamsmSettings,
    seed: u64,
    device: Device,
    archive: Arc<Archive>,
    captions: Captions,
    tokenizer: Tokenizer,
    /// Warnings about the captions.
    warnings: Vec<String>,
    /// Captioned images.
    pairs: Loader,
    /// All training images; `None` if views are not used.
    views: Option<Loader>,
    text: WordEncoder,
    image: ImageTower,
    adam_text: Adam,
    adam_image: Adam,
    nimg: u64,
    means: Means,
    ranks: Ranks,
}

impl DamsmTrainer {
    /// A new run. The vocabulary comes from the training split. `device` is without automatic
    /// differentiation.
    ///
    /// # Errors
    /// If there are no captions, or a setting is out of range.
    pub fn new(
        mut settings: DamsmSettings,
        seed: u64,
        archive: Arc<Archive>,
        device: &Device,
    ) -> Result<Self> {
        settings.check()?;
        let captions = Captions::of(&archive)?;
        let table = format!("{}.tokenizer", DAMSM.name);
        let (tokenizer, warnings) = captions.vocabulary(&table, &mut settings.tokenizer)?;
        let training = archive.indices_of(Split::Train);
        let share = captions.images().len() as f64 / training.len() as f64;
        let loader = |indices: Vec<usize>, seed: u64| {
            let sampler = Sampler::new(indices, false, seed)?;
            Loader::new(archive.clone(), sampler, settings.batch)
        };
        let uses_views = settings.view_weight > 0.0 && share < ENOUGH_CAPTIONS;
        let network = &settings.network;
        let text = WordEncoder::new(
            tokenizer.len(),
            network.embedding,
            network.hidden,
            &mut Init::new(seed, "damsm.text", device),
        );
        let image = ImageTower::new(network, &mut Init::new(seed, "damsm.image", device));
        Ok(Self {
            pairs: loader(captions.images().to_vec(), seed)?,
            views: if uses_views { Some(loader(training, seed)?) } else { None },
            captions,
            text: text.train(),
            image: image.train(),
            adam_text: Adam::new(settings.adam),
            adam_image: Adam::new(settings.adam),
            nimg: 0,
            means: Means::default(),
            ranks: Ranks::alone(),
            device: device.clone(),
            tokenizer,
            warnings,
            settings,
            seed,
            archive,
        })
    }

    /// Shares every batch with other ranks.
    ///
    /// # Errors
    /// If the ranks cannot share the rounds evenly.
    pub fn among(mut self, ranks: Ranks) -> Result<Self> {
        let (batch, round) = (self.settings.batch, self.settings.pairs_of_a_round());
        check_rounds(&ranks, DAMSM.name, batch, round)?;
        let part = own_images(&ranks, batch, round);
        self.pairs = self.pairs.of_part(part.clone());
        self.views = self.views.map(|views| views.of_part(part));
        self.ranks = ranks;
        Ok(self)
    }

    fn stream(&self, purpose: &str) -> impl Rng + use<> {
        draws::stream(self.seed, purpose, self.nimg)
    }

    /// One caption of each image of a batch, as text and as tokens with words dropped.
    fn draw_captions(&self, batch: &Batch) -> Result<(Vec<&str>, Tokens)> {
        let indices: Vec<usize> = batch.items.iter().map(|item| item.index).collect();
        let captions = self.captions.of_images(&indices, &mut self.stream("damsm.caption"));
        let mut rng = self.stream("damsm.words");
        // Random words of long captions are kept, not always the first ones.
        let mut tokens = self
            .tokenizer
            .with_max_tokens(MAX_TOKENS)
            .batch(&captions)?
            .thinned(self.settings.tokenizer.max_tokens, &mut rng);
        if self.settings.word_dropout > 0.0 {
            tokens = tokens.drop_tokens(self.settings.word_dropout, &mut rng);
        }
        Ok((captions, tokens))
    }

    /// Factors of the embeddings `[T, N, embedding]`: 0 or 1/(1 − p).
    fn dropout(&self, tokens: &Tokens) -> Option<Tensor<3>> {
        let p = self.settings.embedding_dropout;
        if p == 0.0 {
            return None;
        }
        let mut rng = self.stream("damsm.dropout");
        let shape = [tokens.length, tokens.lengths.len(), self.text.embedding_size()];
        let kept = (1.0 / (1.0 - p)) as f32;
        let draw = |_| if rng.random::<f32>() < p as f32 { 0.0 } else { kept };
        let values: Vec<f32> = (0..shape.iter().product()).map(draw).collect();
        Some(Tensor::from_data(TensorData::new(values, shape), &self.device))
    }

    /// This rank's rounds of a batch: `encode` receives the rows of each, and its images.
    fn rounds(
        &self,
        batch: &Batch,
        encode: impl Fn(&Range<usize>, Tensor<4>) -> Tensor<2>,
    ) -> Result<Gathered> {
        let (side, first) = (self.archive.resolution(), batch.part.start);
        let images = picture::to_tensor(&batch.pixels, side, &self.device);
        let of_round = |(range, _): (Range<usize>, f64)| {
            let own = range.start - first..range.end - first;
            let values = encode(&range, rows(&images, &own));
            (range, values)
        };
        let round = self.settings.pairs_of_a_round();
        let rounds = rounds(&self.ranks, self.settings.batch, round).map(of_round).collect();
        Gathered::new(&self.ranks, rounds, &self.device)
    }

    /// The codes of two views of each of a batch of images: `[B, 2 · size]`.
    fn views(&self, batch: &Batch) -> Result<Gathered> {
        let mut rng = self.stream("damsm.views");
        let mut draw = || -> Vec<View> {
            let view = |_| View::draw(self.settings.view_crop, self.settings.mirror, &mut rng);
            (0..batch.len()).map(view).collect()
        };
        let views = [draw(), draw()];
        self.rounds(batch, |range, images| {
            let codes =
                |views: &Vec<View>| self.image.global(seen(images.clone(), &views[range.clone()]));
            Tensor::cat(views.iter().map(codes).collect(), 1)
        })
    }

    /// The contrastive loss between two views of each of a batch of images.
    fn view_loss(&self, views: &Gathered) -> Tensor<1> {
        let size = self.settings.network.size();
        let [first, second] = [0, size].map(|at| unit(views.rows().narrow(1, at, size)));
        let scores = first.matmul(second.transpose()) / self.settings.view_temperature;
        both_ways(scores) * 0.5
    }

    /// The codes of a batch of captions.
    fn texts(&self, tokens: &Tokens) -> Result<Gathered> {
        let keep = self.dropout(tokens);
        let read = |(range, _): (Range<usize>, f64)| {
            let keep = keep.clone().map(|keep| keep.narrow(1, range.start, range.len()));
            let words = self.text.read(&tokens.rows(&range), keep, &self.device);
            (range, rows_of_words(&words))
        };
        let round = self.settings.pairs_of_a_round();
        let rounds = rounds(&self.ranks, self.settings.batch, round).map(read).collect();
        Gathered::new(&self.ranks, rounds, &self.device)
    }

    /// Held-out images for retrieval, if there are enough.
    fn held_out(&self) -> Option<Vec<usize>> {
        let held_out = spread(&evaluable(&self.archive, Split::Val), IMAGES);
        (held_out.len() >= 2).then_some(held_out)
    }

    /// Unit vectors of images of the archive: `[N, size]`.
    fn codes(&self, indices: &[usize]) -> Result<Tensor<2>> {
        let image = self.image.valid();
        let part = |chunk: &[usize]| {
            let pixels = self.archive.pixels(chunk)?;
            let images = picture::to_tensor(&pixels, self.archive.resolution(), &self.device);
            Ok(unit(image.global(images)))
        };
        Ok(Tensor::cat(indices.chunks(CHUNK).map(part).collect::<Result<_>>()?, 0))
    }

    /// How often an image is nearest to its own first caption among those of other classes; `None`
    /// if there are too few held-out images.
    fn r_precision(
        &self,
        held_out: &[usize],
        images: &Tensor<2>,
        text: &WordEncoder,
    ) -> Result<Option<f64>> {
        let records = || held_out.iter().map(|&i| &self.archive.images()[i]);
        let class = |(at, label): (usize, Option<u32>)| match label {
            Some(label) => u64::from(label),
            None => (1 << 32) + at as u64,
        };
        let classes: Vec<u64> = records().map(|image| image.label).enumerate().map(class).collect();
        let own: Vec<usize> = (0..held_out.len()).collect();
        let Ok(candidates) = candidates(&own, &classes, OTHERS, 0) else { return Ok(None) };
        let captions: Vec<&str> = records().map(|image| image.captions[0].as_str()).collect();
        let tokens = self.tokenizer.prompts(&captions)?;
        let texts = to_vec(unit(text.read(&tokens, None, &self.device).sentence));
        let (images, size) = (to_vec(images.clone()), self.settings.network.size());
        let row = |values: &[f32], i: usize| values[i * size..(i + 1) * size].to_vec();
        let similarity =
            |query: usize, caption: usize| cosine(&row(&images, query), &row(&texts, caption));
        Ok(Some(r_precision(&candidates, FOLDS, similarity)?.mean))
    }
}

impl Trainer for DamsmTrainer {
    fn warnings(&self) -> Vec<String> {
        self.warnings.clone()
    }

    fn device(&self) -> Device {
        self.device.clone()
    }

    fn nimg(&self) -> u64 {
        self.nimg
    }

    fn step(&mut self) -> Result<()> {
        let batch = self.pairs.batch(self.nimg)?;
        let (captions, tokens) = self.draw_captions(&batch)?;
        let mut rng = self.stream("damsm.crop");
        let views: Vec<View> = captions
            .iter()
            .map(|caption| {
                let mirror = self.settings.mirror && !names_a_side(caption);
                View::draw(self.settings.crop, mirror, &mut rng)
            })
            .collect();
        let images = self.rounds(&batch, |range, images| {
            self.image.forward(seen(images, &views[range.clone()])).rows()
        })?;
        let texts = self.texts(&tokens)?;
        let indices: Vec<usize> = batch.items.iter().map(|item| item.index).collect();
        let labels: Vec<Option<u32>> = batch.labels().collect();
        let [words, sentences] = self.settings.loss.losses(
            &words_of_rows(texts.rows(), mask(&tokens, &self.device)),
            &ImageCodes::of_rows(images.rows(), self.settings.network.size()),
            self.settings.loss.same(&indices, &labels, &self.device),
        );
        self.means.add("loss/words", words.clone().inner());
        self.means.add("loss/sentences", sentences.clone().inner());
        let gradients = (words + sentences).backward();
        let mut of_text = GradientSum::among(&self.ranks);
        let mut of_image = GradientSum::among(&self.ranks);
        texts.backward(&gradients, &self.text, &mut of_text);
        images.backward(&gradients, &self.image, &mut of_image);
        if let Some(loader) = &mut self.views {
            let batch = loader.batch(self.nimg)?;
            let views = self.views(&batch)?;
            let loss = self.view_loss(&views);
            self.means.add("loss/views", loss.clone().inner());
            let gradients = (loss * self.settings.view_weight).backward();
            of_image.next_pass();
            views.backward(&gradients, &self.image, &mut of_image);
        }
        let lr = self.settings.lr_at(self.nimg);
        let of_text = of_text.finish(&self.text)?.clipped(self.settings.clip);
        let of_image = of_image.finish(&self.image)?;
        self.text = self.adam_text.step(self.text.clone(), of_text, lr);
        self.image = self.adam_image.step(self.image.clone(), of_image, lr);
        self.nimg += self.settings.batch as u64;
        Ok(())
    }

    fn metrics(&mut self) -> Result<Metrics> {
        let non_finite = self.adam_text.take_non_finite() + self.adam_image.take_non_finite();
        let mut metrics = self.means.take()?;
        metrics.set("lr", self.settings.lr_at(self.nimg));
        metrics.set("non_finite_gradients", non_finite as f64);
        Ok(metrics)
    }

    fn parts(&mut self, parts: &mut Parts) -> Result<()> {
        parts.network(DT, &mut self.text, Keep::Both)?;
        parts.network(DV, &mut self.image, Keep::Both)?;
        parts.optimiser("adam_DT", &mut self.adam_text, &self.text)?;
        parts.optimiser("adam_DV", &mut self.adam_image, &self.image)?;
        parts.means(&mut self.means)?;
        parts.nimg(&mut self.nimg)
    }

    fn model(&mut self) -> Result<TensorFile> {
        let mut model = Model::new();
        self.parts(&mut Parts::exporting(model.file_mut()))?;
        model.set_text(VOCABULARY, self.tokenizer.to_json()?);
        let provenance =
            Provenance::new(self.nimg, self.seed, self.archive.hash()?, &self.settings)?
                .of_images(self.archive.training_counts());
        let stored = Stored {
            network: self.settings.network.clone(),
            max_tokens: self.settings.tokenizer.max_tokens,
        };
        model.set(&DAMSM, &stored, provenance)?;
        Ok(model.into_file())
    }

    fn reference_pictures(&mut self) -> Result<Vec<Picture>> {
        Ok(vec![reals(&self.archive, self.captions.images().iter().copied())?])
    }

    fn evaluate(&mut self) -> Result<Option<Evaluation>> {
        let Some(held_out) = self.held_out() else { return Ok(None) };
        let images = self.codes(&held_out)?;
        let text = self.text.valid();
        let [n, size] = images.dims();
        let codes = images.clone().reshape([n, 1, size]);
        let found = retrieval(&self.archive, &held_out, codes, |captions| {
            let tokens = self.tokenizer.prompts(captions)?;
            let sentences = unit(text.read(&tokens, None, &self.device).sentence);
            Ok(sentences.reshape([captions.len(), 1, size]))
        })?;
        let mut metrics = Metrics::new();
        set_retrieval(&mut metrics, "val", &found);
        if let Some(precision) = self.r_precision(&held_out, &images, &text)? {
            metrics.set("val/r_precision", precision);
        }
        set_chance(&mut metrics, n);
        // The mean of both directions at 10, the least noisy of the recalls.
        let score = -(found[0].recall[2] + found[1].recall[2]) / 2.0;
        Ok(Some(Evaluation { metrics, score }))
    }
}
