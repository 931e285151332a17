//! Conditions of the networks during training.
//!
//! The trainer uses only the trait. This file implements the two simplest cases, no condition and
//! classes. Captions are a separate system, [`stylegan_text`](crate::systems::stylegan_text).

use std::ops::Range;
use std::sync::Arc;

use burn::module::Module;
use burn::tensor::{Device, Gradients, Tensor};
use rand_chacha::ChaCha8Rng;

use super::transfer::Transferred;
use super::{Discriminator, Labels, StyleganSettings};
use crate::data::{Archive, Batch};
use crate::error::Result;
use crate::model::Model;
use crate::nn::Dual;
use crate::nn::params::NamedGradients;
use crate::systems::gan::AdversarialLoss;
use crate::train::Parts;
use crate::train::gradient_sum::GradientSum;
use crate::train::round_values::RoundValues;
use crate::train::rounds::rows;

/// Selects the weights of a network in training.
#[derive(Debug, Clone, Copy)]
pub enum Weights {
    /// The weights of this iteration.
    Current,
    /// Their moving average.
    Averaged,
}

/// The generated images of L_Dmain.
pub struct Fakes {
    /// The images, augmented: `[N, 3, res, res]`.
    pub images: Tensor<4>,
    /// Their conditions `[N, condition]`, if the networks have conditions.
    pub label: Option<Tensor<2>>,
    /// 1 for images that D judges with their condition, 0 for the others: `[N]`. `None` if D judges
    /// all of them with it, or if there is no condition.
    pub conditioned: Option<Tensor<1>>,
}

/// The main loss of D on one round.
pub struct DiscriminatorLoss {
    /// The loss `[1]`.
    pub loss: Tensor<1>,
    /// Logits of the generated images `[N]`.
    pub fake_logits: Tensor<1>,
    /// Logits of the real images with their own conditions `[N]`.
    pub real_logits: Tensor<1>,
}

/// The condition of the networks, with any encoder of it that is trained together with D.
///
/// The default methods do nothing, which is right for conditions without an encoder.
pub trait Conditioning: Sized {
    /// The conditions of a batch of real images.
    type BatchCondition: Clone;
    /// D together with the condition encoder, so that both are regularised together.
    type Critic: Module;

    /// Reads the conditions that `settings` require from the archive. Fills in settings that are
    /// left open, such as the kind of a vocabulary.
    ///
    /// # Errors
    /// If the archive lacks these conditions.
    fn of(
        archive: &Arc<Archive>,
        settings: &mut StyleganSettings,
        seed: u64,
        device: &Device,
    ) -> Result<Self>;

    /// Fraction of the training images that have a condition. `None` if it is always all or none.
    fn share(&self) -> Option<f64> {
        None
    }

    /// Warnings about the conditions of the training images, each with a remedy.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }

    /// Draws conditions for generated images, as often as they occur in the training split:
    /// `[count, condition]`, detached. `None` for unconditional networks.
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

    /// Conditions of the samples with these seeds, for the averaged G: `[N, condition]`.
    ///
    /// # Errors
    /// If a condition cannot be read.
    fn of_seeds(&self, seeds: &[u64], device: &Device) -> Result<Option<Tensor<2>>>;

    /// The conditions of a batch of real images.
    ///
    /// # Errors
    /// If a condition cannot be read.
    fn of_batch(
        &self,
        batch: &Batch,
        seed: u64,
        nimg: u64,
        device: &Device,
    ) -> Result<Self::BatchCondition>;

    /// The conditions of some of the images.
    fn part(condition: &Self::BatchCondition, range: &Range<usize>) -> Self::BatchCondition;

    /// D together with the condition encoder.
    fn critic(&self, d: &Discriminator) -> Self::Critic;

    /// Logits `[N]` of images `[N, 3, res, res]` with their own conditions.
    fn score(critic: &Self::Critic, images: Dual<4>, condition: &Self::BatchCondition) -> Dual<1>;

    /// L_Dmain of one round, on generated images and on as many real images `[N, 3, res, res]` with
    /// their conditions. Logs to `values`.
    fn discriminator_loss(
        &self,
        loss: AdversarialLoss,
        critic: &Self::Critic,
        fakes: Fakes,
        images: Tensor<4>,
        condition: &Self::BatchCondition,
        values: &mut RoundValues,
    ) -> DiscriminatorLoss;

    /// The gradients of the condition encoder.
    fn gradients(&self, _gradients: &Gradients) -> NamedGradients {
        NamedGradients::default()
    }

    /// Updates the condition encoder.
    ///
    /// # Errors
    /// If a rank does not answer.
    fn step(&mut self, _gradients: GradientSum) -> Result<()> {
        Ok(())
    }

    /// Updates the moving average of the condition encoder with decay `beta`.
    fn average(&mut self, _beta: f64) {}

    /// Number of non-finite gradients; see
    /// [`Adam::take_non_finite`](crate::nn::Adam::take_non_finite).
    fn take_non_finite(&mut self) -> u64 {
        0
    }

    /// Copies the encoder's weights from a model if both have the same meaning.
    ///
    /// # Errors
    /// If a vocabulary cannot be serialised.
    fn transfer(&mut self, _model: &Model, _counts: &mut Transferred) -> Result<()> {
        Ok(())
    }

    /// Lists the parts of the condition encoder; see
    /// [`Trainer::parts`](crate::train::Trainer::parts).
    ///
    /// # Errors
    /// On restoring, if the checkpoint belongs to other networks.
    fn parts(&mut self, _parts: &mut Parts) -> Result<()> {
        Ok(())
    }

    /// Adds the texts that drawing needs, such as a vocabulary, to a model.
    ///
    /// # Errors
    /// If a text cannot be serialised.
    fn put_texts(&self, _model: &mut Model) -> Result<()> {
        Ok(())
    }
}

/// No condition, or the class of an image.
pub struct Classes(pub(super) Option<Labels>);

impl Conditioning for Classes {
    type BatchCondition = Option<Tensor<2>>;
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
    ) -> Result<Self::BatchCondition> {
        Ok(self.0.as_ref().map(|labels| labels.of_batch(batch, device)))
    }

    fn part(condition: &Self::BatchCondition, range: &Range<usize>) -> Self::BatchCondition {
        condition.as_ref().map(|label| rows(label, range))
    }

    fn critic(&self, d: &Discriminator) -> Discriminator {
        d.clone()
    }

    fn score(critic: &Discriminator, images: Dual<4>, condition: &Self::BatchCondition) -> Dual<1> {
        critic.forward(images, condition.clone())
    }

    fn discriminator_loss(
        &self,
        loss: AdversarialLoss,
        critic: &Discriminator,
        fakes: Fakes,
        images: Tensor<4>,
        condition: &Self::BatchCondition,
        _values: &mut RoundValues,
    ) -> DiscriminatorLoss {
        let [fake, real] = critic.trunk_of_pair(fakes.images, images);
        let fake_logits = critic.score(fake.into(), fakes.label, fakes.conditioned).value;
        let real_logits = critic.score(real.into(), condition.clone(), None).value;
        let loss = loss.discriminator(fake_logits.clone(), real_logits.clone());
        DiscriminatorLoss { loss, fake_logits, real_logits }
    }
}
