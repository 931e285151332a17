//! The training loop of stage 3 (paper §3.3), which aligns captions with the codes of their images.

use std::collections::HashMap;
use std::sync::Arc;

use burn::module::Module;
use burn::tensor::{Bool, Device, Tensor, TensorData};

use super::losses::InfoNce;
use super::section::{DIRECTIONS, STRENGTH, Stored, T, TEXT, VOCABULARY};
use super::settings::Reader;
use super::{TextEncoder, TextNetworkSettings, TextSettings, Tokenizer};
use crate::data::{Archive, Sampler, Split, spread};
use crate::draws;
use crate::error::Result;
use crate::language::captions::evaluable;
use crate::language::{Captions, Tokens};
use crate::metrics::retrieval::Retrieval;
use crate::model::{Model, Provenance};
use crate::nn::sums::total;
use crate::nn::{Adam, Init};
use crate::ranks::Ranks;
use crate::report::Metrics;
use crate::settings::Checked;
use crate::systems::cigan::inversion::codes::Codes;
use crate::systems::retrieval::{flat, retrieval, set_chance, set_retrieval};
use crate::tensorfile::TensorFile;
use crate::train::gathered::Gathered;
use crate::train::gradient_sum::GradientSum;
use crate::train::rounds::{check_rounds, rounds};
use crate::train::{Evaluation, Keep, Means, Parts, Trainer};

/// Prefix of the bag-of-words baseline in checkpoints.
const BAG: &str = "bag";
/// Maximum number of images in retrieval during training.
const IMAGES: usize = 1000;

/// Trainer of stage 3, which trains the text encoder T.
pub struct TextTrainer {
    settings: TextSettings,
    seed: u64,
    device: Device,
    archive: Arc<Archive>,
    captions: Captions,
    codes: Codes,
    base: Model,
    tokenizer: Tokenizer,
    /// Warnings about the captions.
    warnings: Vec<String>,
    sampler: Sampler,
    t: Learner,
    /// The bag-of-words baseline, which ignores the order of words and is trained the same way.
    bag: Option<Learner>,
    nimg: u64,
    means: Means,
    ranks: Ranks,
}

/// A text encoder and its optimiser.
struct Learner {
    /// Prefix of its tensors in checkpoints and models.
    prefix: &'static str,
    encoder: TextEncoder,
    adam: Adam,
}

impl Learner {
    /// Trains for one step on captions whose images have the codes w `[B, D]`. Returns the loss and
    /// ‖mean t − mean w‖, `[1]` each.
    ///
    /// The captions are encoded in rounds, and the loss compares all with all; see [`Gathered`].
    fn step(
        &mut self,
        tokens: &Tokens,
        w: &Tensor<2>,
        same: Option<Tensor<2, Bool>>,
        settings: &TextSettings,
        lr: f64,
        ranks: &Ranks,
    ) -> Result<[Tensor<1>; 2]> {
        let device = w.device();
        let encode = |(range, _)| {
            let t = flat(self.encoder.forward(&tokens.rows(&range), &device));
            (range, t)
        };
        let round = settings.captions_of_a_round();
        let own = rounds(ranks, settings.batch, round).map(encode).collect();
        let gathered = Gathered::new(ranks, own, &device)?;
        let t = gathered.rows();
        // Some variants of the loss leave directions orthogonal to all differences of the t free.
        let drift = total((t.clone().inner().mean_dim(0) - w.clone().mean_dim(0)).powi_scalar(2));
        let loss = InfoNce::from(settings).loss(w.clone(), t, same);
        let mut sum = GradientSum::among(ranks);
        gathered.backward(&loss.backward(), &self.encoder, &mut sum);
        let gradients = sum.finish(&self.encoder)?;
        self.encoder = self.adam.step(self.encoder.clone(), gradients, lr);
        Ok([loss.inner(), drift.sqrt()])
    }

    fn parts(&mut self, parts: &mut Parts, keep: Keep) -> Result<()> {
        parts.network(self.prefix, &mut self.encoder, keep)?;
        parts.optimiser(&format!("adam_{}", self.prefix), &mut self.adam, &self.encoder)
    }
}

impl TextTrainer {
    /// A new run on the codes of the archive's images. The vocabulary comes from the training
    /// split. `device` is without automatic differentiation.
    ///
    /// # Errors
    /// If there are no captions, or a setting is out of range.
    pub fn new(
        mut settings: TextSettings,
        seed: u64,
        archive: Arc<Archive>,
        codes: Codes,
        base: Model,
        device: &Device,
    ) -> Result<Self> {
        settings.check()?;
        let captions = Captions::of(&archive)?;
        let table = format!("{}.tokenizer", TEXT.name);
        let (tokenizer, warnings) = captions.vocabulary(&table, &mut settings.tokenizer)?;
        let w_dim = codes.select(&[0], device).dims()[2];
        let middle = codes.mean(captions.images(), device);
        let learner = |prefix, network: &TextNetworkSettings, purpose| {
            let init = &mut Init::new(seed, purpose, device);
            let (words, layers) = (tokenizer.len(), codes.layers());
            let encoder = TextEncoder::new(network, words, layers, w_dim, init);
            let encoder = encoder.starting_at(middle.clone()).train();
            Learner { prefix, encoder, adam: Adam::new(settings.adam) }
        };
        let bag = TextNetworkSettings { reader: Reader::Bag, ..settings.network.clone() };
        let needs_baseline = settings.baseline && settings.network.reader != Reader::Bag;
        Ok(Self {
            sampler: Sampler::new(captions.images().to_vec(), false, seed)?,
            captions,
            t: learner(T, &settings.network, "text_encoder"),
            bag: needs_baseline.then(|| learner(BAG, &bag, "text_baseline")),
            nimg: 0,
            means: Means::default(),
            ranks: Ranks::alone(),
            device: device.clone(),
            tokenizer,
            warnings,
            settings,
            seed,
            archive,
            codes,
            base,
        })
    }

    /// Shares every batch with other ranks.
    ///
    /// # Errors
    /// If the ranks cannot share the rounds evenly.
    pub fn among(mut self, ranks: Ranks) -> Result<Self> {
        let round = self.settings.captions_of_a_round();
        check_rounds(&ranks, "text", self.settings.batch, round)?;
        self.ranks = ranks;
        Ok(self)
    }

    /// Draws one random caption for each image of a batch.
    fn draw_captions(&self, indices: &[usize]) -> Vec<&str> {
        let mut rng = draws::stream(self.seed, "caption", self.nimg);
        self.captions.of_images(indices, &mut rng)
    }

    /// Mask `[B, B]` of different pairs of the batch that belong to the same image. `None` if
    /// masking is off or there are no such pairs.
    fn same_image(&self, indices: &[usize]) -> Option<Tensor<2, Bool>> {
        let mut seen: HashMap<usize, usize> = HashMap::new();
        indices.iter().for_each(|&i| *seen.entry(i).or_default() += 1);
        if !self.settings.mask_same_image || seen.values().all(|&count| count == 1) {
            return None;
        }
        let b = indices.len();
        let same: Vec<bool> =
            (0..b * b).map(|k| k / b != k % b && indices[k / b] == indices[k % b]).collect();
        Some(Tensor::from_data(TensorData::new(same, [b, b]), &self.device))
    }

    /// The held-out images for retrieval, if there are enough.
    fn held_out(&self) -> Option<Vec<usize>> {
        let all = evaluable(&self.archive, Split::Val);
        let held_out = spread(&all, IMAGES);
        (held_out.len() >= 2).then_some(held_out)
    }

    /// Retrieval in both directions among the held-out images.
    fn retrieval(&self, held_out: &[usize], learner: &Learner) -> Result<[Retrieval; 2]> {
        let codes = self.codes.select(held_out, &self.device);
        let encoder = learner.encoder.valid();
        retrieval(&self.archive, held_out, codes, |captions| {
            Ok(encoder.forward(&self.tokenizer.prompts(captions)?, &self.device))
        })
    }
}

impl Trainer for TextTrainer {
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
        let items = self.sampler.items(self.nimg, self.settings.batch);
        let indices: Vec<usize> = items.iter().map(|item| item.index).collect();
        let mut tokens = self.tokenizer.batch(&self.draw_captions(&indices))?;
        if self.settings.word_dropout > 0.0 {
            let mut rng = draws::stream(self.seed, "word_dropout", self.nimg);
            tokens = tokens.drop_tokens(self.settings.word_dropout, &mut rng);
        }
        let w = flat(self.codes.select(&indices, &self.device));
        let lr = self.settings.lr_at(self.nimg);
        let same = self.same_image(&indices);
        let [loss, drift] =
            self.t.step(&tokens, &w, same.clone(), &self.settings, lr, &self.ranks)?;
        self.means.add("loss/infonce", loss);
        self.means.add("mean_offset", drift);
        if let Some(bag) = &mut self.bag {
            let [loss, _] = bag.step(&tokens, &w, same, &self.settings, lr, &self.ranks)?;
            self.means.add("loss/infonce_bag", loss);
        }
        self.nimg += self.settings.batch as u64;
        Ok(())
    }

    fn metrics(&mut self) -> Result<Metrics> {
        let of_bag = self.bag.as_mut().map_or(0, |bag| bag.adam.take_non_finite());
        let non_finite = self.t.adam.take_non_finite() + of_bag;
        let mut metrics = self.means.take()?;
        metrics.set("lr", self.settings.lr_at(self.nimg));
        metrics.set("non_finite_gradients", non_finite as f64);
        Ok(metrics)
    }

    fn parts(&mut self, parts: &mut Parts) -> Result<()> {
        self.t.parts(parts, Keep::Both)?;
        if let Some(bag) = &mut self.bag {
            bag.parts(parts, Keep::Checkpoint)?;
        }
        parts.means(&mut self.means)?;
        parts.nimg(&mut self.nimg)
    }

    fn model(&mut self) -> Result<TensorFile> {
        let mut model = self.base.clone();
        self.parts(&mut Parts::exporting(model.file_mut()))?;
        // The strength and directions of the base belong to another text encoder.
        model.remove_text(STRENGTH);
        model.remove_tensor(DIRECTIONS);
        model.set_text(VOCABULARY, self.tokenizer.to_json()?);
        let provenance =
            Provenance::new(self.nimg, self.seed, self.archive.hash()?, &self.settings)?
                .of_images(self.archive.training_counts());
        let stored = Stored {
            network: self.settings.network.clone(),
            max_tokens: self.settings.tokenizer.max_tokens,
        };
        model.set(&TEXT, &stored, provenance)?;
        Ok(model.into_file())
    }

    fn evaluate(&mut self) -> Result<Option<Evaluation>> {
        let Some(held_out) = self.held_out() else { return Ok(None) };
        let found = self.retrieval(&held_out, &self.t)?;
        let mut metrics = Metrics::new();
        let total = set_retrieval(&mut metrics, "val", &found);
        if let Some(bag) = &self.bag {
            set_retrieval(&mut metrics, "bag", &self.retrieval(&held_out, bag)?);
        }
        set_chance(&mut metrics, found[0].candidates);
        Ok(Some(Evaluation { metrics, score: -total }))
    }
}
