//! Gradients of a network, summed over the rounds of a batch.

use burn::module::Module;
use burn::tensor::Tensor;

use crate::error::Result;
use crate::nn::packed::upload;
use crate::nn::params::{NamedGradients, flatten, to_vec};
use crate::ranks::Ranks;

/// Gradients of a network, summed over the rounds of a batch on all ranks.
///
/// A process that trains alone adds them on its device. Several ranks exchange one flat buffer for
/// the whole network.
pub struct GradientSum {
    ranks: Ranks,
    /// Alone, or if the order does not matter: the sum so far.
    sum: NamedGradients,
    /// Otherwise the rounds of this rank, by group, because other ranks' rounds may come between.
    rounds: Vec<Vec<Round>>,
}

/// The gradients of a round, one after the other.
struct Round {
    layout: Vec<(String, usize)>,
    values: Vec<f32>,
}

impl GradientSum {
    /// An empty sum.
    pub fn among(ranks: &Ranks) -> Self {
        Self { ranks: ranks.clone(), sum: NamedGradients::default(), rounds: vec![Vec::new()] }
    }

    /// Adds the gradients of the next round.
    pub fn add(&mut self, gradients: NamedGradients) {
        if self.ranks.size() == 1 || !self.ranks.are_exact() {
            return self.sum.add(gradients);
        }
        let round = Round::of(gradients);
        self.rounds.last_mut().expect("there is always a group").push(round);
    }

    /// Starts the second pass over the batch: its rounds come after those of the first one on all
    /// ranks.
    pub fn next_pass(&mut self) {
        self.rounds.push(Vec::new());
    }

    /// The sum over all ranks, for the trained parameters of `module`.
    ///
    /// # Errors
    /// If a rank does not answer.
    pub fn finish<M: Module>(self, module: &M) -> Result<NamedGradients> {
        if self.ranks.size() == 1 {
            return Ok(self.sum);
        }
        let flat = flatten(module).into_iter().filter(|(_, flat)| flat.trained);
        let (layout, device): (Vec<_>, Vec<_>) =
            flat.map(|(name, flat)| ((name, flat.values.dims()[0]), flat.values.device())).unzip();
        let Some(device) = device.first() else { return Ok(NamedGradients::default()) };
        let len = layout.iter().map(|(_, count)| count).sum();
        let sum = if self.ranks.are_exact() {
            let passes: Vec<Vec<Vec<f32>>> = (self.rounds.into_iter())
                .map(|pass| pass.into_iter().map(|round| round.laid_out(&layout)).collect())
                .collect();
            self.ranks.sum_in_order(&passes, len)?
        } else {
            let mut values = Round::of(self.sum).laid_out(&layout);
            self.ranks.sum_fast(&mut values)?;
            values
        };
        let mut rest = sum.as_slice();
        let mut arrays = Vec::with_capacity(layout.len());
        for (_, count) in &layout {
            let (array, others) = rest.split_at(*count);
            arrays.push(array.to_vec());
            rest = others;
        }
        let names = layout.into_iter().map(|(name, _)| name);
        Ok(NamedGradients(names.zip(upload(arrays, device)).collect()))
    }
}

impl Round {
    /// Copies gradients from the device, all together.
    fn of(gradients: NamedGradients) -> Self {
        let (layout, values): (Vec<_>, Vec<Tensor<1>>) = (gradients.0.into_iter())
            .map(|(name, gradient)| ((name, gradient.dims()[0]), gradient))
            .unzip();
        let values = if values.is_empty() { Vec::new() } else { to_vec(Tensor::cat(values, 0)) };
        Self { layout, values }
    }

    /// The values in the order of `layout`, with zeros for parameters without a gradient.
    fn laid_out(self, layout: &[(String, usize)]) -> Vec<f32> {
        if self.layout == layout {
            return self.values;
        }
        let mut starts = std::collections::BTreeMap::new();
        let mut start = 0;
        for (name, count) in &self.layout {
            starts.insert(name, start..start + count);
            start += count;
        }
        let mut values = Vec::new();
        for (name, count) in layout {
            match starts.get(name) {
                Some(range) => values.extend_from_slice(&self.values[range.clone()]),
                None => values.resize(values.len() + count, 0.0),
            }
        }
        values
    }
}
