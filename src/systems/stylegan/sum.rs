//! Summing gradients and logged values over the rounds of a batch.

use burn::module::Module;
use burn::tensor::Tensor;

use super::conditioning::Conditioning;
use crate::error::Result;
use crate::kernels::KeptWeights;
use crate::nn::params::NamedGradients;
use crate::ranks::Ranks;
use crate::train::Means;
use crate::train::gradient_sum::GradientSum;
use crate::train::round_values::RoundValues;

/// Gradients and logged values of a batch, summed over its rounds.
pub(super) struct Sum {
    gradients: GradientSum,
    /// Gradients of the condition encoder.
    encoder: GradientSum,
    pub values: RoundValues,
    /// Factor of the losses, and so of the gradients.
    scale: f64,
    /// All rounds of the batch use the same weights.
    _weights: KeptWeights,
}

impl Sum {
    /// An empty sum of gradients times `scale`.
    pub fn among(ranks: &Ranks, scale: f64) -> Self {
        Self {
            gradients: GradientSum::among(ranks),
            encoder: GradientSum::among(ranks),
            values: RoundValues::among(ranks),
            scale,
            _weights: KeptWeights::new(),
        }
    }

    /// Differentiates the loss `[1]` of one round, times its weight.
    pub fn add<M: Module>(&mut self, module: &M, loss: Tensor<1>, weight: f64) {
        let gradients = self.scaled(loss, weight).backward();
        self.gradients.add(NamedGradients::of(module, &gradients));
    }

    /// Like [`add`](Self::add), but also adds the gradients of the condition encoder.
    pub fn add_with_encoder<M: Module, C: Conditioning>(
        &mut self,
        module: &M,
        conditioning: &C,
        loss: Tensor<1>,
        weight: f64,
    ) {
        let gradients = self.scaled(loss, weight).backward();
        self.gradients.add(NamedGradients::of(module, &gradients));
        self.encoder.add(conditioning.gradients(&gradients));
    }

    fn scaled(&self, loss: Tensor<1>, weight: f64) -> Tensor<1> {
        let factor = weight * self.scale;
        if factor == 1.0 { loss } else { loss * factor }
    }

    /// Starts the second pass over the batch; see [`GradientSum::next_pass`].
    pub fn next_pass(&mut self) {
        self.gradients.next_pass();
        self.encoder.next_pass();
    }

    /// Takes the gradients of the condition encoder.
    pub fn take_encoder(&mut self, ranks: &Ranks) -> GradientSum {
        std::mem::replace(&mut self.encoder, GradientSum::among(ranks))
    }

    /// Logs the values, and returns the gradients of `module`.
    ///
    /// # Errors
    /// If a rank does not answer.
    pub fn finish<M: Module>(self, module: &M, means: &mut Means) -> Result<NamedGradients> {
        self.values.finish(means)?;
        self.gradients.finish(module)
    }
}
