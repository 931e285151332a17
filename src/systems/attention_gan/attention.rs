//! Attention of feature maps to the words of a caption (Xu et al. 2018, Eq. 2), and to its sentence
//! (Qiao et al. 2019, Eq. 4).

use burn::module::{Module, Param};
use burn::tensor::{Tensor, activation::softmax};

use super::SentenceAttention;
use crate::kernels::Activation;
use crate::language::Words;
use crate::nn::{Init, PlainConv, PlainLinear};
use crate::shapes::Shapes;

/// The score of a word that is padding.
const MASKED: f64 = -1e9;
/// Smallest weight of a word, whose logarithm is finite.
const LEAST: f64 = 1e-30;

/// Attention to words.
#[derive(Module, Debug)]
pub struct WordAttention {
    /// From the vectors of words to those of features: `[C, words]`.
    pub weight: Param<Tensor<2>>,
}

impl WordAttention {
    /// A layer for words with vectors of length `words` and features of `channels`.
    pub fn new(words: usize, channels: usize, init: &mut Init) -> Self {
        Self { weight: init.orthogonal([channels, words]) }
    }

    /// The means of the words that each position attends to, `[N, C, H, W]`, and the weights of the
    /// words, `[N, T, H·W]`. Features are `[N, C, H, W]`.
    ///
    /// A word counts by its value in the mask, so padding is left out. In the published code, the mask
    /// of a position belongs to the caption of another image.
    pub fn forward(&self, features: Tensor<4>, words: &Words) -> (Tensor<4>, Tensor<3>) {
        let ([n, c, h, w], [_, t, d]) = (features.dims(), words.words.dims());
        let flat = words.words.clone().reshape([n * t, d]);
        let words_of_features = flat.matmul(self.weight.val().transpose()).reshape([n, t, c]);
        let scores = words_of_features.clone().matmul(features.reshape([n, c, h * w]));
        let padding = words.mask.clone().equal_elem(0.0);
        let counted = words.mask.clone().clamp_min(LEAST).log().mask_fill(padding, MASKED);
        let attention = softmax(scores + counted.reshape([n, t, 1]), 1);
        let means = words_of_features.swap_dims(1, 2).matmul(attention.clone());
        (means.reshape([n, c, h, w]), attention)
    }
}

/// Attention to the condition of the sentence.
#[derive(Module, Debug)]
pub struct AttentionToSentence {
    /// From conditions to features.
    pub project: PlainLinear,
    /// 1×1, from products of both to scores.
    pub scores: PlainConv,
    over_positions: bool,
}

impl AttentionToSentence {
    /// A layer for conditions of length `condition` and features of `channels`; `None` if the kind
    /// says so.
    pub fn new(
        kind: SentenceAttention,
        condition: usize,
        channels: usize,
        init: &mut Init,
    ) -> Option<Self> {
        (kind != SentenceAttention::None).then(|| Self {
            project: PlainLinear {
                weight: init.orthogonal([channels, condition]),
                bias: init.full([channels], 0.0),
            },
            scores: PlainConv { weight: init.orthogonal([channels, channels, 1, 1]), bias: None },
            over_positions: kind == SentenceAttention::Positions,
        })
    }

    /// Adds the tensors of such a layer.
    pub(crate) fn add_shapes(shapes: &mut Shapes, name: &str, [condition, channels]: [usize; 2]) {
        shapes.linear(&format!("{name}.project"), [condition, channels]);
        shapes.conv(&format!("{name}.scores"), [channels; 2], 1, false);
    }

    /// The projected condition, weighted at every position and channel of the features
    /// `[N, C, H, W]`.
    pub fn forward(&self, features: Tensor<4>, condition: Tensor<2>) -> Tensor<4> {
        let [n, c, h, w] = features.dims();
        let projected = self.project.forward(condition.into(), Activation::LINEAR).value;
        let projected = projected.reshape([n, c, 1, 1]);
        let scores = self.scores.forward(features * projected.clone());
        let attention = match self.over_positions {
            true => softmax(scores.reshape([n, c, h * w]), 2).reshape([n, c, h, w]),
            false => softmax(scores, 1),
        };
        attention * projected
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};

    use super::*;
    use crate::draws;
    use crate::nn::params::to_vec;

    fn normal<const D: usize>(shape: [usize; D], index: u64) -> Tensor<D> {
        let values = draws::normal(&mut draws::stream(7, "a", index), shape.iter().product());
        Tensor::from_data(TensorData::new(values, shape), &Device::flex())
    }

    fn words(mask: &[f32]) -> Words {
        let mask = Tensor::<1>::from_floats(mask, &Device::flex()).reshape([2, 3]);
        Words { words: normal([2, 3, 4], 1), mask, sentence: normal([2, 4], 2) }
    }

    fn close(found: Tensor<4>, expected: Tensor<4>) {
        for (a, b) in to_vec(found).iter().zip(to_vec(expected)) {
            assert!((a - b).abs() < 1e-5, "{a}, not {b}");
        }
    }

    #[test]
    fn padding_is_left_out_for_every_caption_of_a_batch() {
        let layer = WordAttention::new(4, 5, &mut Init::new(1, "words", &Device::flex()));
        let features = normal([2, 5, 2, 3], 0);
        let both = words(&[1.0, 1.0, 0.0, 1.0, 1.0, 1.0]);
        let (means, attention) = layer.forward(features.clone(), &both);
        let padding = attention.narrow(0, 0, 1).narrow(1, 2, 1);
        assert!(to_vec(padding).iter().all(|weight| *weight == 0.0));
        // The first caption alone, without its padding.
        let part = |x: Tensor<3>| x.narrow(0, 0, 1).narrow(1, 0, 2);
        let alone = Words {
            words: part(both.words.clone()),
            mask: both.mask.clone().narrow(0, 0, 1).narrow(1, 0, 2),
            sentence: both.sentence.clone().narrow(0, 0, 1),
        };
        let (expected, _) = layer.forward(features.narrow(0, 0, 1), &alone);
        close(means.narrow(0, 0, 1), expected);
    }

    /// Between two captions, the words of both count in part.
    #[test]
    fn the_mask_is_a_weight() {
        let layer = WordAttention::new(4, 5, &mut Init::new(1, "words", &Device::flex()));
        let features = normal([2, 5, 1, 1], 0);
        let (_, equal) = layer.forward(features.clone(), &words(&[1.0; 6]));
        let (_, weighted) = layer.forward(features, &words(&[0.5, 1.0, 1.0, 1.0, 1.0, 1.0]));
        let (equal, weighted) = (to_vec(equal), to_vec(weighted));
        let expected = 0.5 * equal[0] / (1.0 - 0.5 * equal[0]);
        assert!((weighted[0] - expected).abs() < 1e-6, "{} {expected}", weighted[0]);
    }

    #[test]
    fn a_sentence_is_weighted_over_channels_or_positions() {
        let device = Device::flex();
        let (features, condition) = (normal([2, 5, 2, 3], 0), normal([2, 3], 1));
        for kind in [SentenceAttention::Channels, SentenceAttention::Positions] {
            let init = &mut Init::new(1, "sentence", &device);
            let layer = AttentionToSentence::new(kind, 3, 5, init).unwrap();
            let found = layer.forward(features.clone(), condition.clone());
            let projected = layer.project.forward(condition.clone().into(), Activation::LINEAR);
            let weights = found / projected.value.reshape([2, 5, 1, 1]);
            let sums = match kind {
                SentenceAttention::Positions => to_vec(weights.reshape([10, 6]).sum_dim(1)),
                _ => to_vec(weights.sum_dim(1)),
            };
            assert!(sums.iter().all(|sum| (sum - 1.0).abs() < 1e-4), "{sums:?}");
        }
        let init = &mut Init::new(1, "sentence", &device);
        assert!(AttentionToSentence::new(SentenceAttention::None, 3, 5, init).is_none());
    }
}
