//! The rows of a whole batch, computed in rounds on several ranks, for losses that compare all rows
//! with one another.

use std::ops::Range;

use burn::module::Module;
use burn::tensor::{Device, Gradients, Tensor};

use super::gradient_sum::GradientSum;
use super::rounds::rows;
use crate::error::Result;
use crate::nn::params::NamedGradients;
use crate::ranks::Ranks;

/// The outputs of a network for each row of a batch, from the rounds of all ranks.
///
/// A contrastive loss needs all rows at once, so every rank computes it from [`rows`](Self::rows).
/// [`backward`](Self::backward) then carries its gradient through the rounds of this rank.
pub struct Gathered {
    /// This rank's rounds: their rows, and the values `[rows, size]` that depend on the network.
    rounds: Vec<(Range<usize>, Tensor<2>)>,
    rows: Tensor<2>,
}

impl Gathered {
    /// Collects the rounds of all ranks; `rounds` are those of this rank.
    ///
    /// # Errors
    /// If a rank does not answer.
    pub fn new(
        ranks: &Ranks,
        rounds: Vec<(Range<usize>, Tensor<2>)>,
        device: &Device,
    ) -> Result<Self> {
        let detached = rounds.iter().map(|(_, values)| values.clone().inner()).collect();
        let rows = ranks.gather(detached, device)?.autodiff().require_grad();
        Ok(Self { rounds, rows })
    }

    /// The rows of the whole batch: `[B, size]`.
    pub fn rows(&self) -> Tensor<2> {
        self.rows.clone()
    }

    /// Adds the gradients of `network`, which computed the rows, to `sum`. `gradients` are those of
    /// a loss that depends on [`rows`](Self::rows).
    pub fn backward<M: Module>(self, gradients: &Gradients, network: &M, sum: &mut GradientSum) {
        for along in self.along(gradients) {
            sum.add(NamedGradients::of(network, &along.backward()));
        }
    }

    /// For each round of this rank, a surrogate loss `[1]` whose gradient equals that of the loss
    /// behind `gradients`. It can be added to the other losses of the round.
    pub fn along(self, gradients: &Gradients) -> Vec<Tensor<1>> {
        let towards = match self.rows.grad(gradients) {
            Some(gradient) => gradient.inner(),
            None => self.rows.inner().zeros_like(),
        };
        let of_round =
            |(range, values): (Range<usize>, Tensor<2>)| (values * rows(&towards, &range)).sum();
        self.rounds.into_iter().map(of_round).collect()
    }
}
