//! The text tower of DAMSM (Xu et al. 2018, AttnGAN): one vector for each word of a caption, and one
//! for the whole sentence.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};

use super::encoder::{Embedded, embed};
use super::lstm::Lstm;
use super::tokenizer::Tokens;
use crate::nn::Init;
use crate::shapes::Shapes;

/// Bound of the initial embeddings.
const BOUND: f32 = 0.1;

/// A bidirectional LSTM over the embeddings of a caption's words, without a linear layer.
#[derive(Module, Debug)]
pub struct WordEncoder {
    /// Token embeddings `[vocabulary, embedding]`, initially U(±0.1).
    pub embedding: Param<Tensor<2>>,
    /// Reads from the first token to the last.
    pub forward: Lstm,
    /// Reads from the last token to the first.
    pub backward: Lstm,
}

/// The vectors of a batch of captions.
#[derive(Debug, Clone)]
pub struct Words {
    /// The states of both directions after each token: `[N, T, 2·hidden]`. Rows of padding are not
    /// meaningful.
    pub words: Tensor<3>,
    /// 1 for tokens, 0 for padding: `[N, T]`.
    pub mask: Tensor<2>,
    /// The last states of both directions: `[N, 2·hidden]`.
    pub sentence: Tensor<2>,
}

impl WordEncoder {
    /// A new encoder with `hidden` values per direction.
    pub fn new(vocabulary: usize, embedding: usize, hidden: usize, init: &mut Init) -> Self {
        Self {
            embedding: init.uniform([vocabulary, embedding], BOUND),
            forward: Lstm::new(embedding, hidden, false, init),
            backward: Lstm::new(embedding, hidden, true, init),
        }
    }

    /// The tensors of such an encoder.
    pub(crate) fn shapes(vocabulary: usize, embedding: usize, hidden: usize) -> Shapes {
        let mut shapes = Shapes::new();
        shapes.tensor("embedding", &[vocabulary, embedding]);
        for direction in ["forward", "backward"] {
            shapes.tensor(format!("{direction}.weight_ih"), &[4 * hidden, embedding]);
            shapes.tensor(format!("{direction}.weight_hh"), &[4 * hidden, hidden]);
            shapes.tensor(format!("{direction}.bias"), &[4 * hidden]);
        }
        shapes
    }

    /// Size of the embedding of a token.
    pub fn embedding_size(&self) -> usize {
        self.embedding.dims()[1]
    }

    /// Length of the vector of a word or sentence.
    pub fn size(&self) -> usize {
        2 * self.forward.hidden()
    }

    /// Encodes captions. `keep` are factors of the embeddings `[T, N, embedding]`, for dropout.
    pub fn read(&self, tokens: &Tokens, keep: Option<Tensor<3>>, device: &Device) -> Words {
        let Embedded { x, lengths, place } = embed(self.embedding.val(), tokens, device);
        let x = match keep {
            Some(keep) => x * keep,
            None => x,
        };
        let directions = [&self.forward, &self.backward];
        let states = directions.map(|lstm| lstm.forward(x.clone(), &lengths));
        let last = (0..2).map(|i| directions[i].last(states[i].clone())).collect();
        let words = Tensor::cat(states.to_vec(), 2).swap_dims(0, 1);
        Words {
            words: words.select(0, place.clone()),
            mask: mask(tokens, device),
            sentence: Tensor::cat(last, 1).select(0, place),
        }
    }
}

/// 1 for the tokens of captions, 0 for padding: `[N, T]`.
pub fn mask(tokens: &Tokens, device: &Device) -> Tensor<2> {
    let (n, t) = (tokens.lengths.len(), tokens.length);
    let row = |&length: &usize| (0..t).map(move |at| if at < length { 1.0 } else { 0.0 });
    let values: Vec<f32> = tokens.lengths.iter().flat_map(row).collect();
    Tensor::from_data(TensorData::new(values, [n, t]), device)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::params::{collect, to_vec};
    use crate::tensorfile::TensorFile;

    fn encoder() -> WordEncoder {
        WordEncoder::new(9, 5, 4, &mut Init::new(2, "words", &Device::flex()))
    }

    #[test]
    fn shapes_are_those_of_the_network() {
        let mut file = TensorFile::default();
        collect(&encoder(), "DT", &mut file);
        WordEncoder::shapes(9, 5, 4).check("DT", &file).unwrap();
    }

    /// The published network has 2 075 320 weights at 5450 tokens, of which 1024 are a second bias
    /// of each gate. It is always added to the first one, so here there is one bias.
    #[test]
    fn number_of_weights_is_the_published_one() {
        assert_eq!(WordEncoder::shapes(5450, 300, 128).values(), 2_075_320 - 2 * 4 * 128);
    }

    #[test]
    fn captions_do_not_depend_on_the_others_of_their_batch() {
        let device = Device::flex();
        let batch = Tokens { ids: vec![2, 3, 0, 0, 4, 5, 6, 7], lengths: vec![2, 4], length: 4 };
        let both = encoder().read(&batch, None, &device);
        assert_eq!(to_vec(both.mask), [1.0, 1.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0]);
        for (row, ids) in [vec![2, 3], vec![4, 5, 6, 7]].into_iter().enumerate() {
            let length = ids.len();
            let alone = Tokens { ids, lengths: vec![length], length };
            let alone = encoder().read(&alone, None, &device);
            let close = |a: Vec<f32>, b: Vec<f32>| {
                assert_eq!(a.len(), b.len());
                assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-6), "row {row}");
            };
            let words = both.words.clone().narrow(0, row, 1).narrow(1, 0, length);
            close(to_vec(words.clone()), to_vec(alone.words));
            close(to_vec(both.sentence.clone().narrow(0, row, 1)), to_vec(alone.sentence.clone()));
            // The sentence is the forward state of the last word and the backward state of the
            // first.
            let forward = words.clone().narrow(1, length - 1, 1).narrow(2, 0, 4);
            let backward = words.narrow(1, 0, 1).narrow(2, 4, 4);
            let sentence = Tensor::cat(vec![forward, backward], 2);
            close(to_vec(sentence), to_vec(alone.sentence));
        }
    }
}
