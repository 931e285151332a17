//! The training loop of the captioner: the cross-entropy of captions, word by word.

use std::convert::Infallible;
use std::sync::Arc;

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use rand::Rng;

use super::section::{C, CAPTIONER};
use super::{Captioner, CaptionerSettings};
use crate::data::{Archive, Loader, Sampler, Split, spread};
use crate::draws;
use crate::error::{Error, Result};
use crate::language::captions::evaluable;
use crate::language::settings::MAX_TOKENS;
use crate::language::{Captions, Tokenizer, Tokens};
use crate::model::{Model, Provenance};
use crate::nn::batch_norm::with_standing_statistics;
use crate::nn::params::{NamedGradients, to_vec};
use crate::nn::{Adam, Init, Statistics};
use crate::picture;
use crate::ranks::Ranks;
use crate::report::Metrics;
use crate::settings::Checked;
use crate::systems::damsm::section::{load_image, load_vocabulary, network};
use crate::systems::damsm::views::{View, names_a_side, seen};
use crate::tensorfile::TensorFile;
use crate::train::rounds::{BatchRounds, portion, rows};
use crate::train::trainer::reals;
use crate::train::{Evaluation, Keep, Kept, Means, Parts, Picture, Trainer};

/// Maximum number of images of the evaluation during training.
const IMAGES: usize = 1000;
/// Images of the evaluation on the device at once.
const CHUNK: usize = 64;
/// Passes over which the statistics for use are measured, and images of each.
const STANDING: (usize, usize) = (32, 64);

/// Trainer of the captioner.
pub struct CaptionerTrainer {
    settings: CaptionerSettings,
    seed: u64,
    device: Device,
    archive: Arc<Archive>,
    captions: Captions,
    loader: Loader,
    tokenizer: Tokenizer,
    base: Model,
    network: Captioner,
    adam: Adam,
    nimg: u64,
    means: Means,
    rounds: BatchRounds,
    /// The captioner with standing statistics.
    measured: Kept<Captioner>,
}

impl CaptionerTrainer {
    /// A new run that extends `base`, a model with DAMSM. `device` is without automatic
    /// differentiation.
    ///
    /// # Errors
    /// If there are no captions, a setting is out of range, or the base lacks an image encoder.
    pub fn new(
        settings: CaptionerSettings,
        seed: u64,
        archive: Arc<Archive>,
        base: Model,
        device: &Device,
    ) -> Result<Self> {
        settings.check()?;
        let captions = Captions::of(&archive)?;
        let tokenizer = load_vocabulary(&base)?;
        let init = &mut Init::new(seed, "captioner", device);
        let mut captioner =
            Captioner::new(&settings.network, &network(&base)?, tokenizer.len(), init);
        if settings.from_damsm {
            captioner.image = load_image(&base, device)?.ok_or_else(|| no_image_encoder(&base))?;
        }
        let sampler = Sampler::new(captions.images().to_vec(), false, seed)?;
        Ok(Self {
            loader: Loader::new(archive.clone(), sampler, settings.batch)?,
            network: captioner.train(),
            adam: Adam::new(settings.adam),
            nimg: 0,
            means: Means::default(),
            rounds: BatchRounds::new(settings.batch, settings.round),
            measured: Kept::default(),
            device: device.clone(),
            captions,
            tokenizer,
            base,
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
        self.rounds = self.rounds.among(ranks, CAPTIONER.name)?;
        self.loader = self.loader.of_part(self.rounds.own_images());
        Ok(self)
    }

    fn stream(&self, purpose: &str) -> impl Rng + use<> {
        draws::stream(self.seed, purpose, self.nimg)
    }

    /// Captions as tokens, of long ones random words in their order.
    fn tokens(&self, captions: &[&str], rng: &mut impl Rng) -> Result<Tokens> {
        let all = self.tokenizer.with_max_tokens(MAX_TOKENS).batch(captions)?;
        Ok(all.thinned(self.tokenizer.max_tokens(), rng))
    }

    /// The captioner with statistics over training images at equal distances. It is a copy, so
    /// training is not affected.
    fn measured(&mut self) -> Result<Captioner> {
        if let Some(captioner) = self.measured.kept(self.nimg) {
            return Ok(captioner);
        }
        let (passes, images) = STANDING;
        let chosen = spread(self.captions.images(), passes * images);
        let batches: Vec<Tensor<4>> =
            chosen.chunks(images).map(|chunk| self.images(chunk)).collect::<Result<_>>()?;
        let measured = with_standing_statistics(&self.network.valid(), |network, statistics| {
            for batch in batches {
                network.encode(batch, statistics);
            }
            Ok::<(), Infallible>(())
        });
        let captioner = match measured {
            Ok(captioner) => captioner,
            Err(never) => match never {},
        };
        Ok(self.measured.keep(self.nimg, captioner))
    }

    fn images(&self, indices: &[usize]) -> Result<Tensor<4>> {
        let pixels = self.archive.pixels(indices)?;
        Ok(picture::to_tensor(&pixels, self.archive.resolution(), &self.device))
    }
}

/// The error of a model whose image encoder was removed.
fn no_image_encoder(base: &Model) -> Error {
    Error::user(format!("{}: contains no image encoder", base.name())).hint(
        "use the full model, or --set captioner.from_damsm=false to start with random weights",
    )
}

impl Trainer for CaptionerTrainer {
    fn device(&self) -> Device {
        self.device.clone()
    }

    fn nimg(&self) -> u64 {
        self.nimg
    }

    fn step(&mut self) -> Result<()> {
        let batch = self.loader.batch(self.nimg)?;
        let indices: Vec<usize> = batch.items.iter().map(|item| item.index).collect();
        let captions = self.captions.of_images(&indices, &mut self.stream("captioner.caption"));
        let tokens = self.tokens(&captions, &mut self.stream("captioner.words"))?;
        let mut rng = self.stream("captioner.crop");
        let view = |caption: &&str| {
            let mirror = self.settings.mirror && !names_a_side(caption);
            View::draw(self.settings.crop, mirror, &mut rng)
        };
        let views: Vec<View> = captions.iter().map(view).collect();
        let images = picture::to_tensor(&batch.pixels, self.archive.resolution(), &self.device);
        let (mut gradients, mut values) = (self.rounds.gradients(), self.rounds.values());
        for (range, _) in self.rounds.own() {
            let own = range.start - batch.part.start..range.end - batch.part.start;
            let images = seen(rows(&images, &own), &views[range.clone()]);
            let vectors = self.network.encode(images, Statistics::Batch);
            let loss = self.network.loss(vectors, &tokens.rows(&range));
            let share = Captioner::share(&tokens, &range);
            values.portion("loss/caption", loss.clone().inner(), share);
            let loss = portion(loss, share);
            gradients.add(NamedGradients::of(&self.network, &loss.backward()));
        }
        values.finish(&mut self.means)?;
        let gradients = gradients.finish(&self.network)?;
        self.network = self.adam.step(self.network.clone(), gradients, self.settings.lr);
        self.nimg += self.settings.batch as u64;
        Ok(())
    }

    fn metrics(&mut self) -> Result<Metrics> {
        let non_finite = self.adam.take_non_finite();
        let mut metrics = self.means.take()?;
        metrics.set("non_finite_gradients", non_finite as f64);
        Ok(metrics)
    }

    fn parts(&mut self, parts: &mut Parts) -> Result<()> {
        parts.network(C, &mut self.network, Keep::Checkpoint)?;
        parts.optimiser("adam_C", &mut self.adam, &self.network)?;
        parts.means(&mut self.means)?;
        parts.nimg(&mut self.nimg)
    }

    fn model(&mut self) -> Result<TensorFile> {
        let mut model = self.base.clone();
        let measured = self.measured()?;
        model.put(&measured, C);
        let provenance =
            Provenance::new(self.nimg, self.seed, self.archive.hash()?, &self.settings)?
                .of_images(self.archive.training_counts());
        model.set(&CAPTIONER, &self.settings.network, provenance)?;
        Ok(model.into_file())
    }

    fn reference_pictures(&mut self) -> Result<Vec<Picture>> {
        Ok(vec![reals(&self.archive, self.captions.images().iter().copied())?])
    }

    /// The cross-entropy of the first captions of held-out images.
    fn evaluate(&mut self) -> Result<Option<Evaluation>> {
        let held_out = spread(&evaluable(&self.archive, Split::Val), IMAGES);
        if held_out.is_empty() {
            return Ok(None);
        }
        let captioner = self.measured()?;
        let (mut sum, mut predicted) = (0.0, 0);
        for chunk in held_out.chunks(CHUNK) {
            let captions: Vec<&str> =
                chunk.iter().map(|&i| self.archive.images()[i].captions[0].as_str()).collect();
            let tokens = self.tokenizer.batch(&captions)?;
            let vectors = captioner.encode(self.images(chunk)?, Statistics::Standing);
            let likelihoods = to_vec(captioner.log_likelihood(vectors, &tokens));
            sum -= likelihoods.iter().map(|v| f64::from(*v)).sum::<f64>();
            predicted += tokens.lengths.iter().map(|length| length + 1).sum::<usize>();
        }
        let mut metrics = Metrics::new();
        let score = sum / predicted as f64;
        metrics.set("val/caption", score);
        Ok(Some(Evaluation { metrics, score }))
    }
}
