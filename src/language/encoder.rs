//! The text encoder, which maps captions to vectors. It is T of the paper's §3.3, whose vectors are
//! latent codes, and the sentence encoder of a text-conditional stage 1.

use std::sync::Arc;

use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor, TensorData};

use super::lstm::Lstm;
use super::settings::{Reader, TextNetworkSettings};
use super::tokenizer::Tokens;
use crate::kernels::Activation;
use crate::nn::params::indices;
use crate::nn::{Init, PlainLinear};
use crate::shapes::Shapes;

/// A text encoder: tokens → embedding → LSTM → state at the last token → linear layer.
///
/// Without an LSTM, the mean of the embeddings takes the place of its state.
#[derive(Module, Debug)]
pub struct TextEncoder {
    /// Token embeddings `[vocabulary, embedding]`, initially N(0, 1).
    pub embedding: Param<Tensor<2>>,
    /// One LSTM per layer and direction, forward before backward; empty for a bag of words.
    pub lstm: Vec<Lstm>,
    /// Linear map to the code.
    pub head: PlainLinear,
    bidirectional: bool,
    layers: usize,
    w_dim: usize,
}

impl TextEncoder {
    /// A new encoder for `vocabulary` tokens and codes of `layers` vectors of length `w_dim`.
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

    /// The tensors of such an encoder.
    pub(crate) fn shapes(
        settings: &TextNetworkSettings,
        vocabulary: usize,
        layers: usize,
        w_dim: usize,
    ) -> Shapes {
        let mut shapes = Shapes::new();
        shapes.tensor("embedding", &[vocabulary, settings.embedding]);
        let mut inputs = settings.embedding;
        if settings.reader == Reader::Lstm {
            let (directions, gates) =
                (1 + usize::from(settings.bidirectional), 4 * settings.hidden);
            for index in 0..settings.layers * directions {
                shapes.tensor(format!("lstm.{index}.weight_ih"), &[gates, inputs]);
                shapes.tensor(format!("lstm.{index}.weight_hh"), &[gates, settings.hidden]);
                shapes.tensor(format!("lstm.{index}.bias"), &[gates]);
                if (index + 1) % directions == 0 {
                    inputs = settings.hidden * directions;
                }
            }
        }
        shapes.linear("head", [inputs, layers * w_dim]);
        shapes
    }

    /// Shifts the initial output to `middle` `[layers·w_dim]`, the mean of the codes to learn. An
    /// initial output near 0 would not be the code of any image.
    pub fn starting_at(mut self, middle: Tensor<1>) -> Self {
        self.head.bias = self.head.bias.map(|bias| bias + middle);
        self
    }

    /// Encodes captions as codes `[N, layers, w_dim]`.
    pub fn forward(&self, tokens: &Tokens, device: &Device) -> Tensor<3> {
        let n = tokens.lengths.len();
        let Embedded { x, lengths, place } = embed(self.embedding.val(), tokens, device);
        let state = if self.lstm.is_empty() { mean(x, &lengths) } else { self.read(x, &lengths) };
        let code = self.head.forward(state.into(), Activation::LINEAR).value;
        code.select(0, place).reshape([n, self.layers, self.w_dim])
    }

    /// Runs the LSTM layers and concatenates the final states of the last layer's directions.
    fn read(&self, mut x: Tensor<3>, lengths: &Arc<[usize]>) -> Tensor<2> {
        let directions = if self.bidirectional { 2 } else { 1 };
        let mut last = Vec::new();
        for layer in self.lstm.chunks(directions) {
            let states: Vec<_> =
                layer.iter().map(|lstm| lstm.forward(x.clone(), lengths)).collect();
            last = layer.iter().zip(&states).map(|(lstm, s)| lstm.last(s.clone())).collect();
            x = Tensor::cat(states, 2);
        }
        Tensor::cat(last, 1)
    }
}

/// The embeddings of a batch of captions, time first.
pub(super) struct Embedded {
    /// `[T, N, embedding]`, the longest caption first, so that an LSTM skips the padding at the end
    /// of shorter ones.
    pub x: Tensor<3>,
    /// Number of tokens of each.
    pub lengths: Arc<[usize]>,
    /// The row of each caption of the batch.
    pub place: Tensor<1, Int>,
}

/// Looks captions up in a table of embeddings `[vocabulary, embedding]`.
pub(super) fn embed(table: Tensor<2>, tokens: &Tokens, device: &Device) -> Embedded {
    let (n, t) = (tokens.lengths.len(), tokens.length);
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by_key(|&i| std::cmp::Reverse(tokens.lengths[i]));
    let lengths: Arc<[usize]> = order.iter().map(|&i| tokens.lengths[i]).collect();
    let ids = (0..t).flat_map(|at| order.iter().map(move |&i| tokens.ids[i * t + at] as usize));
    let size = table.dims()[1];
    let x = table.select(0, indices(ids, device)).reshape([t, n, size]);
    let mut place = vec![0; n];
    order.iter().enumerate().for_each(|(row, &i)| place[i] = row);
    Embedded { x, lengths, place: indices(place, device) }
}

/// Mean over the tokens without padding: x `[T, N, D]` → `[N, D]`.
fn mean(x: Tensor<3>, lengths: &[usize]) -> Tensor<2> {
    let [t, n, d] = x.dims();
    let shares: Vec<f32> = (0..t)
        .flat_map(|at| lengths.iter().map(move |&l| if at < l { 1.0 / l as f32 } else { 0.0 }))
        .collect();
    let shares = Tensor::from_data(TensorData::new(shares, [t, n, 1]), &x.device());
    (x * shares).sum_dim(0).reshape([n, d])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::params::to_vec;

    #[test]
    fn shapes_are_those_of_the_network() {
        let device = Device::flex();
        let lstm = TextNetworkSettings {
            reader: Reader::Lstm,
            embedding: 3,
            hidden: 4,
            layers: 2,
            bidirectional: true,
        };
        for settings in [
            TextNetworkSettings { bidirectional: false, ..lstm.clone() },
            TextNetworkSettings { reader: Reader::Bag, ..lstm.clone() },
            lstm,
        ] {
            let mut file = crate::tensorfile::TensorFile::default();
            let init = &mut Init::new(0, "text", &device);
            let network = TextEncoder::new(&settings, 7, 2, 3, init);
            crate::nn::params::collect(&network, "T", &mut file);
            TextEncoder::shapes(&settings, 7, 2, 3).check("T", &file).unwrap();
        }
    }

    #[test]
    fn starting_at_shifts_the_output_of_a_new_encoder() {
        let device = Device::flex();
        for reader in [Reader::Lstm, Reader::Bag] {
            let settings = TextNetworkSettings {
                reader,
                embedding: 3,
                hidden: 4,
                layers: 1,
                bidirectional: false,
            };
            let plain = TextEncoder::new(&settings, 7, 2, 3, &mut Init::new(0, "text", &device));
            let middle = [1.0, -2.0, 3.0, -4.0, 5.0, -6.0];
            let moved = plain.clone().starting_at(Tensor::from_floats(middle, &device));
            let tokens = Tokens { ids: vec![1, 2, 3, 4, 0, 0], lengths: vec![3, 1], length: 3 };
            let by = to_vec(moved.forward(&tokens, &device) - plain.forward(&tokens, &device));
            for (i, by) in by.iter().enumerate() {
                assert!((by - middle[i % 6]).abs() < 1e-5, "{by} at {i}");
            }
        }
    }
}
