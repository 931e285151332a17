//! A long short-term memory (Hochreiter & Schmidhuber 1997) over padded sequences.

use std::sync::Arc;

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use crate::kernels::{self, Sequences};
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

    /// x [T, N, inputs], time first, N sequences of `lengths` tokens → states after each token
    /// [T, N, hidden]; where a sequence has no token, its state stays what it was: padding never
    /// leaks into it.
    pub fn forward(&self, x: Tensor<3>, lengths: &Arc<[usize]>) -> Tensor<3> {
        let [t, n, inputs] = x.dims();
        // The inputs' share of the gates, for all tokens at once.
        let gates = x.reshape([t * n, inputs]).matmul(self.weight_ih.val().transpose())
            + self.bias.val().unsqueeze();
        let sequences = Sequences { lengths: lengths.clone(), backward: self.backward };
        kernels::lstm(gates.reshape([t, n, 4 * self.hidden]), self.weight_hh.val(), &sequences)
    }

    /// The state after the whole sequence: of `states` as [`forward`](Self::forward) gives them,
    /// [N, hidden].
    pub fn last(&self, states: Tensor<3>) -> Tensor<2> {
        let [t, n, h] = states.dims();
        let at = if self.backward { 0 } else { t - 1 };
        states.narrow(0, at, 1).reshape([n, h])
    }
}
