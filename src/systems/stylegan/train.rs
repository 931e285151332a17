//! The training loop of stage 1 (Karras et al. 2020a, 2020b).

use std::ops::Range;
use std::sync::Arc;

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};

use super::augment::Controller;
use super::conditioning::{Classes, Conditioning, Fakes, Weights};
use super::draws::{Source, augmented};
use super::generator::Truncation;
use super::losses::PathLength;
use super::rounds::{portion, rounds, rows};
use super::sampler::SeededSampler;
use super::section::{D, G_EMA, STYLEGAN};
use super::sum::Sum;
use super::transfer::{Transferred, transferred};
use super::{Discriminator, Generator, NetworkSettings, Noise, StyleganSettings, official};
use crate::data::{Archive, Loader, Sampler, Split};
use crate::draws;
use crate::error::{Error, Result};
use crate::kernels;
use crate::model::{Model, Provenance};
use crate::nn::adam::lazy_factor;
use crate::nn::{Adam, Init, ema};
use crate::picture;
use crate::report::Metrics;
use crate::settings::Checked;
use crate::systems::gan::gradient_penalty::R1;
use crate::tensorfile::TensorFile;
use crate::train::evaluator::Evaluator;
use crate::train::{Evaluation, Keep, Means, Parts, Picture, Trainer};

/// Prefix of the generator in checkpoints.
const G: &str = "G";

/// Number of images in a grid of samples.
const GRID: usize = 64;

/// Trainer of stage 1, which trains M, G and D with the condition `C`.
pub struct StyleganTrainer<C: Conditioning = Classes> {
    settings: StyleganSettings,
    seed: u64,
    device: Device,
    archive: Arc<Archive>,
    loader: Loader,
    conditioning: C,
    augment: Controller,
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
        let sampler = Sampler::new(archive.indices_of(Split::Train), settings.mirror, seed)?;
        let loader = Loader::new(archive.clone(), sampler, settings.batch)?;
        Ok(Self {
            adam_g: Adam::new(settings.adam.lazy(settings.pl_interval)),
            adam_d: Adam::new(settings.adam.lazy(settings.r1_interval)),
            g_ema: g.valid(),
            g: g.train(),
            d: d.train().freeze(settings.freeze_d),
            nimg: 0,
            round: match kernels::largest_tensor(device) {
                Some(largest) => settings.round_within(largest),
                None => settings.round,
            },
            pl_mean: Tensor::zeros([1], device),
            means: Means::default(),
            evaluator: None,
            device: device.clone(),
            augment: Controller::new(&settings.augment),
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

    /// Copies only the weights from a model: its averaged generator into G and the moving average,
    /// its D if it has one, and its condition encoder if both have the same meaning. Tensors
    /// without a counterpart of the same published name and shape keep their initial values, so a
    /// model of another resolution can be used.
    ///
    /// # Errors
    /// If no convolution has the same name and shape.
    pub fn transfer(&mut self, model: &Model) -> Result<Transferred> {
        let theirs: NetworkSettings = model.settings(&STYLEGAN)?;
        let own = self.settings.network.resolution;
        let mut counts = Transferred::default();
        self.g = transferred(
            self.g.clone(),
            model,
            G_EMA,
            [&official::generator_name, &official::generator_name],
            &mut counts,
        )?
        .train();
        self.g_ema = self.g.valid();
        let name = |side: usize| move |ours: &str| official::discriminator_name(ours, side);
        let names: [&dyn Fn(&str) -> String; 2] = [&name(theirs.resolution), &name(own)];
        self.d = transferred(self.d.clone(), model, D, names, &mut counts)?
            .train()
            .freeze(self.settings.freeze_d);
        self.conditioning.transfer(model, &mut counts)?;
        if counts.convolutions == 0 {
            return Err(Error::user(format!(
                "--transfer {}: none of its convolutions fit these networks",
                model.name()
            ))
            .hint("use its channel_base, channel_max and w_dim (see `cigan info`), or train without --transfer"));
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

    fn source(&self) -> Source<'_, C> {
        Source {
            settings: &self.settings,
            conditioning: &self.conditioning,
            p: self.augment.p(),
            seed: self.seed,
            nimg: self.nimg,
            device: &self.device,
        }
    }

    fn track_w_avg(&mut self, w: Vec<Tensor<2>>) {
        self.g.mapping = self.g.mapping.clone().track(&Tensor::cat(w, 0));
    }

    /// Trains G for one step on L_Gmain.
    fn phase_g_main(&mut self, real: &Real<C::BatchCondition>) -> Result<()> {
        let StyleganSettings { batch, loss, .. } = self.settings;
        let round = self.round;
        let frozen = self.d.valid();
        let for_real = loss.pairs().then(|| self.source().transform("gmain.real", batch)).flatten();
        let latents = self.source().latents("gmain", batch, &self.g)?;
        let transform = self.source().transform("gmain", batch);
        let mut sum = Sum::default();
        let mut tracked = Vec::new();
        for (range, share) in rounds(batch, round) {
            let part = latents.part(&range);
            let (ws, w) = part.codes(&self.g);
            let fake = self.g.synthesis.forward(ws, &part.noise);
            let fake = augmented(fake, &transform, &range);
            let trunk = frozen.trunk(fake);
            let logits = frozen.score(trunk, part.label.clone(), part.conditioned.clone()).value;
            let loss = loss.generator(logits.clone(), || {
                let critic = self.conditioning.critic(&self.d).valid();
                let real = real.part::<C>(&range);
                let images = augmented(real.images.into(), &for_real, &range);
                C::score(&critic, images, &real.condition).value
            });
            sum.add(
                &self.g,
                portion(loss, share),
                [("score/fake", portion(logits.inner().mean(), share))],
            );
            tracked.push(w.inner());
        }
        self.track_w_avg(tracked);
        let gradients = sum.finish("loss/G", &mut self.means);
        let lr = self.lr_g();
        self.g = self.adam_g.step(self.g.clone(), gradients, lr);
        Ok(())
    }

    /// Trains G for one step on path-length regularisation.
    fn phase_g_regular(&mut self) -> Result<()> {
        let settings = self.settings.clone();
        let count = (settings.batch / settings.pl_batch_shrink).max(1);
        let round = (self.round / settings.pl_batch_shrink).max(1);
        let latents = self.source().latents("greg", count, &self.g)?;
        let y = self.source().path_noise(count);
        let penalty = PathLength { weight: settings.pl_weight, decay: settings.pl_decay };
        let frozen = self.g.synthesis.valid();
        let mut sum = Sum::default();
        let mut tracked = Vec::new();
        for (range, share) in rounds(count, round) {
            let part = latents.part(&range);
            let (ws, w) = part.ws(&self.g);
            let step = penalty.step(
                &self.g.synthesis,
                &frozen,
                ws,
                &part.noise,
                rows(&y, &range),
                self.pl_mean.clone(),
            );
            self.pl_mean = step.mean;
            let loss = step.surrogate * (settings.pl_interval as f64 * share);
            sum.add(&self.g, loss, [("loss/pl_penalty", portion(step.penalty, share))]);
            tracked.push(w.inner());
        }
        self.track_w_avg(tracked);
        self.means.add("pl_mean", self.pl_mean.clone());
        let gradients = sum.finish_silently(&mut self.means);
        let lr = self.lr_g();
        self.g = self.adam_g.step(self.g.clone(), gradients, lr);
        Ok(())
    }

    /// Trains D for one step on L_Dmain. The condition encoder learns only from real images, so
    /// that the meaning of a condition does not depend on the current abilities of G.
    fn phase_d_main(&mut self, real: &Real<C::BatchCondition>) -> Result<()> {
        let StyleganSettings { batch, loss, .. } = self.settings;
        let round = self.round;
        let generator = self.g.valid();
        let latents = self.source().latents("dmain", batch, &generator)?;
        let for_fake = self.source().transform("dmain.fake", batch);
        let for_real = self.source().transform("dmain.real", batch);
        let critic = self.conditioning.critic(&self.d);
        let mut sum = Sum::default();
        let mut tracked = Vec::new();
        for (range, share) in rounds(batch, round) {
            let part = latents.part(&range);
            let (ws, w) = part.codes(&generator);
            let fake = generator.synthesis.forward(ws, &part.noise);
            let fake = augmented(fake, &for_fake, &range);
            let trunk = self.d.trunk(fake);
            let logits = self.d.score(trunk, part.label.clone(), part.conditioned.clone()).value;
            let fakes = Fakes { logits: logits.clone(), conditioned: part.conditioned.clone() };
            let real = real.part::<C>(&range);
            let images = augmented(real.images.into(), &for_real, &range);
            let means = &mut self.means;
            let found = self.conditioning.discriminator_loss(
                loss,
                &critic,
                fakes,
                images,
                &real.condition,
                means,
            );
            sum.add_with_encoder(&self.d, &self.conditioning, portion(found.loss, share), []);
            let real_logits = found.real_logits.inner();
            self.means.add("score/real", real_logits.clone().mean());
            self.observe(loss.margin(logits.inner(), real_logits));
            tracked.push(w);
        }
        self.track_w_avg(tracked);
        self.conditioning.step(sum.take_encoder());
        let gradients = sum.finish("loss/D", &mut self.means);
        let lr = self.lr_d();
        self.d = self.adam_d.step(self.d.clone(), gradients, lr);
        Ok(())
    }

    /// Trains D for one step on R1 of the same real images, with respect to the images before
    /// augmentation.
    /// R2 is the same penalty on generated images.
    fn phase_d_regular(&mut self, real: &Real<C::BatchCondition>) -> Result<()> {
        let mut sum = Sum::default();
        if self.settings.r1_gamma > 0.0 {
            self.add_r1(real, &mut sum);
        }
        if self.settings.r2_gamma > 0.0 {
            self.add_r2(&mut sum)?;
        }
        self.conditioning.step(sum.take_encoder());
        let gradients = sum.finish_silently(&mut self.means);
        let lr = self.lr_d();
        self.d = self.adam_d.step(self.d.clone(), gradients, lr);
        Ok(())
    }

    fn add_r1(&mut self, real: &Real<C::BatchCondition>, sum: &mut Sum) {
        let StyleganSettings { batch, loss, r1_gamma, r1_interval, .. } = self.settings;
        let round = self.round;
        let transform = self.source().transform("dreg", batch);
        let critic = self.conditioning.critic(&self.d);
        for (range, share) in rounds(batch, round) {
            let real = real.part::<C>(&range);
            let r1 = R1::new(&critic, real.images, r1_gamma, |critic, x| {
                C::score(critic, augmented(x, &transform, &range), &real.condition)
            });
            let surrogate = r1.surrogate * (r1_interval as f64 * share);
            let logged = [("loss/r1", portion(r1.value, share))];
            sum.add_with_encoder(&self.d, &self.conditioning, surrogate, logged);
            let logits = r1.logits.inner();
            self.means.add("score/real", logits.clone().mean());
            // A loss on pairs gives the logits of real images alone no meaning.
            if !loss.pairs() {
                self.observe(logits);
            }
        }
    }

    fn add_r2(&mut self, sum: &mut Sum) -> Result<()> {
        let StyleganSettings { batch, r2_gamma, r1_interval, .. } = self.settings;
        let round = self.round;
        let generator = self.g.valid();
        let latents = self.source().latents("dreg", batch, &generator)?;
        let transform = self.source().transform("dreg.fake", batch);
        for (range, share) in rounds(batch, round) {
            let part = latents.part(&range);
            let (ws, _) = part.codes(&generator);
            let fake = generator.synthesis.forward(ws, &part.noise).value;
            let r2 = R1::new(&self.d, fake, r2_gamma, |d, x| {
                let trunk = d.trunk(augmented(x, &transform, &range));
                d.score(trunk, part.label.clone(), part.conditioned.clone())
            });
            let surrogate = r2.surrogate * (r1_interval as f64 * share);
            sum.add(&self.d, surrogate, [("loss/r2", portion(r2.value, share))]);
        }
        Ok(())
    }

    /// Passes the margins `[N]` of augmented real images to the ADA controller and to the metrics;
    /// see [`AdversarialLoss::margin`](crate::systems::gan::AdversarialLoss::margin).
    fn observe(&mut self, margin: Tensor<1>) {
        self.augment.observe(&margin);
        self.means.add("sign/real", margin.sign().mean());
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
        after(Part::Average)
    }

    fn lr_g(&self) -> f64 {
        self.settings.lr * lazy_factor(self.settings.pl_interval)
    }

    fn lr_d(&self) -> f64 {
        self.settings.lr * lazy_factor(self.settings.r1_interval)
    }

    fn real_images(&mut self) -> Result<Real<C::BatchCondition>> {
        let batch = self.loader.batch(self.nimg)?;
        let side = self.settings.network.resolution;
        Ok(Real {
            images: picture::to_tensor(&batch.pixels, side, &self.device),
            condition: self.conditioning.of_batch(&batch, self.seed, self.nimg, &self.device)?,
        })
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

/// A batch of real images with their conditions.
struct Real<T> {
    /// `[N, 3, res, res]`.
    images: Tensor<4>,
    condition: T,
}

impl<T> Real<T> {
    fn part<C: Conditioning<BatchCondition = T>>(&self, range: &Range<usize>) -> Self {
        Self { images: rows(&self.images, range), condition: C::part(&self.condition, range) }
    }
}

impl<C: Conditioning> Trainer for StyleganTrainer<C> {
    fn kind(&self) -> &'static str {
        STYLEGAN.command
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
            + self.conditioning.take_non_finite();
        let mut metrics = self.means.take()?;
        if let Some(p) = self.augment.p() {
            metrics.set("augment/p", p);
        }
        metrics.set("lr", self.settings.lr);
        metrics.set("non_finite_gradients", non_finite as f64);
        Ok(metrics)
    }

    fn parts(&mut self, parts: &mut Parts) -> Result<()> {
        parts.network(G, &mut self.g, Keep::Checkpoint)?;
        parts.network(D, &mut self.d, Keep::Both)?;
        parts.network(G_EMA, &mut self.g_ema, Keep::Both)?;
        parts.optimiser("adam_G", &mut self.adam_g, &self.g)?;
        parts.optimiser("adam_D", &mut self.adam_d, &self.d)?;
        parts.tensor("pl_mean", &mut self.pl_mean)?;
        self.conditioning.parts(parts)?;
        parts.other(&mut self.augment, Controller::collect, Controller::restore)?;
        parts.means(&mut self.means)?;
        parts.nimg(&mut self.nimg)
    }

    fn model(&mut self) -> Result<TensorFile> {
        let mut model = Model::new();
        self.parts(&mut Parts::exporting(model.file_mut()))?;
        self.conditioning.put_texts(&mut model)?;
        let provenance =
            Provenance::new(self.nimg, self.seed, self.archive.hash()?, &self.settings)?;
        model.set(&STYLEGAN, &self.settings.network, provenance)?;
        Ok(model.into_file())
    }

    fn pictures(&mut self) -> Result<Vec<Picture>> {
        let z_dim = self.settings.network.z_dim;
        let z = draws::normal(&mut draws::stream(self.seed, "z.grid", 0), GRID * z_dim);
        let z = Tensor::from_data(TensorData::new(z, [GRID, z_dim]), &self.device);
        let mut rng = draws::stream(self.seed, "label.grid", 0);
        let label = self.conditioning.draw(Weights::Averaged, &mut rng, GRID, &self.device)?;
        let ws = self.g_ema.ws(z, label, Truncation::NONE);
        // Draw at most as many images at once as a training round, which is known to fit in memory.
        let images: Vec<_> = ws
            .split(self.round.min(GRID), 0)
            .into_iter()
            .flat_map(|ws| picture::from_tensor(self.g_ema.synthesize(ws, &Noise::Const)))
            .collect();
        Ok(vec![Picture { name: "fakes".into(), image: picture::square_grid(&images) }])
    }

    fn reference_pictures(&mut self) -> Result<Vec<Picture>> {
        let indices: Vec<usize> =
            self.archive.indices_of(Split::Train).into_iter().take(GRID).collect();
        let images = self.archive.pictures(&indices)?;
        Ok(vec![Picture { name: "reals".into(), image: picture::square_grid(&images) }])
    }

    fn evaluate(&mut self) -> Result<Option<Evaluation>> {
        let Some(evaluator) = &self.evaluator else { return Ok(None) };
        let sampler = SeededSampler::new(&self.g_ema, &self.device, |seeds| {
            self.conditioning.of_seeds(seeds, &self.device)
        });
        evaluator(&sampler).map(Some)
    }
}
