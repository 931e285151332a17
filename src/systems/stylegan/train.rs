//! The trainer of stage 1 (Karras et al. 2020a, 2020b).

mod phases;

use std::sync::Arc;

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};

use super::augment::Controller;
use super::collapse::{self, variety};
use super::conditioning::{Classes, Conditioning, Weights};
use super::generator::Truncation;
use super::penalty::PenaltyWeights;
use super::sampler::SeededSampler;
use super::section::{D, G_EMA, STYLEGAN};
use super::transfer::{Transferred, transferred_discriminator, transferred_generator};
use super::vision::{FeatureCritics, VisionFeatures};
use super::{Discriminator, Generator, Noise, StyleganSettings};
use crate::data::{Archive, Loader, Sampler, Split};
use crate::draws;
use crate::error::{Error, Result};
use crate::kernels;
use crate::model::{Model, Provenance};
use crate::nn::{Adam, Init, ema};
use crate::picture;
use crate::ranks::Ranks;
use crate::report::Metrics;
use crate::settings::Checked;
use crate::tensorfile::TensorFile;
use crate::train::evaluator::Evaluator;
use crate::train::rounds::{check_rounds, own_images};
use crate::train::trainer::{GRID, reals};
use crate::train::{Evaluation, Keep, Means, Parts, Picture, Trainer};

/// Prefix of the generator in checkpoints.
const G: &str = "G";

/// Prefix of the discriminators of features in checkpoints.
const VISION: &str = "V";

/// Discriminators of features, and what trains them.
struct VisionAid {
    features: VisionFeatures,
    critics: FeatureCritics,
    adam: Adam,
}

/// Trainer of stage 1, which trains M, G and D with the condition `C`.
pub struct StyleganTrainer<C: Conditioning = Classes> {
    settings: StyleganSettings,
    seed: u64,
    device: Device,
    archive: Arc<Archive>,
    loader: Loader,
    conditioning: C,
    augment: Controller,
    penalty: PenaltyWeights,
    g: Generator,
    d: Discriminator,
    g_ema: Generator,
    adam_g: Adam,
    adam_d: Adam,
    nimg: u64,
    /// Images that the device processes at once.
    round: usize,
    /// Running mean of path lengths, a `[1]`.
    pl_mean: Tensor<1>,
    means: Means,
    evaluator: Option<Evaluator>,
    ranks: Ranks,
    vision: Option<VisionAid>,
    /// Variety of training images, measured once.
    variety_of_reals: Option<f64>,
}

impl StyleganTrainer {
    /// An unconditional or class-conditional run from fresh weights. `device` is without automatic
    /// differentiation.
    ///
    /// # Errors
    /// If the settings contradict each other or the archive.
    pub fn new(
        settings: StyleganSettings,
        seed: u64,
        archive: Arc<Archive>,
        device: &Device,
    ) -> Result<Self> {
        Self::conditioned(settings, seed, archive, device)
    }
}

impl<C: Conditioning> StyleganTrainer<C> {
    /// A run from fresh weights, conditioned as `C` says. `device` is without automatic
    /// differentiation.
    ///
    /// # Errors
    /// If the settings contradict each other or the archive.
    pub fn conditioned(
        mut settings: StyleganSettings,
        seed: u64,
        archive: Arc<Archive>,
        device: &Device,
    ) -> Result<Self> {
        settings.check()?;
        settings.precision.check(device)?;
        if archive.resolution() != settings.network.resolution {
            return Err(Error::user(format!(
                "--data: the images are {0}×{0}, but stylegan.network.resolution is {1}",
                archive.resolution(),
                settings.network.resolution
            ))
            .hint("remove the setting; it follows from the data"));
        }
        let conditioning = C::of(&archive, &mut settings, seed, device)?;
        let g = Generator::new(&settings.network, &mut Init::new(seed, "generator", device));
        let d =
            Discriminator::new(&settings.network, &mut Init::new(seed, "discriminator", device));
        let half = settings.precision.half_blocks();
        let images = archive.indices_of(Split::Train);
        let images = settings.balance.repeated("stylegan.balance", &archive, images)?;
        let sampler = Sampler::new(images, settings.mirror, seed)?;
        let loader = Loader::new(archive.clone(), sampler, settings.batch)?;
        Ok(Self {
            adam_g: Adam::new(settings.scaled_adam().lazy(settings.pl_interval)),
            adam_d: Adam::new(settings.scaled_adam().lazy(settings.r1_interval)),
            g_ema: g.valid(),
            g: g.with_half(half).train(),
            d: d.with_half(half).train().freeze(settings.freeze_d),
            nimg: 0,
            round: match kernels::largest_tensor(device) {
                Some(largest) => settings.round_within(largest),
                None => settings.round,
            },
            pl_mean: Tensor::zeros([1], device),
            means: Means::default(),
            evaluator: None,
            ranks: Ranks::alone(),
            vision: None,
            device: device.clone(),
            augment: Controller::new(&settings.augment),
            penalty: PenaltyWeights::new(&settings),
            variety_of_reals: None,
            conditioning,
            settings,
            seed,
            archive,
            loader,
        })
    }

    /// Evaluates G_ema with `evaluator` at every snapshot; the score decides which model is the best.
    pub fn evaluated_by(mut self, evaluator: Option<Evaluator>) -> Self {
        self.evaluator = evaluator;
        self
    }

    /// Also trains discriminators of `features`, whose losses are added to that of G.
    pub fn aided_by(mut self, features: Option<VisionFeatures>) -> Self {
        self.vision = features.map(|features| {
            let mut init = Init::new(self.seed, "vision", &self.device);
            VisionAid {
                critics: features.critics(&self.settings.vision, &mut init).train(),
                features,
                adam: Adam::new(self.settings.scaled_adam()),
            }
        });
        self
    }

    /// Shares every batch with other ranks.
    ///
    /// # Errors
    /// If the ranks cannot share the rounds evenly.
    pub fn among(mut self, ranks: Ranks) -> Result<Self> {
        check_rounds(&ranks, "stylegan", self.settings.batch, self.round)?;
        self.loader = self.loader.of_part(own_images(&ranks, self.settings.batch, self.round));
        self.ranks = ranks;
        Ok(self)
    }

    /// Copies only the weights from a model: its averaged generator into G and the moving average,
    /// its D if it has one, and its condition encoder if both have the same meaning. Tensors
    /// without a counterpart of the same published name and shape keep their initial values, so a
    /// model of another resolution can be used. If its images are smaller, G begins with the same
    /// images, enlarged, and D judges reduced images (see [`grow`](super::grow)).
    ///
    /// # Errors
    /// If no convolution has the same name and shape.
    pub fn transfer(&mut self, model: &Model) -> Result<Transferred> {
        let ours = &self.settings.network;
        let mut counts = Transferred::default();
        self.g = transferred_generator(self.g.clone(), model, ours, &mut counts)?.train();
        self.g_ema = self.g.valid().with_half(0);
        self.d = transferred_discriminator(self.d.clone(), model, ours, &mut counts)?
            .train()
            .freeze(self.settings.freeze_d);
        self.conditioning.transfer(model, &mut counts)?;
        if counts.convolutions == 0 {
            return Err(Error::user(format!(
                "--transfer {}: none of its convolutions fit these networks",
                model.name()
            ))
            .hint("omit the sizes of networks, so that they are those of the model, or train without --transfer"));
        }
        Ok(counts)
    }

    /// The number of images that the device processes at once, if its limits allow fewer than the
    /// settings ask for.
    pub fn reduced_round(&self) -> Option<usize> {
        (self.round < self.settings.round.min(self.settings.batch)).then_some(self.round)
    }

    fn iteration(&self) -> u64 {
        self.nimg / self.settings.batch as u64
    }

    /// Whether a regularisation is due: every `interval` iterations from iteration 0 on; never for
    /// 0.
    fn due(&self, interval: usize) -> bool {
        interval > 0 && self.iteration().is_multiple_of(interval as u64)
    }

    /// Runs one iteration. Calls `after` with each part once its work has been submitted to the
    /// device.
    ///
    /// # Errors
    /// If the archive cannot be read, or if `after` fails.
    pub fn step_in_parts(&mut self, mut after: impl FnMut(Part) -> Result<()>) -> Result<()> {
        let real = self.real_images()?;
        after(Part::Data)?;
        self.phase_g_main(&real)?;
        after(Part::GMain)?;
        if self.settings.pl_weight > 0.0 && self.due(self.settings.pl_interval) {
            self.phase_g_regular()?;
            after(Part::GRegular)?;
        }
        self.phase_d_main(&real)?;
        after(Part::DMain)?;
        let penalised = self.settings.r1_gamma > 0.0 || self.settings.r2_gamma > 0.0;
        if penalised && self.due(self.settings.r1_interval) {
            self.phase_d_regular(&real)?;
            after(Part::DRegular)?;
        }
        // As in the published code, the ramp counts the images before this iteration.
        let beta = self.settings.ema_beta(self.nimg);
        self.nimg += self.settings.batch as u64;
        self.g_ema = ema::update(self.g_ema.clone(), &self.g, beta);
        self.conditioning.average(beta);
        self.augment.adjust(self.iteration(), self.settings.batch);
        self.penalty.adjust(self.iteration());
        after(Part::Average)
    }
}

/// The parts of an iteration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Copies a batch of images to the device.
    Data,
    /// Trains G on its main loss.
    GMain,
    /// Regularises the path length of G, every few iterations.
    GRegular,
    /// Trains D on its main loss.
    DMain,
    /// Regularises D with R1, every few iterations.
    DRegular,
    /// Updates the average of G, and p.
    Average,
}

impl Part {
    /// All parts in the order of execution.
    pub const ALL: [Part; 6] =
        [Part::Data, Part::GMain, Part::GRegular, Part::DMain, Part::DRegular, Part::Average];

    /// Its name in the logs of the authors' code.
    pub fn name(self) -> &'static str {
        match self {
            Part::Data => "data",
            Part::GMain => "Gmain",
            Part::GRegular => "Greg",
            Part::DMain => "Dmain",
            Part::DRegular => "Dreg",
            Part::Average => "EMA",
        }
    }
}

impl<C: Conditioning> Trainer for StyleganTrainer<C> {
    fn warnings(&self) -> Vec<String> {
        self.conditioning.warnings()
    }

    fn device(&self) -> Device {
        self.device.clone()
    }

    fn nimg(&self) -> u64 {
        self.nimg
    }

    fn step(&mut self) -> Result<()> {
        self.step_in_parts(|_| Ok(()))
    }

    fn metrics(&mut self) -> Result<Metrics> {
        let non_finite = self.adam_g.take_non_finite()
            + self.adam_d.take_non_finite()
            + self.vision.as_mut().map_or(0, |vision| vision.adam.take_non_finite())
            + self.conditioning.take_non_finite();
        let mut metrics = self.means.take()?;
        if let Some(p) = self.augment.p() {
            metrics.set("augment/p", p);
        }
        if let (Some(real), Some(fake)) = (metrics.get("score/real"), metrics.get("score/fake")) {
            metrics.set(collapse::GAP, real - fake);
        }
        if self.penalty.is_adapted() {
            metrics.set("r1_gamma", self.penalty.r1());
        }
        metrics.set("lr", self.settings.lr_at(self.nimg));
        metrics.set("non_finite_gradients", non_finite as f64);
        Ok(metrics)
    }

    fn parts(&mut self, parts: &mut Parts) -> Result<()> {
        parts.network(G, &mut self.g, Keep::Checkpoint)?;
        parts.network(D, &mut self.d, Keep::Both)?;
        parts.network(G_EMA, &mut self.g_ema, Keep::Both)?;
        parts.optimiser("adam_G", &mut self.adam_g, &self.g)?;
        parts.optimiser("adam_D", &mut self.adam_d, &self.d)?;
        if let Some(VisionAid { critics, adam, .. }) = &mut self.vision {
            parts.network(VISION, critics, Keep::Checkpoint)?;
            parts.optimiser("adam_vision", adam, critics)?;
        }
        parts.tensor("pl_mean", &mut self.pl_mean)?;
        self.conditioning.parts(parts)?;
        parts.other(&mut self.augment, Controller::collect, Controller::restore)?;
        parts.other(&mut self.penalty, PenaltyWeights::collect, PenaltyWeights::restore)?;
        parts.means(&mut self.means)?;
        parts.nimg(&mut self.nimg)
    }

    fn model(&mut self) -> Result<TensorFile> {
        let mut model = Model::new();
        self.parts(&mut Parts::exporting(model.file_mut()))?;
        self.conditioning.put_texts(&mut model)?;
        let provenance =
            Provenance::new(self.nimg, self.seed, self.archive.hash()?, &self.settings)?
                .of_images(self.archive.training_counts());
        model.set(&STYLEGAN, &self.settings.network, provenance)?;
        Ok(model.into_file())
    }

    fn pictures(&mut self) -> Result<Vec<Picture>> {
        let images: Vec<_> = self.samples()?.into_iter().flat_map(picture::from_tensor).collect();
        Ok(vec![Picture { name: "fakes".into(), image: picture::square_grid(&images) }])
    }

    fn snapshot_metrics(&mut self) -> Result<Metrics> {
        let of_reals = match self.variety_of_reals {
            Some(known) => known,
            None => {
                let pixels = self.archive.pixels(&self.some_images())?;
                let side = self.settings.network.resolution;
                variety(picture::to_tensor(&pixels, side, &self.device))
            }
        };
        self.variety_of_reals = Some(of_reals);
        let of_samples = variety(Tensor::cat(self.samples()?, 0));
        // Equal training images have no variety to compare with.
        let share = (of_reals > 0.0).then(|| of_samples / of_reals);
        Ok(share.map(|share| (collapse::DIVERSITY, share)).into_iter().collect())
    }

    fn warning(&self, metrics: &Metrics) -> Option<String> {
        collapse::warning(metrics, &self.settings)
    }

    fn reference_pictures(&mut self) -> Result<Vec<Picture>> {
        Ok(vec![reals(&self.archive, self.archive.indices_of(Split::Train))?])
    }

    fn evaluate(&mut self) -> Result<Option<Evaluation>> {
        let Some(evaluator) = &self.evaluator else { return Ok(None) };
        let sampler = SeededSampler::new(&self.g_ema, &self.device, |seeds| {
            self.conditioning.of_seeds(seeds, &self.device)
        });
        evaluator(&sampler).map(Some)
    }
}

impl<C: Conditioning> StyleganTrainer<C> {
    /// Training images spread over the archive; the variety of samples is compared with theirs.
    fn some_images(&self) -> Vec<usize> {
        self.archive.some_of(Split::Train, GRID)
    }

    /// Samples from fixed seeds, in batches `[N, 3, res, res]`.
    fn samples(&self) -> Result<Vec<Tensor<4>>> {
        let z_dim = self.settings.network.z_dim;
        let z = draws::normal(&mut draws::stream(self.seed, "z.grid", 0), GRID * z_dim);
        let z = Tensor::from_data(TensorData::new(z, [GRID, z_dim]), &self.device);
        let mut rng = draws::stream(self.seed, "label.grid", 0);
        let label = self.conditioning.draw(Weights::Averaged, &mut rng, GRID, &self.device)?;
        let ws = self.g_ema.ws(z, label, Truncation::NONE);
        // Draw at most as many images at once as a training round, which is known to fit in memory.
        let parts = ws.split(self.round.min(GRID), 0).into_iter();
        Ok(parts.map(|ws| self.g_ema.synthesize(ws, &Noise::Const)).collect())
    }
}
