//! The training loop of StackGAN++ (Zhang et al. 2019): the discriminators one after the other, then
//! the generator, on the same generated images.

mod steps;

use std::sync::Arc;

use burn::tensor::{Device, Tensor};

use super::drawing::DrawingGenerator;
use super::section::STACKGAN;
use super::unconditional::SeedSampler;
use super::{Generator, StackganSettings};
use crate::data::{Archive, Split};
use crate::error::Result;
use crate::model::{Model, Provenance};
use crate::nn::{Init, Statistics};
use crate::ranks::Ranks;
use crate::report::Metrics;
use crate::settings::Checked;
use crate::systems::damsm::Damsm;
use crate::systems::gan::latents;
use crate::systems::text_gan::caption_batches::{BatchOptions, CaptionBatches, ImageBatches};
use crate::systems::text_gan::caption_vectors::CaptionVectors;
use crate::systems::text_gan::critics::Critics;
use crate::systems::text_gan::drawing::{
    COLUMNS, CaptionGenerator, R_EMA, SnapshotSampler, fakes, scales, snapshot_inputs,
    with_fixed_draws,
};
use crate::systems::text_gan::{SentenceVectors, TrainedGenerator};
use crate::tensorfile::TensorFile;
use crate::train::evaluator::Evaluator;
use crate::train::rounds::BatchRounds;
use crate::train::trainer::reals;
use crate::train::{Evaluation, Kept, Means, Parts, Picture, Trainer};

/// Rows of samples in the picture of a snapshot without captions.
const ROWS: usize = 4;

/// The frozen encoder of captions of a run.
pub struct CaptionEncoder {
    /// The model that holds it.
    pub base: Model,
    /// The encoder.
    pub damsm: Damsm,
}

/// Trainer of StackGAN++.
pub struct StackganTrainer {
    settings: StackganSettings,
    seed: u64,
    device: Device,
    archive: Arc<Archive>,
    source: Source,
    generator: TrainedGenerator<Generator>,
    critics: Critics,
    nimg: u64,
    means: Means,
    rounds: BatchRounds,
    evaluator: Option<Evaluator>,
    drawing: Kept<DrawingGenerator>,
}

/// Where batches come from.
enum Source {
    /// Training without captions.
    Images(ImageBatches),
    /// Training with captions.
    Captions(Box<Captioned>),
}

struct Captioned {
    batches: CaptionBatches,
    encoder: CaptionEncoder,
}

impl StackganTrainer {
    /// A new run. `encoder` reads the captions, unless the networks are unconditional. `observe`
    /// receives the number of captions that were read. `device` is without automatic
    /// differentiation.
    ///
    /// # Errors
    /// If there are no captions, or a setting is out of range.
    pub fn new(
        settings: StackganSettings,
        seed: u64,
        archive: Arc<Archive>,
        encoder: Option<CaptionEncoder>,
        observe: &mut dyn FnMut(usize, usize),
        device: &Device,
    ) -> Result<Self> {
        settings.check()?;
        let (network, mirror) = (&settings.network, settings.mirror);
        let rounds = BatchRounds::new(settings.batch, settings.round);
        let (source, sentence) = match encoder {
            None => {
                let images = ImageBatches::new(&archive, rounds.clone(), mirror, seed, device)?;
                (Source::Images(images), 0)
            }
            Some(encoder) => {
                let captions = crate::language::Captions::of(&archive)?;
                let sentences = SentenceVectors::new(&captions, &archive, &encoder.damsm, observe)?;
                let options = BatchOptions {
                    rounds: rounds.clone(),
                    images: settings.images,
                    captions: 1,
                    mirror,
                    mismatched: true,
                };
                let size = sentences.size();
                let batches = CaptionBatches::new(&archive, sentences, options, seed, device)?;
                (Source::Captions(Box::new(Captioned { batches, encoder })), size)
            }
        };
        let init = |name: &str| Init::new(seed, &format!("stackgan_v2.{name}"), device);
        let g = Generator::new(network, sentence, &mut init("generator"));
        let critic = |index| init(&format!("discriminator{index}"));
        let critics = Critics::new(&network.discriminators(), settings.adam, critic);
        Ok(Self {
            generator: TrainedGenerator::new(g, settings.adam),
            critics,
            nimg: 0,
            means: Means::default(),
            rounds,
            evaluator: None,
            drawing: Kept::default(),
            device: device.clone(),
            settings,
            seed,
            archive,
            source,
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
        self.rounds = self.rounds.among(ranks, STACKGAN.name)?;
        self.source = match self.source {
            Source::Images(images) => Source::Images(images.among(&self.rounds)),
            Source::Captions(captioned) => {
                let Captioned { batches, encoder } = *captioned;
                let batches = batches.among(&self.rounds);
                Source::Captions(Box::new(Captioned { batches, encoder }))
            }
        };
        Ok(self)
    }

    /// The generator that draws: the average of G with statistics over fixed draws. It is a copy,
    /// so training is not affected.
    fn drawing(&mut self) -> DrawingGenerator {
        let network = &self.settings.network;
        let draws = |g: &Generator, noise: Tensor<2>, rng: &mut _, statistics: Statistics| {
            let captions = match &self.source {
                Source::Images(_) => None,
                Source::Captions(captioned) => {
                    let sentences = captioned.batches.vectors();
                    Some(sentences.draw(noise.dims()[0], rng, &self.device))
                }
            };
            let (z, condition) = g.inputs(noise, captions);
            g.forward(z, condition, statistics);
        };
        let noise = network.input_size();
        self.drawing.at(self.nimg, || {
            let generator =
                with_fixed_draws(self.generator.average(), self.seed, noise, &self.device, draws);
            DrawingGenerator { generator, network: network.clone() }
        })
    }

    /// z and conditions of the picture of a snapshot.
    fn snapshot_codes(&self, drawing: &DrawingGenerator) -> Result<(Tensor<2>, Tensor<2>)> {
        let (noise, captions) = match &self.source {
            Source::Images(_) => {
                let seeds: Vec<u64> = (0..(ROWS * COLUMNS) as u64).collect();
                (latents(&seeds, None, drawing.noise_size(), &self.device), None)
            }
            Source::Captions(captioned) => {
                let (captions, damsm) = (captioned.batches.captions(), &captioned.encoder.damsm);
                let (noise, captions) =
                    snapshot_inputs(drawing, captions, damsm, self.seed, &self.device)?;
                (noise, Some(captions))
            }
        };
        Ok(drawing.generator.inputs(noise, captions))
    }
}

impl Trainer for StackganTrainer {
    fn device(&self) -> Device {
        self.device.clone()
    }

    fn nimg(&self) -> u64 {
        self.nimg
    }

    fn step(&mut self) -> Result<()> {
        let rounds = self.batch()?;
        for index in 0..self.critics.len() {
            self.step_d(index, &rounds)?;
        }
        self.step_g(rounds)?;
        let beta = self.settings.ema_beta(self.nimg);
        self.generator.update_average(beta);
        self.nimg += self.settings.batch as u64;
        Ok(())
    }

    fn metrics(&mut self) -> Result<Metrics> {
        let non_finite = self.generator.take_non_finite() + self.critics.take_non_finite();
        let mut metrics = self.means.take()?;
        metrics.set("non_finite_gradients", non_finite as f64);
        Ok(metrics)
    }

    fn parts(&mut self, parts: &mut Parts) -> Result<()> {
        self.generator.parts(parts)?;
        parts.derived(R_EMA, || self.drawing().generator);
        self.critics.parts(parts)?;
        parts.means(&mut self.means)?;
        parts.nimg(&mut self.nimg)
    }

    fn model(&mut self) -> Result<TensorFile> {
        let mut model = match &self.source {
            Source::Images(_) => Model::new(),
            Source::Captions(captioned) => captioned.encoder.base.clone(),
        };
        self.parts(&mut Parts::exporting(model.file_mut()))?;
        if let Source::Captions(captioned) = &self.source {
            captioned.batches.vectors().store(&mut model, &self.device);
        }
        let provenance =
            Provenance::new(self.nimg, self.seed, self.archive.hash()?, &self.settings)?
                .of_images(self.archive.training_counts());
        model.set(&STACKGAN, &self.settings.network, provenance)?;
        Ok(model.into_file())
    }

    /// `fakes`: one row of images for each of a few captions, with the same seeds in every row.
    /// `scales`: one row for each size of the images of the first caption.
    fn pictures(&mut self) -> Result<Vec<Picture>> {
        let drawing = self.drawing();
        let (z, condition) = self.snapshot_codes(&drawing)?;
        let sides = drawing.sizes();
        let drawn = |rows: usize, size: usize| {
            let (z, condition) =
                (z.clone().narrow(0, 0, rows), condition.clone().narrow(0, 0, rows));
            drawing.image(z, condition, size)
        };
        let mut pictures = vec![fakes(drawn(z.dims()[0], sides.len() - 1))];
        pictures.extend(scales(&sides, |size| drawn(COLUMNS, size)));
        Ok(pictures)
    }

    fn reference_pictures(&mut self) -> Result<Vec<Picture>> {
        Ok(vec![reals(&self.archive, self.archive.indices_of(Split::Train))?])
    }

    fn evaluate(&mut self) -> Result<Option<Evaluation>> {
        if self.evaluator.is_none() {
            return Ok(None);
        }
        let drawing = self.drawing();
        let Some(evaluator) = &self.evaluator else { return Ok(None) };
        let device = &self.device;
        let evaluation = match &self.source {
            Source::Images(_) => {
                let size = drawing.sizes().len() - 1;
                evaluator(&SeedSampler { drawing: &drawing, size, device })
            }
            Source::Captions(captioned) => evaluator(&SnapshotSampler {
                generator: &drawing,
                captions: captioned.batches.captions(),
                damsm: &captioned.encoder.damsm,
                device,
            }),
        };
        evaluation.map(Some)
    }
}
