//! The text encoder T: caption → code (paper §3.3).

use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor, TensorData};

use super::lstm::Lstm;
use super::settings::{Reader, TextNetworkSettings};
use super::tokenizer::Tokens;
use crate::kernels::Activation;
use crate::nn::{Init, PlainLinear};

/// Tokens → embedding → LSTM → state at the last token → linear.
#[derive(Module, Debug)]
pub struct TextEncoder {
    /// [vocabulary, embedding], N(0, 1) at first.
    pub embedding: Param<Tensor<2>>,
    /// One a layer and direction, forward before backward; none in a bag of words.
    pub lstm: Vec<Lstm>,
    /// To the code.
    pub head: PlainLinear,
    bidirectional: bool,
    layers: usize,
    w_dim: usize,
}

impl TextEncoder {
    /// For `vocabulary` tokens and codes of `layers` vectors of `w_dim`.
    pub fn new(
        settings: &TextNetworkSettings,
        vocabulary: usize,
        layers: usize,
        w_dim: usize,
        init: &mut Init,
    ) -> Self {
        let embedding = init.normal([vocabulary, settings.embedding], 1.0);
        let mut inputs = settings.embedding;
        let mut lstm = Vec::new();
        if settings.reader == Reader::Lstm {
            let directions: &[bool] =
                if settings.bidirectional { &[false, true] } else { &[false] };
            for _ in 0..settings.layers {
                for &backward in directions {
                    lstm.push(Lstm::new(inputs, settings.hidden, backward, init));
                }
                inputs = settings.hidden * directions.len();
            }
        }
        Self {
            embedding,
            lstm,
            head: PlainLinear::new(inputs, layers * w_dim, init),
            bidirectional: settings.bidirectional,
            layers,
            w_dim,
        }
    }

    /// Captions → codes [N, layers, w_dim].
    pub fn forward(&self, tokens: &Tokens, device: &Device) -> Tensor<3> {
        let (n, t) = (tokens.lengths.len(), tokens.length);
        let ids: Vec<i32> = tokens.ids.iter().map(|&id| id as i32).collect();
        let ids = Tensor::<1, Int>::from_data(TensorData::new(ids, [n * t]), device);
        let table = self.embedding.val();
        let size = table.dims()[1];
        let x = table.select(0, ids).reshape([n, t, size]);
        let mask: Vec<f32> = tokens
            .lengths
            .iter()
            .flat_map(|&length| (0..t).map(move |i| f32::from(u8::from(i < length))))
            .collect();
        let mask = Tensor::from_data(TensorData::new(mask, [n, t]), device);
        let state = if self.lstm.is_empty() { mean(x, mask) } else { self.read(x, mask) };
        let code = self.head.forward(state.into(), Activation::LINEAR).value;
        code.reshape([n, self.layers, self.w_dim])
    }

    /// Through the layers; the last states of the last layer side by side.
    fn read(&self, mut x: Tensor<3>, mask: Tensor<2>) -> Tensor<2> {
        let directions = if self.bidirectional { 2 } else { 1 };
        let mut last = Vec::new();
        for layer in self.lstm.chunks(directions) {
            let (states, ends): (Vec<_>, Vec<_>) =
                layer.iter().map(|lstm| lstm.forward(x.clone(), mask.clone())).unzip();
            x = Tensor::cat(states, 2);
            last = ends;
        }
        Tensor::cat(last, 1)
    }
}

/// Mean of the tokens that are there: x [N, T, D], mask [N, T] → [N, D].
fn mean(x: Tensor<3>, mask: Tensor<2>) -> Tensor<2> {
    let [n, t, d] = x.dims();
    let count = mask.clone().sum_dim(1);
    let sum = (x * mask.reshape([n, t, 1])).sum_dim(1).reshape([n, d]);
    sum / count
}
