//! The phases of an iteration: the losses of G and D, and their regularisation.

use std::ops::Range;

use burn::module::Module;
use burn::tensor::Tensor;

use super::{StyleganTrainer, VisionAid};
use crate::error::Result;
use crate::nn::adam::lazy_factor;
use crate::picture;
use crate::systems::gan::gradient_penalty::R1;
use crate::systems::stylegan::StyleganSettings;
use crate::systems::stylegan::augment::Transform;
use crate::systems::stylegan::conditioning::{Conditioning, Fakes};
use crate::systems::stylegan::draws::{Source, augmented};
use crate::systems::stylegan::losses::{PathGradient, PathLength};
use crate::systems::stylegan::sum::Sum;
use crate::train::rounds::{rounds, rows};

/// A batch of real images with their conditions.
pub(super) struct Real<T> {
    /// The images of this rank's rounds, `[N, 3, res, res]`.
    images: Tensor<4>,
    /// Which images of the batch these are.
    own: Range<usize>,
    /// The conditions of the whole batch.
    condition: T,
}

impl<T> Real<T> {
    fn part<C: Conditioning<BatchCondition = T>>(&self, range: &Range<usize>) -> Self {
        let own = range.start - self.own.start..range.end - self.own.start;
        let images = rows(&self.images, &own);
        Self { images, own: range.clone(), condition: C::part(&self.condition, range) }
    }
}

/// The discriminators of features, and the augmentation of the images that they see.
struct Judged<'a> {
    by: &'a VisionAid,
    fake: Option<Transform>,
    real: Option<Transform>,
}

impl<C: Conditioning> StyleganTrainer<C> {
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

    /// This rank's rounds of a batch.
    fn rounds(
        &self,
        batch: usize,
        round: usize,
    ) -> impl Iterator<Item = (Range<usize>, f64)> + use<C> {
        rounds(&self.ranks, batch, round)
    }

    fn sum(&self) -> Sum {
        Sum::among(&self.ranks, self.settings.loss_scale())
    }

    fn track_w_avg(&mut self, w: Vec<Tensor<2>>) -> Result<()> {
        let all = self.ranks.gather(w, &self.device)?;
        self.g.mapping = self.g.mapping.clone().track(&all);
        Ok(())
    }

    /// Trains G for one step on L_Gmain.
    pub(super) fn phase_g_main(&mut self, real: &Real<C::BatchCondition>) -> Result<()> {
        let StyleganSettings { batch, loss, .. } = self.settings;
        let round = self.round;
        let frozen = self.d.valid();
        let for_real = loss.pairs().then(|| self.source().transform("gmain.real", batch)).flatten();
        let latents = self.source().latents("gmain", batch, &self.g)?;
        let transform = self.source().transform("gmain", batch);
        let judged = self.judged_by_features("gmain", batch);
        let mut sum = self.sum();
        let mut tracked = Vec::new();
        for (range, share) in self.rounds(batch, round) {
            let part = latents.part(&range);
            let (ws, w) = part.codes(&self.g);
            let drawn = self.g.synthesis.forward(ws, &part.noise);
            let fake = augmented(drawn.clone(), &transform, &range);
            let trunk = frozen.trunk(fake);
            let logits = frozen.score(trunk, part.label.clone(), part.conditioned.clone()).value;
            let own = loss.generator(logits.clone(), || {
                let critic = self.conditioning.critic(&self.d).valid();
                let real = real.part::<C>(&range);
                let images = augmented(real.images.into(), &for_real, &range);
                C::score(&critic, images, &real.condition).value
            });
            sum.values.portion("loss/G", own.clone().inner(), share);
            let loss = match &judged {
                None => own,
                Some(judged) => {
                    let VisionAid { features, critics, .. } = judged.by;
                    let fake = augmented(drawn, &judged.fake, &range).value;
                    let further = features.generator_loss(loss, &critics.valid(), fake, || {
                        let images = real.part::<C>(&range).images;
                        augmented(images.into(), &judged.real, &range).value
                    });
                    sum.values.portion("vision/G", further.clone().inner(), share);
                    own + further * self.settings.vision.weight
                }
            };
            sum.values.portion("score/fake", logits.inner().mean(), share);
            sum.add(&self.g, loss, share);
            tracked.push(w.inner());
        }
        self.track_w_avg(tracked)?;
        let gradients = sum.finish(&self.g, &mut self.means)?;
        let lr = self.lr_g();
        self.g = self.adam_g.step(self.g.clone(), gradients, lr);
        Ok(())
    }

    /// What the discriminators of features see of `count` images of `phase`, if there are any.
    fn judged_by_features(&self, phase: &str, count: usize) -> Option<Judged<'_>> {
        let by = self.vision.as_ref()?;
        let source = Source { p: Some(self.settings.vision.p), ..self.source() };
        let transform = |of: &str| source.transform(&format!("{phase}.vision.{of}"), count);
        Some(Judged { by, fake: transform("fake"), real: transform("real") })
    }

    /// Trains G for one step on path-length regularisation.
    pub(super) fn phase_g_regular(&mut self) -> Result<()> {
        let settings = self.settings.clone();
        let count = (settings.batch / settings.pl_batch_shrink).max(1);
        let round = (self.round / settings.pl_batch_shrink).max(1);
        let latents = self.source().latents("greg", count, &self.g)?;
        let y = self.source().path_noise(count);
        let penalty = PathLength { weight: settings.pl_weight, decay: settings.pl_decay };
        let frozen = self.g.synthesis.valid();
        let mut sum = self.sum();
        let mut tracked = Vec::new();
        let mut halves = Vec::new();
        for (range, share) in self.rounds(count, round) {
            let part = latents.part(&range);
            let (ws, w) = part.codes(&self.g);
            let y = rows(&y, &range);
            let gradient = PathGradient::of(&frozen, &ws, &part.noise, y.clone());
            tracked.push(w.inner());
            halves.push((share, part.noise, ws, y, gradient));
        }
        self.track_w_avg(tracked)?;
        let means = self.path_length_means(&penalty, halves.iter().map(|(.., half)| half))?;
        for ((share, noise, ws, y, gradient), mean) in halves.into_iter().zip(means) {
            let (surrogate, value) =
                penalty.penalty(&self.g.synthesis, gradient, ws, &noise, y, mean);
            sum.values.portion("loss/pl_penalty", value, share);
            sum.add(&self.g, surrogate, settings.pl_interval as f64 * share);
        }
        self.means.add("pl_mean", self.pl_mean.clone());
        let gradients = sum.finish(&self.g, &mut self.means)?;
        let lr = self.lr_g();
        self.g = self.adam_g.step(self.g.clone(), gradients, lr);
        Ok(())
    }

    /// Moves the running mean of path lengths from round to round of the batch. Returns its values
    /// after this rank's rounds.
    fn path_length_means<'a>(
        &mut self,
        penalty: &PathLength,
        own: impl Iterator<Item = &'a PathGradient>,
    ) -> Result<Vec<Tensor<1>>> {
        let own: Vec<Tensor<1>> = own.map(PathGradient::mean_length).collect();
        let count = own.len();
        let lengths = self.ranks.gather(own, &self.device)?.split(1, 0);
        let all = lengths.into_iter().map(|length| {
            self.pl_mean = penalty.average(self.pl_mean.clone(), length);
            self.pl_mean.clone()
        });
        let all: Vec<_> = all.collect();
        let before = self.ranks.rank() * all.len() / self.ranks.size();
        Ok(all[before..before + count].to_vec())
    }

    /// Trains D for one step on L_Dmain. The condition encoder learns only from real images, so
    /// that the meaning of a condition does not depend on the current abilities of G.
    pub(super) fn phase_d_main(&mut self, real: &Real<C::BatchCondition>) -> Result<()> {
        let StyleganSettings { batch, loss, .. } = self.settings;
        let round = self.round;
        let generator = self.g.valid();
        let latents = self.source().latents("dmain", batch, &generator)?;
        let for_fake = self.source().transform("dmain.fake", batch);
        let for_real = self.source().transform("dmain.real", batch);
        let critic = self.conditioning.critic(&self.d);
        if let Some(vision) = &mut self.vision {
            vision.critics = vision.critics.clone().iterated();
        }
        let judged = self.judged_by_features("dmain", batch);
        let mut vision_sum = self.sum();
        let mut sum = self.sum();
        let (mut tracked, mut margins, mut gaps) = (Vec::new(), Vec::new(), Vec::new());
        for (range, share) in self.rounds(batch, round) {
            let part = latents.part(&range);
            let (ws, w) = part.codes(&generator);
            let fake = generator.synthesis.forward(ws, &part.noise);
            let images = augmented(fake.clone(), &for_fake, &range).value;
            let fakes = Fakes { images, label: part.label, conditioned: part.conditioned };
            let real = real.part::<C>(&range);
            if let Some(judged) = &judged {
                let VisionAid { features, critics, .. } = judged.by;
                let fake = augmented(fake, &judged.fake, &range).value;
                let real = augmented(real.images.clone().into(), &judged.real, &range).value;
                let (value, logits) = features.discriminator_loss(loss, critics, fake, real);
                sum.values.portion("vision/D", value.clone().inner(), share);
                for (name, logits) in ["vision/real", "vision/fake"].into_iter().zip(logits) {
                    sum.values.portion(name, logits, share);
                }
                vision_sum.add(critics, value, share);
            }
            let images = augmented(real.images.into(), &for_real, &range);
            let found = self.conditioning.discriminator_loss(
                loss,
                &critic,
                fakes,
                images.value,
                &real.condition,
                &mut sum.values,
            );
            let real_logits = found.real_logits.inner();
            let real_mean = real_logits.clone().mean();
            sum.values.each("score/real", real_mean.clone());
            sum.values.portion("loss/D", found.loss.clone().inner(), share);
            sum.add_with_encoder(&self.d, &self.conditioning, found.loss, share);
            let fake_logits = found.fake_logits.inner();
            if self.penalty.is_adapted() {
                gaps.push(real_mean - fake_logits.clone().mean());
            }
            margins.push(loss.margin(fake_logits, real_logits));
            tracked.push(w);
        }
        self.track_w_avg(tracked)?;
        self.observe(margins, &mut sum)?;
        if self.penalty.is_adapted() {
            self.penalty.observe(&self.ranks.gather(gaps, &self.device)?);
        }
        self.conditioning.step(sum.take_encoder(&self.ranks))?;
        let gradients = sum.finish(&self.d, &mut self.means)?;
        let lr = self.lr_d();
        self.d = self.adam_d.step(self.d.clone(), gradients, lr);
        if let Some(VisionAid { critics, adam, .. }) = &mut self.vision {
            let gradients = vision_sum.finish(critics, &mut self.means)?;
            *critics = adam.step(critics.clone(), gradients, self.settings.lr_at(self.nimg));
        }
        Ok(())
    }

    /// Trains D for one step on R1 of the same real images, with respect to the images before
    /// augmentation. R2 is the same penalty on generated images.
    pub(super) fn phase_d_regular(&mut self, real: &Real<C::BatchCondition>) -> Result<()> {
        let mut sum = self.sum();
        if self.settings.r1_gamma > 0.0 {
            self.add_r1(real, &mut sum)?;
        }
        if self.settings.r2_gamma > 0.0 {
            sum.next_pass();
            self.add_r2(&mut sum)?;
        }
        self.conditioning.step(sum.take_encoder(&self.ranks))?;
        let gradients = sum.finish(&self.d, &mut self.means)?;
        let lr = self.lr_d();
        self.d = self.adam_d.step(self.d.clone(), gradients, lr);
        Ok(())
    }

    fn add_r1(&mut self, real: &Real<C::BatchCondition>, sum: &mut Sum) -> Result<()> {
        let StyleganSettings { batch, loss, r1_interval, .. } = self.settings;
        let r1_gamma = self.penalty.r1();
        let round = self.round;
        let transform = self.source().transform("dreg", batch);
        let critic = self.conditioning.critic(&self.d);
        let mut margins = Vec::new();
        for (range, share) in self.rounds(batch, round) {
            let real = real.part::<C>(&range);
            let r1 = R1::new(&critic, real.images, r1_gamma, |critic, x| {
                C::score(critic, augmented(x, &transform, &range), &real.condition)
            });
            sum.values.portion("loss/r1", r1.value, share);
            let weight = r1_interval as f64 * share;
            sum.add_with_encoder(&self.d, &self.conditioning, r1.surrogate, weight);
            let logits = r1.logits.inner();
            sum.values.each("score/real", logits.clone().mean());
            // A loss on pairs gives the logits of real images alone no meaning.
            if !loss.pairs() {
                margins.push(logits);
            }
        }
        if loss.pairs() { Ok(()) } else { self.observe(margins, sum) }
    }

    fn add_r2(&mut self, sum: &mut Sum) -> Result<()> {
        let StyleganSettings { batch, r1_interval, .. } = self.settings;
        let r2_gamma = self.penalty.r2();
        let round = self.round;
        let generator = self.g.valid();
        let latents = self.source().latents("dreg", batch, &generator)?;
        let transform = self.source().transform("dreg.fake", batch);
        for (range, share) in self.rounds(batch, round) {
            let part = latents.part(&range);
            let (ws, _) = part.codes(&generator);
            let fake = generator.synthesis.forward(ws, &part.noise).value;
            let r2 = R1::new(&self.d, fake, r2_gamma, |d, x| {
                let trunk = d.trunk(augmented(x, &transform, &range));
                d.score(trunk, part.label.clone(), part.conditioned.clone())
            });
            sum.values.portion("loss/r2", r2.value, share);
            sum.add(&self.d, r2.surrogate, r1_interval as f64 * share);
        }
        Ok(())
    }

    /// Passes the margins `[N]` of augmented real images, by round, to the ADA controller and to the
    /// metrics; see [`AdversarialLoss::margin`](crate::systems::gan::AdversarialLoss::margin).
    fn observe(&mut self, margins: Vec<Tensor<1>>, sum: &mut Sum) -> Result<()> {
        for margin in &margins {
            sum.values.each("sign/real", margin.clone().sign().mean());
        }
        if self.augment.is_adaptive() {
            self.augment.observe(&self.ranks.gather(margins, &self.device)?);
        }
        Ok(())
    }

    fn lr_g(&self) -> f64 {
        self.settings.lr_at(self.nimg) * lazy_factor(self.settings.pl_interval)
    }

    fn lr_d(&self) -> f64 {
        self.settings.lr_at(self.nimg) * lazy_factor(self.settings.r1_interval)
    }

    pub(super) fn real_images(&mut self) -> Result<Real<C::BatchCondition>> {
        let batch = self.loader.batch(self.nimg)?;
        let side = self.settings.network.resolution;
        Ok(Real {
            images: picture::to_tensor(&batch.pixels, side, &self.device),
            own: batch.part.clone(),
            condition: self.conditioning.of_batch(&batch, self.seed, self.nimg, &self.device)?,
        })
    }
}
