//! The training loop of GAN-INT-CLS (Reed et al. 2016, Algorithm 1).

use std::sync::Arc;

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use rand::Rng;

use super::losses::{self, Judged, interpolated};
use super::section::{GAN_INT_CLS, R_D0, R_EMA};
use super::{Discriminator, GanIntClsSettings, Generator};
use crate::data::{Archive, Split};
use crate::draws;
use crate::error::Result;
use crate::language::Captions;
use crate::model::{Model, Provenance};
use crate::nn::params::NamedGradients;
use crate::nn::{Adam, Init, Statistics, ema};
use crate::ranks::Ranks;
use crate::report::Metrics;
use crate::settings::Checked;
use crate::systems::damsm::Damsm;
use crate::systems::gan::step_noise;
use crate::systems::text_gan::caption_batches::{BatchOptions, CaptionBatch, CaptionBatches};
use crate::systems::text_gan::caption_vectors::CaptionVectors;
use crate::systems::text_gan::drawing::{
    CaptionGenerator, SnapshotSampler, fakes, snapshot_inputs, with_fixed_draws,
};
use crate::systems::text_gan::{SentenceVectors, TrainedGenerator, TrainingImages};
use crate::tensorfile::TensorFile;
use crate::train::evaluator::Evaluator;
use crate::train::rounds::{BatchRounds, portion, rows};
use crate::train::trainer::reals;
use crate::train::{Evaluation, Keep, Kept, Means, Parts, Picture, Trainer};

/// Trainer of GAN-INT-CLS.
pub struct GanIntClsTrainer {
    settings: GanIntClsSettings,
    seed: u64,
    device: Device,
    archive: Arc<Archive>,
    batches: CaptionBatches,
    damsm: Damsm,
    base: Model,
    generator: TrainedGenerator<Generator>,
    d: Discriminator,
    adam_d: Adam,
    nimg: u64,
    means: Means,
    rounds: BatchRounds,
    evaluator: Option<Evaluator>,
    drawing: Kept<Generator>,
}

impl GanIntClsTrainer {
    /// A new run with captions read by `damsm`, whose sections `base` holds. `observe` receives the
    /// number of captions that were read. `device` is without automatic differentiation.
    ///
    /// # Errors
    /// If there are no captions, or a setting is out of range.
    pub fn new(
        settings: GanIntClsSettings,
        seed: u64,
        archive: Arc<Archive>,
        base: Model,
        damsm: Damsm,
        observe: &mut dyn FnMut(usize, usize),
        device: &Device,
    ) -> Result<Self> {
        settings.check()?;
        let captions = Captions::of(&archive)?;
        let sentences = SentenceVectors::new(&captions, &archive, &damsm, observe)?;
        let (network, size) = (&settings.network, sentences.size());
        let init = |name: &str| Init::new(seed, &format!("gan_int_cls.{name}"), device);
        let g = Generator::new(network, size, &mut init("generator"));
        let d = Discriminator::new(network, size, &mut init("discriminator"));
        let rounds = BatchRounds::new(settings.batch, settings.round);
        let options = BatchOptions {
            rounds: rounds.clone(),
            images: TrainingImages::Captioned,
            captions: settings.captions,
            mirror: settings.mirror,
            mismatched: settings.mismatched > 0.0,
        };
        Ok(Self {
            batches: CaptionBatches::new(&archive, sentences, options, seed, device)?,
            generator: TrainedGenerator::new(g, settings.adam),
            d: d.train(),
            adam_d: Adam::new(settings.adam),
            nimg: 0,
            means: Means::default(),
            rounds,
            evaluator: None,
            drawing: Kept::default(),
            device: device.clone(),
            settings,
            seed,
            archive,
            damsm,
            base,
        })
    }

    /// Evaluates the generator with `evaluator` at every snapshot; the score decides which model is
    /// the best.
    pub fn evaluated_by(mut self, evaluator: Option<Evaluator>) -> Self {
        self.evaluator = evaluator;
        self
    }

    /// Shares every batch with other ranks.
    ///
    /// # Errors
    /// If the ranks cannot share the rounds evenly.
    pub fn among(mut self, ranks: Ranks) -> Result<Self> {
        self.rounds = self.rounds.among(ranks, GAN_INT_CLS.name)?;
        self.batches = self.batches.among(&self.rounds);
        Ok(self)
    }

    fn stream(&self, purpose: &str) -> impl Rng + use<> {
        draws::stream(self.seed, purpose, self.nimg)
    }

    fn z(&self, purpose: &str, rows: usize) -> Tensor<2> {
        let shape = [rows, self.settings.network.z_dim];
        step_noise(self.seed, purpose, self.nimg, shape, &self.device)
    }

    /// One step of D. The batches of real, mismatched and generated images pass separately, because
    /// each is normalised by its own statistics.
    ///
    /// # Errors
    /// If a rank does not answer.
    fn step_d(&mut self, batch: &CaptionBatch, lr: f64) -> Result<()> {
        let all = self.z("baseline.z.d", self.settings.batch);
        let generator = self.generator.network().valid();
        let (mut gradients, mut values) = (self.rounds.gradients(), self.rounds.values());
        for round in &batch.rounds {
            let (z, captions) = (rows(&all, &round.rows), rows(&batch.captions, &round.rows));
            let fakes = generator.forward(z, captions.clone(), Statistics::Batch);
            let judge = |images: &Tensor<4>| self.d.forward(images.clone(), captions.clone());
            let judged = Judged {
                real: judge(&round.real),
                fake: judge(&fakes),
                mismatched: round.mismatched.as_ref().map(judge),
            };
            let mut log = |name, value| values.portion(name, value, round.share);
            log("score/real", judged.real.clone().inner().mean());
            log("score/fake", judged.fake.clone().inner().mean());
            if let Some(mismatched) = &judged.mismatched {
                log("score/mismatched", mismatched.clone().inner().mean());
            }
            let loss = losses::discriminator(judged, self.settings.mismatched);
            log("loss/D", loss.clone().inner());
            let loss = portion(loss, round.share);
            gradients.add(NamedGradients::of(&self.d, &loss.backward()));
        }
        values.finish(&mut self.means)?;
        let gradients = gradients.finish(&self.d)?;
        self.d = self.adam_d.step(self.d.clone(), gradients, lr);
        Ok(())
    }

    /// One step of G on the captions of the batch and, if they are used, means of two of them.
    ///
    /// # Errors
    /// If a rank does not answer.
    fn step_g(&mut self, captions: &Tensor<2>, lr: f64) -> Result<()> {
        let batch = self.settings.batch;
        let mut all = captions.clone();
        if self.settings.interpolated > 0.0 {
            let mut rng = self.stream("baseline.interpolation");
            let places = self.settings.interpolation.places(batch / 2, &mut rng);
            all = Tensor::cat(vec![all, interpolated(captions.clone(), &places)], 0);
        }
        let [count, _] = all.dims();
        let z = self.z("baseline.z.g", count);
        let network = self.generator.network();
        let (mut gradients, mut values) = (self.rounds.gradients(), self.rounds.values());
        for (range, share) in self.rounds.own() {
            // Each round has its share of the interpolated captions, which follow the others.
            let more = batch + range.start / 2..batch + range.end / 2;
            let of_round = |all: &Tensor<2>| match count > batch {
                true => Tensor::cat(vec![rows(all, &range), rows(all, &more)], 0),
                false => rows(all, &range),
            };
            let captions = of_round(&all);
            let images = network.forward(of_round(&z), captions.clone(), Statistics::Batch);
            let logits = self.d.valid().forward(images, captions);
            let loss = losses::generator(logits, range.len(), self.settings.interpolated);
            values.portion("loss/G", loss.clone().inner(), share);
            let loss = portion(loss, share);
            gradients.add(NamedGradients::of(network, &loss.backward()));
        }
        values.finish(&mut self.means)?;
        let gradients = gradients.finish(network)?;
        self.generator.step(gradients, lr);
        Ok(())
    }

    /// The generator that draws: the average of G with statistics over fixed draws. It is a copy,
    /// so training is not affected.
    fn drawing(&mut self) -> Generator {
        let (noise, sentences) = (self.generator.average().z_dim(), self.batches.vectors());
        let draws = |generator: &Generator, z: Tensor<2>, rng: &mut _, statistics: Statistics| {
            let captions = sentences.draw(z.dims()[0], rng, &self.device);
            generator.forward(z, captions, statistics);
        };
        self.drawing.at(self.nimg, || {
            with_fixed_draws(self.generator.average(), self.seed, noise, &self.device, draws)
        })
    }
}

impl Trainer for GanIntClsTrainer {
    fn device(&self) -> Device {
        self.device.clone()
    }

    fn nimg(&self) -> u64 {
        self.nimg
    }

    fn step(&mut self) -> Result<()> {
        let batch = self.batches.batch(self.nimg)?;
        let lr = self.settings.lr_at(self.nimg);
        self.step_d(&batch, lr)?;
        self.step_g(&batch.captions, lr)?;
        self.nimg += self.settings.batch as u64;
        let beta = ema::decay(self.settings.batch, self.settings.ema_kimg * 1000.0);
        self.generator.update_average(beta);
        Ok(())
    }

    fn metrics(&mut self) -> Result<Metrics> {
        let non_finite = self.generator.take_non_finite() + self.adam_d.take_non_finite();
        let mut metrics = self.means.take()?;
        metrics.set("lr", self.settings.lr_at(self.nimg));
        metrics.set("non_finite_gradients", non_finite as f64);
        Ok(metrics)
    }

    fn parts(&mut self, parts: &mut Parts) -> Result<()> {
        self.generator.parts(parts)?;
        parts.derived(R_EMA, || self.drawing());
        parts.network(R_D0, &mut self.d, Keep::Both)?;
        parts.optimiser("adam_R_D0", &mut self.adam_d, &self.d)?;
        parts.means(&mut self.means)?;
        parts.nimg(&mut self.nimg)
    }

    fn model(&mut self) -> Result<TensorFile> {
        let mut model = self.base.clone();
        self.parts(&mut Parts::exporting(model.file_mut()))?;
        self.batches.vectors().store(&mut model, &self.device);
        let provenance =
            Provenance::new(self.nimg, self.seed, self.archive.hash()?, &self.settings)?
                .of_images(self.archive.training_counts());
        model.set(&GAN_INT_CLS, &self.settings.network, provenance)?;
        Ok(model.into_file())
    }

    /// One row of images for each of a few captions, with the same seeds in every row.
    fn pictures(&mut self) -> Result<Vec<Picture>> {
        let generator = self.drawing();
        let (captions, damsm) = (self.batches.captions(), &self.damsm);
        let (noise, captions) =
            snapshot_inputs(&generator, captions, damsm, self.seed, &self.device)?;
        Ok(vec![fakes(generator.draw(noise, captions))])
    }

    fn reference_pictures(&mut self) -> Result<Vec<Picture>> {
        Ok(vec![reals(&self.archive, self.archive.indices_of(Split::Train))?])
    }

    fn evaluate(&mut self) -> Result<Option<Evaluation>> {
        if self.evaluator.is_none() {
            return Ok(None);
        }
        let generator = self.drawing();
        let Some(evaluator) = &self.evaluator else { return Ok(None) };
        let sampler = SnapshotSampler {
            generator: &generator,
            captions: self.batches.captions(),
            damsm: &self.damsm,
            device: &self.device,
        };
        evaluator(&sampler).map(Some)
    }
}
