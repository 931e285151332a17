//! The training loop of GAN-INT-CLS (Reed et al. 2016, Algorithm 1).

use std::sync::Arc;

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use rand::Rng;

use super::batch::SentenceVectors;
use super::losses::{self, Judged, interpolated};
use super::section::{GAN_INT_CLS, R_D0, R_EMA, SENTENCES};
use super::{Discriminator, GanIntClsSettings, Generator};
use crate::data::{Archive, Loader, Sampler, Split, mirror};
use crate::draws;
use crate::error::Result;
use crate::language::Captions;
use crate::model::{Model, Provenance};
use crate::nn::batch_norm::with_standing_statistics;
use crate::nn::params::{NamedGradients, to_host};
use crate::nn::{Adam, Init, Statistics, ema};
use crate::picture;
use crate::report::Metrics;
use crate::settings::Checked;
use crate::systems::damsm::Damsm;
use crate::systems::gan::MismatchedImages;
use crate::systems::stylegan::sample::latents;
use crate::tensorfile::TensorFile;
use crate::train::evaluator::{Evaluator, ImageSampler, SampleNoise};
use crate::train::trainer::reals;
use crate::train::{Evaluation, Keep, Means, Parts, Picture, Trainer};

/// Prefix of the generator in checkpoints.
const R: &str = "R";
/// Passes over which the statistics for drawing are measured, and images of each.
const STANDING: (u64, usize) = (32, 64);
/// Captions and images of each that a snapshot shows.
const SHOWN: [usize; 2] = [4, 8];
/// Number of captions that a model keeps for samples without a prompt.
const KEPT: usize = 1024;

/// Trainer of GAN-INT-CLS.
pub struct GanIntClsTrainer {
    settings: GanIntClsSettings,
    seed: u64,
    device: Device,
    archive: Arc<Archive>,
    captions: Captions,
    sentences: SentenceVectors,
    mismatched_images: MismatchedImages,
    loader: Loader,
    damsm: Damsm,
    base: Model,
    g: Generator,
    d: Discriminator,
    g_ema: Generator,
    adam_g: Adam,
    adam_d: Adam,
    nimg: u64,
    means: Means,
    evaluator: Option<Evaluator>,
    /// The generator that draws, and the number of images after which it was made.
    drawing: Option<(u64, Generator)>,
}

/// Real images with their captions, and real images that do not fit them.
struct Pairs {
    real: Tensor<4>,
    mismatched: Option<Tensor<4>>,
    /// `[N, size]`.
    captions: Tensor<2>,
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
        let sampler = Sampler::new(captions.images().to_vec(), false, seed)?;
        let (network, size) = (&settings.network, sentences.size());
        let init = |name: &str| Init::new(seed, &format!("gan_int_cls.{name}"), device);
        let g = Generator::new(network, size, &mut init("generator"));
        let d = Discriminator::new(network, size, &mut init("discriminator"));
        Ok(Self {
            mismatched_images: MismatchedImages::new(&archive, captions.images().to_vec()),
            loader: Loader::new(archive.clone(), sampler, settings.batch)?,
            g_ema: g.valid(),
            g: g.train(),
            d: d.train(),
            adam_g: Adam::new(settings.adam),
            adam_d: Adam::new(settings.adam),
            nimg: 0,
            means: Means::default(),
            evaluator: None,
            drawing: None,
            device: device.clone(),
            settings,
            seed,
            archive,
            captions,
            sentences,
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

    fn stream(&self, purpose: &str) -> impl Rng + use<> {
        draws::stream(self.seed, purpose, self.nimg)
    }

    fn z(&self, purpose: &str, rows: usize) -> Tensor<2> {
        let z_dim = self.settings.network.z_dim;
        let values = draws::normal(&mut self.stream(purpose), rows * z_dim);
        Tensor::from_data(TensorData::new(values, [rows, z_dim]), &self.device)
    }

    /// Pixels as a tensor, after mirroring some of the images.
    fn mirrored(&self, mut pixels: Vec<u8>, flips: &[bool]) -> Tensor<4> {
        let side = self.archive.resolution();
        for (image, flip) in pixels.chunks_exact_mut(side * side * 3).zip(flips) {
            if *flip {
                mirror(image, side);
            }
        }
        picture::to_tensor(&pixels, side, &self.device)
    }

    fn pairs(&mut self) -> Result<Pairs> {
        let batch = self.loader.batch(self.nimg)?;
        let indices: Vec<usize> = batch.items.iter().map(|item| item.index).collect();
        let mut rng = self.stream("baseline.caption");
        let most = self.settings.captions;
        let (captions, sides) = self.sentences.of_images(&indices, most, &mut rng, &self.device);
        let mut rng = self.stream("baseline.mirror");
        let mut flips = |sides: &[bool]| -> Vec<bool> {
            let flip = |side: &bool| rng.random::<bool>() && self.settings.mirror && !side;
            sides.iter().map(flip).collect()
        };
        let own = flips(&sides);
        let mismatched = match self.settings.mismatched > 0.0 {
            false => None,
            true => {
                let mut rng = self.stream("baseline.wrong");
                let others = self.mismatched_images.draw(&indices, &mut rng);
                let flips = flips(&vec![false; others.len()]);
                Some(self.mirrored(self.archive.pixels(&others)?, &flips))
            }
        };
        Ok(Pairs { real: self.mirrored(batch.pixels, &own), mismatched, captions })
    }

    /// One step of D. The batches of real, mismatched and generated images pass separately, because
    /// each is normalised by its own statistics.
    fn step_d(&mut self, pairs: &Pairs, lr: f64) {
        let z = self.z("baseline.z.d", self.settings.batch);
        let captions = &pairs.captions;
        let fakes = self.g.valid().forward(z, captions.clone(), Statistics::Batch);
        let judge = |images: &Tensor<4>| self.d.forward(images.clone(), captions.clone());
        let judged = Judged {
            real: judge(&pairs.real),
            fake: judge(&fakes),
            mismatched: pairs.mismatched.as_ref().map(judge),
        };
        self.means.add("score/real", judged.real.clone().inner().mean());
        self.means.add("score/fake", judged.fake.clone().inner().mean());
        if let Some(mismatched) = &judged.mismatched {
            self.means.add("score/mismatched", mismatched.clone().inner().mean());
        }
        let loss = losses::discriminator(judged, self.settings.mismatched);
        self.means.add("loss/D", loss.clone().inner());
        let gradients = NamedGradients::of(&self.d, &loss.backward());
        self.d = self.adam_d.step(self.d.clone(), gradients, lr);
    }

    /// One step of G on the captions of the batch and, if they are used, means of two of them.
    fn step_g(&mut self, captions: &Tensor<2>, lr: f64) {
        let rows = self.settings.batch;
        let mut all = captions.clone();
        if self.settings.interpolated > 0.0 {
            let mut rng = self.stream("baseline.interpolation");
            let places = self.settings.interpolation.places(rows / 2, &mut rng);
            all = Tensor::cat(vec![all, interpolated(captions.clone(), &places)], 0);
        }
        let z = self.z("baseline.z.g", all.dims()[0]);
        let images = self.g.forward(z, all.clone(), Statistics::Batch);
        let logits = self.d.valid().forward(images, all);
        let loss = losses::generator(logits, rows, self.settings.interpolated);
        self.means.add("loss/G", loss.clone().inner());
        let gradients = NamedGradients::of(&self.g, &loss.backward());
        self.g = self.adam_g.step(self.g.clone(), gradients, lr);
    }

    /// The generator that draws: the average of G with statistics over fixed draws. It is a copy, so
    /// training does not notice.
    fn drawing(&mut self) -> Result<Generator> {
        if let Some((nimg, generator)) = &self.drawing
            && *nimg == self.nimg
        {
            return Ok(generator.clone());
        }
        let (passes, rows) = STANDING;
        let generator = with_standing_statistics(&self.g_ema, |generator, statistics| {
            for index in 0..passes {
                let mut rng = draws::stream(self.seed, "standing", index);
                let z = draws::normal(&mut rng, rows * generator.z_dim());
                let z = TensorData::new(z, [rows, generator.z_dim()]);
                let captions = self.sentences.draw(rows, &mut rng, &self.device);
                generator.forward(Tensor::from_data(z, &self.device), captions, statistics);
            }
            Ok::<(), crate::Error>(())
        })?;
        self.drawing = Some((self.nimg, generator.clone()));
        Ok(generator)
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
        let pairs = self.pairs()?;
        let lr = self.settings.lr_at(self.nimg);
        self.step_d(&pairs, lr);
        self.step_g(&pairs.captions, lr);
        self.nimg += self.settings.batch as u64;
        let beta = ema::decay(self.settings.batch, self.settings.ema_kimg * 1000.0);
        self.g_ema = ema::update(self.g_ema.clone(), &self.g, beta);
        Ok(())
    }

    fn metrics(&mut self) -> Result<Metrics> {
        let non_finite = self.adam_g.take_non_finite() + self.adam_d.take_non_finite();
        let mut metrics = self.means.take()?;
        metrics.set("lr", self.settings.lr_at(self.nimg));
        metrics.set("non_finite_gradients", non_finite as f64);
        Ok(metrics)
    }

    fn parts(&mut self, parts: &mut Parts) -> Result<()> {
        parts.network(R, &mut self.g, Keep::Checkpoint)?;
        parts.network(R_EMA, &mut self.g_ema, Keep::Checkpoint)?;
        parts.network(R_D0, &mut self.d, Keep::Both)?;
        parts.optimiser("adam_R", &mut self.adam_g, &self.g)?;
        parts.optimiser("adam_R_D0", &mut self.adam_d, &self.d)?;
        parts.means(&mut self.means)?;
        parts.nimg(&mut self.nimg)
    }

    fn model(&mut self) -> Result<TensorFile> {
        let mut model = self.base.clone();
        self.parts(&mut Parts::exporting(model.file_mut()))?;
        model.put(&self.drawing()?, R_EMA);
        model.put_tensor(SENTENCES, to_host(self.sentences.selection(KEPT, &self.device)));
        let provenance =
            Provenance::new(self.nimg, self.seed, self.archive.hash()?, &self.settings)?;
        model.set(&GAN_INT_CLS, &self.settings.network, provenance)?;
        Ok(model.into_file())
    }

    /// One row of images for each of a few captions, with the same seeds in every row.
    fn pictures(&mut self) -> Result<Vec<Picture>> {
        let generator = self.drawing()?;
        let [captions, seeds] = SHOWN;
        let seeds: Vec<u64> = (0..seeds as u64).collect();
        let z = latents(&seeds, None, generator.z_dim(), &self.device).repeat(&[captions, 1]);
        let mut rng = draws::stream(self.seed, "caption.grid", 0);
        let sentences = self.damsm.sentences(&self.captions.draw(captions, &mut rng))?;
        let size = self.sentences.size();
        let sentences = sentences
            .reshape([captions, 1, size])
            .expand([captions, seeds.len(), size])
            .reshape([captions * seeds.len(), size]);
        let images = picture::from_tensor(generator.forward(z, sentences, Statistics::Standing));
        Ok(vec![Picture { name: "fakes".into(), image: picture::grid(&images, seeds.len(), 0) }])
    }

    fn reference_pictures(&mut self) -> Result<Vec<Picture>> {
        Ok(vec![reals(&self.archive, self.archive.indices_of(Split::Train))?])
    }

    fn evaluate(&mut self) -> Result<Option<Evaluation>> {
        if self.evaluator.is_none() {
            return Ok(None);
        }
        let generator = self.drawing()?;
        let Some(evaluator) = &self.evaluator else { return Ok(None) };
        let sampler = SnapshotSampler {
            generator,
            captions: &self.captions,
            damsm: &self.damsm,
            device: &self.device,
        };
        evaluator(&sampler).map(Some)
    }
}

/// Samples of a snapshot, with training captions drawn by seed.
struct SnapshotSampler<'a> {
    generator: Generator,
    captions: &'a Captions,
    damsm: &'a Damsm,
    device: &'a Device,
}

impl ImageSampler for SnapshotSampler<'_> {
    fn images(&self, seeds: &[u64], psi: f32, _noise: SampleNoise) -> Result<Tensor<4>> {
        let z = latents(seeds, None, self.generator.z_dim(), self.device) * psi;
        let captions = self.damsm.sentences(&self.captions.of_seeds(seeds))?;
        Ok(self.generator.forward(z, captions, Statistics::Standing))
    }
}
