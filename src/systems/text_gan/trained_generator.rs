//! A generator in training, with the average that draws and its optimiser.

use burn::module::Module;

use super::drawing::R_EMA;
use crate::error::Result;
use crate::nn::params::NamedGradients;
use crate::nn::{Adam, AdamSettings, ema};
use crate::train::{Keep, Parts};

/// Prefix of the generator in checkpoints.
const R: &str = "R";

/// A generator, the moving average of its weights, and the optimiser.
pub struct TrainedGenerator<G> {
    network: G,
    average: G,
    adam: Adam,
}

impl<G: Module> TrainedGenerator<G> {
    /// A new generator, without gradients.
    pub fn new(network: G, adam: AdamSettings) -> Self {
        Self { average: network.valid(), network: network.train(), adam: Adam::new(adam) }
    }

    /// The generator, with gradients.
    pub fn network(&self) -> &G {
        &self.network
    }

    /// Its moving average, whose batch statistics are not those of drawing.
    pub fn average(&self) -> &G {
        &self.average
    }

    /// One step.
    pub fn step(&mut self, gradients: NamedGradients, lr: f64) {
        self.network = self.adam.step(self.network.clone(), gradients, lr);
    }

    /// Updates the average, whose decay is `beta`.
    pub fn update_average(&mut self, beta: f64) {
        self.average = ema::update(self.average.clone(), &self.network, beta);
    }

    /// Number of gradients that were not finite since the last call.
    pub fn take_non_finite(&mut self) -> u64 {
        self.adam.take_non_finite()
    }

    /// Adds the generator, its average and the optimiser to the parts of a trainer. Models contain
    /// the generator that draws instead, under the prefix of the average.
    ///
    /// # Errors
    /// Those of `parts`.
    pub fn parts(&mut self, parts: &mut Parts) -> Result<()> {
        parts.network(R, &mut self.network, Keep::Checkpoint)?;
        parts.network(R_EMA, &mut self.average, Keep::Checkpoint)?;
        parts.optimiser("adam_R", &mut self.adam, &self.network)
    }
}
