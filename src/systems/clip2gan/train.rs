//! The training loop of CLIP2GAN: D and the mapper alternate, on the same generated images.

use std::ops::Range;
use std::sync::Arc;

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};

use super::drawing::{Drawing, VectorSampler, mean_code};
use super::encoders::CentredEncoders;
use super::section::{CLIP2GAN, M, M_D, sizes, store_vectors};
use super::vectors::ImageVectors;
use super::{Clip2GanSettings, Mapper, losses};
use crate::data::{Archive, Batch, Loader, Sampler, Split};
use crate::device::IMAGES_AT_ONCE as CHUNK;
use crate::draws;
use crate::error::Result;
use crate::language::Captions;
use crate::language::captions::captioned;
use crate::model::{Model, Provenance};
use crate::nn::params::{NamedGradients, to_vec};
use crate::nn::{Adam, Init};
use crate::picture;
use crate::ranks::Ranks;
use crate::report::Metrics;
use crate::settings::Checked;
use crate::systems::ImageTextSimilarity;
use crate::systems::gan::gradient_penalty::UnitGradientPenalty;
use crate::systems::stylegan::sample::render;
use crate::systems::stylegan::section::{load_discriminator, load_generator};
use crate::systems::stylegan::{Discriminator, Generator, NetworkSettings, STYLEGAN};
use crate::systems::text_gan::drawing::{COLUMNS, fakes, snapshot_captions};
use crate::systems::text_gan::loaded::of_seeds;
use crate::tensorfile::TensorFile;
use crate::train::evaluator::Evaluator;
use crate::train::round_values::RoundValues;
use crate::train::rounds::{BatchRounds, portion, rows};
use crate::train::trainer::reals;
use crate::train::{Evaluation, Keep, Means, Parts, Picture, Trainer};
use crate::vision::Perceptual;

/// Number of held-out images that a snapshot measures and shows.
const MEASURED: usize = 256;
const SHOWN: usize = 12;

/// The frozen parts of a run.
pub struct Frozen {
    /// The model that the run extends: stage 1, the encoders, and the encoder E if there is one.
    pub base: Model,
    /// The encoders of images and texts.
    pub encoders: CentredEncoders,
    /// Vectors of training images.
    pub images: ImageVectors,
    /// Vectors of training captions `[K, size]`, centred; absent if there are no captions.
    pub captions: Option<Tensor<2>>,
    /// The perceptual distance, if a loss compares features.
    pub perceptual: Option<Perceptual>,
}

/// D with its optimiser.
struct Critic {
    d: Discriminator,
    adam: Adam,
}

/// Trainer of CLIP2GAN.
pub struct Clip2GanTrainer {
    settings: Clip2GanSettings,
    seed: u64,
    device: Device,
    archive: Arc<Archive>,
    loader: Loader,
    frozen: Frozen,
    g: Generator,
    m: Mapper,
    adam_m: Adam,
    /// Absent without an adversarial loss.
    critic: Option<Critic>,
    nimg: u64,
    means: Means,
    rounds: BatchRounds,
    evaluator: Option<Evaluator>,
}

/// A round of a batch, with the images that are generated of its vectors.
struct Round {
    range: Range<usize>,
    share: f64,
    real: Tensor<4>,
    /// One or two of each image, with noise.
    vectors: Vec<Tensor<2>>,
    /// The images of each of `vectors`.
    images: Vec<Tensor<4>>,
}

impl Clip2GanTrainer {
    /// A new run. `device` is without automatic differentiation.
    ///
    /// # Errors
    /// If a setting is out of range, or the model lacks a network.
    pub fn new(
        settings: Clip2GanSettings,
        seed: u64,
        archive: Arc<Archive>,
        frozen: Frozen,
        device: &Device,
    ) -> Result<Self> {
        settings.check()?;
        let network: NetworkSettings = frozen.base.settings(&STYLEGAN)?;
        network.fits(archive.resolution(), frozen.base.name())?;
        let sizes = sizes(&frozen.encoders.encoders, &network);
        let m =
            Mapper::new(&settings.network, sizes, &mut Init::new(seed, "clip2gan.mapper", device));
        let critic = match settings.adversarial_weight > 0.0 {
            true => Some(Critic {
                // The penalty is that of each image alone.
                d: load_discriminator(&frozen.base, device)?.with_groups_of(1).train(),
                adam: Adam::new(settings.adam),
            }),
            false => None,
        };
        let sampler = Sampler::new(archive.indices_of(Split::Train), settings.mirror, seed)?;
        Ok(Self {
            loader: Loader::new(archive.clone(), sampler, settings.batch)?,
            g: load_generator(&frozen.base, device)?,
            m: m.train(),
            adam_m: Adam::new(settings.adam),
            critic,
            nimg: 0,
            means: Means::default(),
            rounds: BatchRounds::new(settings.batch, settings.round),
            evaluator: None,
            device: device.clone(),
            settings,
            seed,
            archive,
            frozen,
        })
    }

    /// Evaluates the samples with `evaluator` at every snapshot; the score decides which model is the
    /// best.
    pub fn evaluated_by(mut self, evaluator: Option<Evaluator>) -> Self {
        self.evaluator = evaluator;
        self
    }

    /// Shares every batch with other ranks.
    ///
    /// # Errors
    /// If the ranks cannot share the rounds evenly.
    pub fn among(mut self, ranks: Ranks) -> Result<Self> {
        self.rounds = self.rounds.among(ranks, CLIP2GAN.name)?;
        self.loader = self.loader.of_part(self.rounds.own_images());
        Ok(self)
    }

    fn drawing(&self) -> Drawing {
        Drawing {
            generator: self.g.clone(),
            mapper: self.m.valid(),
            noise: self.settings.network.noise,
            device: self.device.clone(),
        }
    }

    /// Vectors of the batch with noise `[N, size]`, for each image that is generated of a vector: one,
    /// or two to compare.
    fn noisy(&self, batch: &Batch) -> Vec<Tensor<2>> {
        let vectors = self.frozen.images.of(&batch.items, &self.device);
        let vectors = self.frozen.encoders.of_images(vectors);
        let [n, size] = vectors.dims();
        let mut rng = draws::stream(self.seed, "clip2gan.noise", self.nimg);
        let count = if self.settings.compares_noise() { 2 } else { 1 };
        let noisy = |_| {
            let normal = draws::normal(&mut rng, n * size);
            let normal = Tensor::from_data(TensorData::new(normal, [n, size]), &self.device);
            self.settings.network.noise.apply(vectors.clone(), normal, 1.0)
        };
        (0..count).map(noisy).collect()
    }

    /// The rounds of a batch, with generated images.
    fn rounds_of(&self, batch: &Batch) -> Vec<Round> {
        let real = picture::to_tensor(&batch.pixels, self.archive.resolution(), &self.device);
        let (all, mean) = (self.noisy(batch), mean_code(&self.g, &self.device));
        let round = |(range, share): (Range<usize>, f64)| {
            let own = range.start - batch.part.start..range.end - batch.part.start;
            let vectors: Vec<Tensor<2>> = all.iter().map(|all| rows(all, &range)).collect();
            let codes = mean.clone() + self.m.forward(Tensor::cat(vectors.clone(), 0));
            let images = render(&self.g, codes).split(range.len(), 0);
            Round { real: rows(&real, &own), range, share, vectors, images }
        };
        self.rounds.own().map(round).collect()
    }

    /// Trains D for one step on real images and the first generated ones.
    ///
    /// # Errors
    /// If a rank does not answer.
    fn step_d(&mut self, rounds: &[Round]) -> Result<()> {
        use rand::Rng;
        let Some(Critic { d, adam }) = &mut self.critic else { return Ok(()) };
        let n = self.settings.batch;
        let mut rng = draws::stream(self.seed, "clip2gan.between", self.nimg);
        let places: Vec<f32> = (0..n).map(|_| rng.random_range(0.0..1.0)).collect();
        let places = Tensor::<4>::from_data(TensorData::new(places, [n, 1, 1, 1]), &self.device);
        let (mut gradients, mut values) = (self.rounds.gradients(), self.rounds.values());
        for Round { range, share, real, images, .. } in rounds {
            let (at, fake) = (rows(&places, range), images[0].clone().inner());
            let between = real.clone() * at.clone() + fake.clone() * (-at + 1.0);
            let penalty =
                UnitGradientPenalty::new(&*d, between, self.settings.penalty_weight, |d, x| {
                    d.forward(x, None)
                });
            let [fake, real] = [fake, real.clone()].map(|images| d.apply(images, None));
            let mut log = |name: &str, value| values.portion(name, value, *share);
            log("score/real", real.clone().inner().mean());
            log("score/fake", fake.clone().inner().mean());
            let loss = self.settings.adversarial.discriminator(fake, real);
            log("loss/D", loss.clone().inner());
            log("loss/D_penalty", penalty.value);
            let loss = portion(loss + penalty.surrogate, *share);
            gradients.add(NamedGradients::of(&*d, &loss.backward()));
        }
        values.finish(&mut self.means)?;
        *d = adam.step(d.clone(), gradients.finish(&*d)?, self.settings.lr);
        Ok(())
    }

    /// A round's portion of the weighted sum of the mapper's losses → `[1]`.
    fn loss(&self, round: Round, values: &mut RoundValues) -> Tensor<1> {
        let Round { share, real, vectors, images, .. } = round;
        let settings = &self.settings;
        let mut total: Option<Tensor<1>> = None;
        let mut term = |name: &str, weight: f64, value: Tensor<1>| {
            values.portion(name, value.clone().inner(), share);
            let weighted = value * weight;
            total = Some(match total.take() {
                Some(sum) => sum + weighted,
                None => weighted,
            });
        };
        let first = images[0].clone();
        let reconstruction = losses::reconstruction(real.clone(), first.clone());
        term("loss/reconstruction", settings.reconstruction_weight, reconstruction);
        if let Some(perceptual) = &self.frozen.perceptual {
            let features = perceptual.features(real);
            if settings.perceptual_weight > 0.0 {
                let distance = perceptual.distances_to(features.clone(), first.clone()).mean();
                term("loss/perceptual", settings.perceptual_weight, distance);
            }
            if settings.identity_weight > 0.0 {
                let loss = losses::identity(features, perceptual.features(first.clone()));
                term("loss/identity", settings.identity_weight, loss);
            }
        }
        if let Some(Critic { d, .. }) = &self.critic {
            let logits = d.valid().apply(first, None);
            term(
                "loss/adversarial",
                settings.adversarial_weight,
                settings.adversarial.generator(logits),
            );
        }
        if let (Ok(vectors), Ok(images)) = (vectors.try_into(), images.try_into()) {
            let loss = losses::diversity(vectors, images);
            term("loss/diversity", settings.diversity_weight, loss);
        }
        portion(total.expect("the reconstruction is a term"), share)
    }

    /// Mean squared errors of held-out images: of their reconstructions, of those of other images, and
    /// of the mean image. `None` without held-out images.
    fn held_out(&self, drawing: &Drawing) -> Result<Option<[f64; 3]>> {
        let indices = self.archive.some_of(Split::Val, MEASURED);
        let mean = drawing.render(drawing.mean_code());
        let mut sums = [0.0; 3];
        for chunk in indices.chunks(CHUNK) {
            let real = self.images(chunk)?;
            let vectors = self.frozen.encoders.images(real.clone());
            let back = drawing.render(drawing.codes(vectors));
            let others = losses::rolled(back.clone());
            let found = [back, others, mean.clone().expand(real.dims())];
            for (sum, found) in sums.iter_mut().zip(found) {
                let error = to_vec(losses::reconstruction(real.clone(), found))[0];
                *sum += f64::from(error) * chunk.len() as f64;
            }
        }
        let count = indices.len() as f64;
        Ok((!indices.is_empty()).then(|| sums.map(|sum| sum / count)))
    }

    fn images(&self, indices: &[usize]) -> Result<Tensor<4>> {
        let pixels = self.archive.pixels(indices)?;
        Ok(picture::to_tensor(&pixels, self.archive.resolution(), &self.device))
    }
}

impl Trainer for Clip2GanTrainer {
    fn device(&self) -> Device {
        self.device.clone()
    }

    fn nimg(&self) -> u64 {
        self.nimg
    }

    fn step(&mut self) -> Result<()> {
        let batch = self.loader.batch(self.nimg)?;
        let rounds = self.rounds_of(&batch);
        self.step_d(&rounds)?;
        let (mut gradients, mut values) = (self.rounds.gradients(), self.rounds.values());
        for round in rounds {
            let loss = self.loss(round, &mut values);
            gradients.add(NamedGradients::of(&self.m, &loss.backward()));
        }
        values.finish(&mut self.means)?;
        let gradients = gradients.finish(&self.m)?;
        self.m = self.adam_m.step(self.m.clone(), gradients, self.settings.lr);
        self.nimg += self.settings.batch as u64;
        Ok(())
    }

    fn metrics(&mut self) -> Result<Metrics> {
        let of_d = self.critic.as_mut().map_or(0, |critic| critic.adam.take_non_finite());
        let non_finite = self.adam_m.take_non_finite() + of_d;
        let mut metrics = self.means.take()?;
        metrics.set("non_finite_gradients", non_finite as f64);
        Ok(metrics)
    }

    fn parts(&mut self, parts: &mut Parts) -> Result<()> {
        parts.network(M, &mut self.m, Keep::Both)?;
        parts.optimiser("adam_M", &mut self.adam_m, &self.m)?;
        if let Some(Critic { d, adam }) = &mut self.critic {
            parts.network(M_D, d, Keep::Both)?;
            parts.optimiser("adam_M_D", adam, d)?;
        }
        parts.means(&mut self.means)?;
        parts.nimg(&mut self.nimg)
    }

    fn model(&mut self) -> Result<TensorFile> {
        let mut model = self.frozen.base.clone();
        self.parts(&mut Parts::exporting(model.file_mut()))?;
        store_vectors(&mut model, &self.frozen.encoders, self.frozen.captions.as_ref());
        let provenance =
            Provenance::new(self.nimg, self.seed, self.archive.hash()?, &self.settings)?
                .of_images(self.archive.training_counts());
        model.set(&CLIP2GAN, &self.settings.network, provenance)?;
        Ok(model.into_file())
    }

    /// `reconstructions`: held-out images above, the images of their vectors below. `fakes`: one row
    /// for each of a few captions, with the same seeds in every row.
    fn pictures(&mut self) -> Result<Vec<Picture>> {
        let drawing = self.drawing();
        let indices = self.archive.held_out_or_training(SHOWN);
        let real = self.images(&indices)?;
        let back = drawing.render(drawing.codes(self.frozen.encoders.images(real.clone())));
        let image = picture::tensor_rows(Tensor::cat(vec![real, back], 0), indices.len());
        let mut pictures = vec![Picture { name: "reconstructions".into(), image }];
        if captioned(&self.archive, Split::Train).len() >= 2 {
            let captions = Captions::of(&self.archive)?;
            let texts = self.frozen.encoders.texts(&snapshot_captions(&captions, self.seed))?;
            let [rows, size] = texts.dims();
            let vectors = texts.reshape([rows, 1, size]).expand([rows, COLUMNS, size]);
            let seeds = (0..COLUMNS as u64).collect::<Vec<u64>>().repeat(rows);
            let vectors = vectors.reshape([rows * COLUMNS, size]);
            let codes = drawing.codes_of_seeds(vectors, &seeds, None, 1.0);
            pictures.push(fakes(drawing.render(codes)));
        }
        Ok(pictures)
    }

    fn reference_pictures(&mut self) -> Result<Vec<Picture>> {
        Ok(vec![reals(&self.archive, self.archive.indices_of(Split::Train))?])
    }

    fn warnings(&self) -> Vec<String> {
        let warning = self.frozen.encoders.warning(self.archive.resolution());
        warning.map(|warning| format!("--embedding: {warning}")).into_iter().collect()
    }

    /// The score is that of the evaluator or, without one, the error of reconstructions.
    fn evaluate(&mut self) -> Result<Option<Evaluation>> {
        let drawing = self.drawing();
        let mut metrics = Metrics::new();
        let mut score = None;
        if let Some([reconstruction, others, mean]) = self.held_out(&drawing)? {
            metrics.set("val/reconstruction", reconstruction);
            metrics.set("val/of_others", others);
            metrics.set("val/mean_image", mean);
            score = Some(reconstruction);
        }
        if let (Some(evaluator), Some(captions)) = (&self.evaluator, &self.frozen.captions) {
            let note = "conditioned on training captions";
            let sampler = VectorSampler::new(&drawing, note, |seeds| Ok(of_seeds(captions, seeds)));
            let evaluation = evaluator(&sampler)?;
            metrics.extend(evaluation.metrics.iter());
            score = Some(evaluation.score);
        }
        Ok(score.map(|score| Evaluation { metrics, score }))
    }
}
