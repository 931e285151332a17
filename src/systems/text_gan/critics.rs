//! The discriminators of a run, one for each size of the images, with their optimisers.

use burn::module::Module;
use burn::tensor::Tensor;

use super::discriminator::{Discriminator, DiscriminatorNetwork, Logits};
use crate::error::Result;
use crate::nn::params::NamedGradients;
use crate::nn::{Adam, AdamSettings, Init};
use crate::train::round_values::RoundValues;
use crate::train::{Keep, Parts};

/// Prefixes of the discriminators in models and checkpoints, in the order of their images.
pub const CRITICS: [&str; 5] = ["R_D0", "R_D1", "R_D2", "R_D3", "R_D4"];

/// Discriminators that are trained one after the other.
pub struct Critics {
    networks: Vec<Discriminator>,
    optimisers: Vec<Adam>,
}

impl Critics {
    /// New discriminators. `init` gives the initial weights of each.
    pub fn new(
        networks: &[DiscriminatorNetwork],
        adam: AdamSettings,
        init: impl Fn(usize) -> Init,
    ) -> Self {
        let new = |(index, network)| Discriminator::new(network, &mut init(index)).train();
        Self {
            networks: networks.iter().enumerate().map(new).collect(),
            optimisers: networks.iter().map(|_| Adam::new(adam)).collect(),
        }
    }

    /// Number of discriminators.
    pub fn len(&self) -> usize {
        self.networks.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.networks.is_empty()
    }

    /// One of the discriminators, with gradients.
    pub fn get(&self, index: usize) -> &Discriminator {
        &self.networks[index]
    }

    /// The sum of the losses of a generator by all discriminators, which are constants here → `[1]`.
    /// `images` are its images at the size of each, `conditions` `[N, condition]` theirs.
    pub fn adversarial(
        &self,
        images: &[Tensor<4>],
        conditions: Option<&Tensor<2>>,
        loss: impl Fn(Logits) -> Tensor<1>,
    ) -> Tensor<1> {
        let of_each =
            self.networks.iter().zip(images).map(|(d, image)| {
                loss(d.valid().forward(image.clone(), conditions.cloned(), None))
            });
        of_each.reduce(|sum, loss| sum + loss).expect("a generator has an image")
    }

    /// One step of a discriminator.
    pub fn step(&mut self, index: usize, gradients: NamedGradients, lr: f64) {
        let network = self.networks[index].clone();
        self.networks[index] = self.optimisers[index].step(network, gradients, lr);
    }

    /// Number of gradients that were not finite since the last call.
    pub fn take_non_finite(&mut self) -> u64 {
        self.optimisers.iter_mut().map(Adam::take_non_finite).sum()
    }

    /// Adds the discriminators and their optimisers to the parts of a trainer.
    ///
    /// # Errors
    /// Those of `parts`.
    pub fn parts(&mut self, parts: &mut Parts) -> Result<()> {
        let optimisers = self.optimisers.iter_mut();
        for ((network, adam), name) in self.networks.iter_mut().zip(optimisers).zip(CRITICS) {
            parts.network(name, network, Keep::Both)?;
            parts.optimiser(&format!("adam_{name}"), adam, network)?;
        }
        Ok(())
    }
}

/// Logs the mean logits of a discriminator in a round: `score0/real` with captions,
/// `score0/real_image` alone.
pub struct Scores<'a> {
    values: &'a mut RoundValues,
    index: usize,
    share: f64,
}

impl<'a> Scores<'a> {
    /// The log of the discriminator `index`, for a round with this share in the batch.
    pub fn new(values: &'a mut RoundValues, index: usize, share: f64) -> Self {
        Self { values, index, share }
    }

    /// Adds the logits of images, with captions and alone.
    pub fn add(&mut self, name: &str, logits: &Logits) {
        self.add_mean(&format!("{name}_image"), &logits.unconditional);
        if let Some(conditional) = &logits.conditional {
            self.add_mean(name, conditional);
        }
    }

    /// Adds the mean of logits `[N]`.
    pub fn add_mean(&mut self, name: &str, logits: &Tensor<1>) {
        let mean = logits.clone().inner().mean();
        self.values.portion(&format!("score{}/{name}", self.index), mean, self.share);
    }
}
