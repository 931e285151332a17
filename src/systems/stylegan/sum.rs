//! Summing gradients and logged values over the rounds of a batch.

use burn::module::Module;
use burn::tensor::Tensor;

use super::conditioning::Conditioning;
use crate::nn::params::NamedGradients;
use crate::train::Means;

/// Gradients and logged values of a batch, summed over its rounds.
#[derive(Default)]
pub(super) struct Sum {
    gradients: NamedGradients,
    /// Gradients of the condition encoder.
    encoder: NamedGradients,
    loss: Option<Tensor<1>>,
    logged: Vec<(&'static str, Tensor<1>)>,
}

impl Sum {
    /// Differentiates the weighted loss of one round.
    pub fn add<M: Module, const N: usize>(
        &mut self,
        module: &M,
        loss: Tensor<1>,
        logged: [(&'static str, Tensor<1>); N],
    ) {
        let gradients = loss.clone().backward();
        self.gradients.add(NamedGradients::of(module, &gradients));
        self.log(loss, logged);
    }

    /// Like [`add`](Self::add), but also adds the gradients of the condition encoder.
    pub fn add_with_encoder<M: Module, C: Conditioning, const N: usize>(
        &mut self,
        module: &M,
        conditioning: &C,
        loss: Tensor<1>,
        logged: [(&'static str, Tensor<1>); N],
    ) {
        let gradients = loss.clone().backward();
        self.gradients.add(NamedGradients::of(module, &gradients));
        self.encoder.add(conditioning.gradients(&gradients));
        self.log(loss, logged);
    }

    fn log<const N: usize>(&mut self, loss: Tensor<1>, logged: [(&'static str, Tensor<1>); N]) {
        let loss = loss.inner();
        self.loss = Some(match self.loss.take() {
            Some(sum) => sum + loss,
            None => loss,
        });
        for (name, value) in logged {
            match self.logged.iter_mut().find(|(known, _)| *known == name) {
                Some((_, sum)) => *sum = sum.clone() + value,
                None => self.logged.push((name, value)),
            }
        }
    }

    /// Takes the gradients of the condition encoder.
    pub fn take_encoder(&mut self) -> NamedGradients {
        std::mem::take(&mut self.encoder)
    }

    /// Returns the gradients and logs the loss under `name`.
    pub fn finish(mut self, name: &'static str, means: &mut Means) -> NamedGradients {
        if let Some(loss) = self.loss.take() {
            means.add(name, loss);
        }
        self.finish_silently(means)
    }

    /// Returns the gradients without logging the loss, which is only a surrogate.
    pub fn finish_silently(self, means: &mut Means) -> NamedGradients {
        for (name, value) in self.logged {
            means.add(name, value);
        }
        self.gradients
    }
}
