//! A long short-term memory (Hochreiter & Schmidhuber 1997) over padded sequences.

use burn::module::{Module, Param};
use burn::tensor::{Tensor, activation::sigmoid};

use crate::nn::Init;

/// One layer in one direction. Gates stand in the order input, forget, cell, output.
#[derive(Module, Debug)]
pub struct Lstm {
    /// [4·hidden, inputs], U(±1/√hidden) at first.
    pub weight_ih: Param<Tensor<2>>,
    /// [4·hidden, hidden], likewise.
    pub weight_hh: Param<Tensor<2>>,
    /// [4·hidden], likewise.
    pub bias: Param<Tensor<1>>,
    hidden: usize,
    backward: bool,
}

impl Lstm {
    /// `backward` reads from the last token to the first.
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

    /// x [N, T, inputs], mask [N, T] (1 for tokens, 0 for padding) → states after each token
    /// [N, T, hidden] and the last one [N, hidden].
    ///
    /// Where the mask is 0 the state stays what it was: padding never leaks into it.
    pub fn forward(&self, x: Tensor<3>, mask: Tensor<2>) -> (Tensor<3>, Tensor<2>) {
        let [n, t, inputs] = x.dims();
        let h = self.hidden;
        // The inputs' share of the gates, for all tokens at once.
        let gates = x.reshape([n * t, inputs]).matmul(self.weight_ih.val().transpose())
            + self.bias.val().unsqueeze();
        let gates = gates.reshape([n, t, 4 * h]);
        let recurrent = self.weight_hh.val().transpose();
        let device = mask.device();
        let mut state: Tensor<2> = Tensor::zeros([n, h], &device);
        let mut cell: Tensor<2> = Tensor::zeros([n, h], &device);
        let mut states = Vec::with_capacity(t);
        for step in 0..t {
            let at = if self.backward { t - 1 - step } else { step };
            let all = gates.clone().narrow(1, at, 1).reshape([n, 4 * h])
                + state.clone().matmul(recurrent.clone());
            let gate = |index: usize| all.clone().narrow(1, index * h, h);
            let next_cell = sigmoid(gate(1)) * cell.clone() + sigmoid(gate(0)) * gate(2).tanh();
            let next_state = sigmoid(gate(3)) * next_cell.clone().tanh();
            let on = mask.clone().narrow(1, at, 1);
            cell = cell.clone() + (next_cell - cell) * on.clone();
            state = state.clone() + (next_state - state) * on;
            states.push(state.clone().reshape([n, 1, h]));
        }
        if self.backward {
            states.reverse();
        }
        (Tensor::cat(states, 1), state)
    }
}
