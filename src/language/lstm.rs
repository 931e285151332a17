//! A long short-term memory (Hochreiter & Schmidhuber 1997) over padded sequences.

use std::sync::Arc;

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use crate::kernels::{self, Sequences};
use crate::nn::Init;

/// One LSTM layer in one direction. The order of the gates is input, forget, cell, output.
#[derive(Module, Debug)]
pub struct Lstm {
    /// Input weights `[4·hidden, inputs]`, initially U(±1/√hidden).
    pub weight_ih: Param<Tensor<2>>,
    /// State weights `[4·hidden, hidden]`, initially U(±1/√hidden).
    pub weight_hh: Param<Tensor<2>>,
    /// Biases `[4·hidden]`, initially U(±1/√hidden).
    pub bias: Param<Tensor<1>>,
    hidden: usize,
    backward: bool,
}

impl Lstm {
    /// A new layer. With `backward`, it reads from the last token to the first.
    pub fn new(inputs: usize, hidden: usize, backward: bool, init: &mut Init) -> Self {
        let bound = 1.0 / (hidden as f32).sqrt();
        Self {
            weight_ih: init.uniform([4 * hidden, inputs], bound),
            weight_hh: init.uniform([4 * hidden, hidden], bound),
            bias: init.uniform([4 * hidden], bound),
            hidden,
            backward,
        }
    }

    /// Length of the state.
    pub fn hidden(&self) -> usize {
        self.hidden
    }

    /// Computes the state after each token: x `[T, N, inputs]` → `[T, N, hidden]`.
    ///
    /// The N sequences have `lengths` tokens. Padding leaves the state of a sequence unchanged.
    pub fn forward(&self, x: Tensor<3>, lengths: &Arc<[usize]>) -> Tensor<3> {
        let [t, n, inputs] = x.dims();
        // The inputs' share of the gates, for all tokens at once.
        let gates = x.reshape([t * n, inputs]).matmul(self.weight_ih.val().transpose())
            + self.bias.val().unsqueeze();
        let sequences = Sequences { lengths: lengths.clone(), backward: self.backward };
        kernels::lstm(gates.reshape([t, n, 4 * self.hidden]), self.weight_hh.val(), &sequences)
    }

    /// The state after the whole sequence: `states` of [`forward`](Self::forward) → `[N, hidden]`.
    pub fn last(&self, states: Tensor<3>) -> Tensor<2> {
        let [t, n, h] = states.dims();
        let at = if self.backward { 0 } else { t - 1 };
        states.narrow(0, at, 1).reshape([n, h])
    }
}
