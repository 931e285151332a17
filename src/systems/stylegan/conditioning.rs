//! What the networks are conditioned on while they train.
//!
//! The trainer knows only the trait. This file has the two simplest cases: nothing, and classes.
//! Captions are a system of their own, [`stylegan_text`](crate::systems::stylegan_text).

use std::ops::Range;
use std::sync::Arc;

use burn::module::Module;
use burn::tensor::{Device, Gradients, Tensor};
use rand_chacha::ChaCha8Rng;

use super::rounds::rows;
use super::transfer::Transferred;
use super::{Discriminator, Labels, StyleganSettings};
use crate::data::{Archive, Batch};
use crate::error::Result;
use crate::model::Model;
use crate::nn::Dual;
use crate::nn::params::NamedGradients;
use crate::systems::gan::adversarial::{discriminator_fake, discriminator_real};
use crate::train::{Means, Parts};

/// Which weights of a network that is trained.
#[derive(Debug, Clone, Copy)]
pub enum Weights {
    /// Those of this iteration.
    Current,
    /// Their moving average.
    Averaged,
}

/// Generated images as the discriminator sees them in L_Dmain.
pub struct Fakes {
    /// D's logits [N].
    pub logits: Tensor<1>,
    /// 1 for images that were judged with their condition, 0 for the others: [N]. `None` where all
    /// were, or where there is no condition.
    pub conditioned: Option<Tensor<1>>,
}

/// D's main loss on one round.
pub struct DiscriminatorLoss {
    /// To be minimised [1].
    pub loss: Tensor<1>,
    /// Logits of the real images with their own conditions [N].
    pub real_logits: Tensor<1>,
}

/// What the networks are conditioned on, and what is trained beside D to read it.
///
/// The methods with a default do nothing: they suit a condition without weights of its own.
pub trait Conditioning: Sized {
    /// What belongs to a batch of real images.
    type Given: Clone;
    /// D together with what is trained beside it, so that both are regularised together.
    type Critic: Module;

    /// Reads from the archive what `settings` ask for. Settings that are left open, such as the
    /// kind of a vocabulary, are filled in.
    ///
    /// # Errors
    /// If the archive lacks what the settings ask for.
    fn of(
        archive: &Arc<Archive>,
        settings: &mut StyleganSettings,
        seed: u64,
        device: &Device,
    ) -> Result<Self>;

    /// Share of the training images that have a condition. `None` where that is no question.
    fn share(&self) -> Option<f64> {
        None
    }

    /// Conditions for generated images, drawn as they occur in the training split: [count,
    /// condition], detached. `None` for unconditional networks.
    ///
    /// # Errors
    /// If a condition cannot be read.
    fn draw(
        &self,
        of: Weights,
        rng: &mut ChaCha8Rng,
        count: usize,
        device: &Device,
    ) -> Result<Option<Tensor<2>>>;

    /// Conditions of the samples of these seeds, for the average of G: [N, condition].
    ///
    /// # Errors
    /// If a condition cannot be read.
    fn of_seeds(&self, seeds: &[u64], device: &Device) -> Result<Option<Tensor<2>>>;

    /// What belongs to a batch of real images.
    ///
    /// # Errors
    /// If a condition cannot be read.
    fn of_batch(&self, batch: &Batch, seed: u64, nimg: u64, device: &Device)
    -> Result<Self::Given>;

    /// The part of it that belongs to some of the images.
    fn part(given: &Self::Given, range: &Range<usize>) -> Self::Given;

    /// D with what is trained beside it.
    fn critic(&self, d: &Discriminator) -> Self::Critic;

    /// Logits [N] of images [N, 3, res, res] with their own conditions.
    fn score(critic: &Self::Critic, images: Dual<4>, given: &Self::Given) -> Dual<1>;

    /// L_Dmain of one round: generated images, and real ones [N, 3, res, res] with what belongs to
    /// them.
    fn discriminator_loss(
        &self,
        critic: &Self::Critic,
        fakes: Fakes,
        images: Dual<4>,
        given: &Self::Given,
        means: &mut Means,
    ) -> DiscriminatorLoss;

    /// The gradients of what is trained beside D.
    fn gradients(&self, _gradients: &Gradients) -> NamedGradients {
        NamedGradients::default()
    }

    /// Updates what is trained beside D.
    fn step(&mut self, _gradients: NamedGradients) {}

    /// Updates its moving average with decay `beta`.
    fn average(&mut self, _beta: f64) {}

    /// See [`Adam::take_non_finite`](crate::nn::Adam::take_non_finite).
    fn take_non_finite(&mut self) -> u64 {
        0
    }

    /// Takes weights over from a model, where they mean the same.
    ///
    /// # Errors
    /// If a vocabulary does not serialise.
    fn transfer(&mut self, _model: &Model, _counts: &mut Transferred) -> Result<()> {
        Ok(())
    }

    /// Lists what is trained beside D; see [`Trainer::parts`](crate::train::Trainer::parts).
    ///
    /// # Errors
    /// On restoring, if the checkpoint belongs to other networks.
    fn parts(&mut self, _parts: &mut Parts) -> Result<()> {
        Ok(())
    }

    /// Adds texts that drawing needs, such as a vocabulary, to a model.
    ///
    /// # Errors
    /// If a text does not serialise.
    fn put_texts(&self, _model: &mut Model) -> Result<()> {
        Ok(())
    }
}

/// Nothing, or the class of an image.
pub struct Classes(Option<Labels>);

impl Conditioning for Classes {
    type Given = Option<Tensor<2>>;
    type Critic = Discriminator;

    fn of(
        archive: &Arc<Archive>,
        settings: &mut StyleganSettings,
        _seed: u64,
        _device: &Device,
    ) -> Result<Self> {
        Ok(Self(Labels::of(archive, settings.network.classes)?))
    }

    fn draw(
        &self,
        _of: Weights,
        rng: &mut ChaCha8Rng,
        count: usize,
        device: &Device,
    ) -> Result<Option<Tensor<2>>> {
        Ok(self.0.as_ref().map(|labels| labels.draw(rng, count, device)))
    }

    fn of_seeds(&self, seeds: &[u64], device: &Device) -> Result<Option<Tensor<2>>> {
        Ok(self.0.as_ref().map(|labels| labels.of_seeds(seeds, device)))
    }

    fn of_batch(
        &self,
        batch: &Batch,
        _seed: u64,
        _nimg: u64,
        device: &Device,
    ) -> Result<Self::Given> {
        Ok(self.0.as_ref().map(|labels| labels.of_items(&batch.items, device)))
    }

    fn part(given: &Self::Given, range: &Range<usize>) -> Self::Given {
        given.as_ref().map(|label| rows(label, range))
    }

    fn critic(&self, d: &Discriminator) -> Discriminator {
        d.clone()
    }

    fn score(critic: &Discriminator, images: Dual<4>, given: &Self::Given) -> Dual<1> {
        critic.forward(images, given.clone())
    }

    fn discriminator_loss(
        &self,
        critic: &Discriminator,
        fakes: Fakes,
        images: Dual<4>,
        given: &Self::Given,
        _means: &mut Means,
    ) -> DiscriminatorLoss {
        let real_logits = Self::score(critic, images, given).value;
        let loss = discriminator_fake(fakes.logits) + discriminator_real(real_logits.clone());
        DiscriminatorLoss { loss, real_logits }
    }
}
