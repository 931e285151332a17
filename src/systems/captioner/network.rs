//! The network: an image encoder, and an LSTM that predicts each word from the image and the words
//! before it.

use std::ops::Range;
use std::sync::Arc;

use burn::module::{Module, Param};
use burn::tensor::{Tensor, TensorData, activation::log_softmax};

use super::CaptionerNetwork;
use crate::kernels::Activation;
use crate::language::Tokens;
use crate::language::lstm::Lstm;
use crate::nn::params::indices;
use crate::nn::{BatchNorm, Init, PlainLinear, Statistics};
use crate::shapes::Shapes;
use crate::systems::damsm::{DamsmNetwork, ImageTower};

/// Bound of the initial embeddings.
const BOUND: f32 = 0.1;

/// A captioner.
#[derive(Module, Debug)]
pub struct Captioner {
    /// Images → vectors.
    pub image: ImageTower,
    /// From those vectors to the first input of the LSTM.
    pub project: PlainLinear,
    /// After `project`.
    pub norm: BatchNorm,
    /// Embeddings of the tokens `[vocabulary, embedding]`, initially U(±0.1).
    pub embedding: Param<Tensor<2>>,
    /// Reads the vector of the image, then the words.
    pub lstm: Lstm,
    /// States → scores of the tokens, and of the end of the caption.
    pub head: PlainLinear,
}

impl Captioner {
    /// A new captioner with a vocabulary of `tokens`. Its image encoder has the architecture `image`.
    pub fn new(
        network: &CaptionerNetwork,
        image: &DamsmNetwork,
        tokens: usize,
        init: &mut Init,
    ) -> Self {
        let CaptionerNetwork { embedding, hidden } = *network;
        Self {
            image: ImageTower::new(image, init),
            project: PlainLinear::new(image.size(), embedding, init),
            norm: BatchNorm::standing(embedding, init),
            embedding: init.uniform([tokens, embedding], BOUND),
            lstm: Lstm::new(embedding, hidden, false, init),
            head: PlainLinear::new(hidden, tokens + 1, init),
        }
    }

    /// The tensors of such a captioner.
    pub(crate) fn shapes(
        network: &CaptionerNetwork,
        image: &DamsmNetwork,
        tokens: usize,
    ) -> Shapes {
        let CaptionerNetwork { embedding, hidden } = *network;
        let mut shapes = ImageTower::shapes(image).below("image");
        shapes.linear("project", [image.size(), embedding]);
        shapes.batch_norm("norm", embedding, true);
        shapes.tensor("embedding", &[tokens, embedding]);
        shapes.tensor("lstm.weight_ih", &[4 * hidden, embedding]);
        shapes.tensor("lstm.weight_hh", &[4 * hidden, hidden]);
        shapes.tensor("lstm.bias", &[4 * hidden]);
        shapes.linear("head", [hidden, tokens + 1]);
        shapes
    }

    /// The vectors of images `[N, 3, H, W]` of any size: `[N, embedding]`.
    pub fn encode(&self, images: Tensor<4>, statistics: Statistics) -> Tensor<2> {
        let vectors = self.image.global(images);
        let vectors = self.project.forward(vectors.into(), Activation::LINEAR).value;
        self.norm.forward_vectors(vectors, Activation::LINEAR, statistics)
    }

    /// The logarithms of the probabilities of tokens after the vector of an image and the first tokens
    /// of a caption: `[T + 1, N, tokens + 1]`. The last one is the end of the caption.
    fn predictions(&self, vectors: Tensor<2>, tokens: &Tokens) -> Tensor<3> {
        let device = vectors.device();
        let (t, [n, size]) = (tokens.length, vectors.dims());
        let mut inputs = vec![vectors.reshape([1, n, size])];
        if t > 0 {
            // Time first.
            let ids = (0..t).flat_map(|at| (0..n).map(move |row| row * t + at));
            let ids = indices(ids.map(|at| tokens.ids[at] as usize), &device);
            let words = self.embedding.val().select(0, ids);
            inputs.push(words.reshape([t, n, size]));
        }
        let inputs = Tensor::cat(inputs, 0);
        let lengths: Arc<[usize]> = tokens.lengths.iter().map(|length| length + 1).collect();
        let states = self.lstm.forward(inputs, &lengths);
        let states = states.reshape([(t + 1) * n, self.lstm.hidden()]);
        let scores = self.head.forward(states.into(), Activation::LINEAR).value;
        let classes = scores.dims()[1];
        log_softmax(scores, 1).reshape([t + 1, n, classes])
    }

    /// The logarithm of the probability of each caption, of all its tokens and its end: `[N]`.
    /// `vectors` are those of [`encode`](Self::encode).
    pub fn log_likelihood(&self, vectors: Tensor<2>, tokens: &Tokens) -> Tensor<1> {
        let device = vectors.device();
        let predictions = self.predictions(vectors, tokens);
        let [steps, n, classes] = predictions.dims();
        let (mut targets, mut kept) = (Vec::new(), Vec::new());
        for at in 0..steps {
            for (row, &length) in tokens.lengths.iter().enumerate() {
                let word = || tokens.ids[row * tokens.length + at] as usize;
                targets.push(if at < length { word() } else { classes - 1 });
                kept.push(f32::from(u8::from(at <= length)));
            }
        }
        let targets = indices(targets, &device).reshape([steps * n, 1]);
        let of_targets = predictions.reshape([steps * n, classes]).gather(1, targets);
        let kept = Tensor::from_data(TensorData::new(kept, [steps, n]), &device);
        (of_targets.reshape([steps, n]) * kept).sum_dim(0).reshape([n])
    }

    /// How much more likely images make one caption: the mean over its tokens and its end of
    /// log p(token | image) − log p(token), `[1, N]`. Without an image, the LSTM reads zeros in its
    /// place. `vectors` are those of [`encode`](Self::encode).
    pub fn information(&self, vectors: Tensor<2>, caption: &Tokens) -> Tensor<2> {
        let [n, size] = vectors.dims();
        let nothing = Tensor::zeros([1, size], &vectors.device());
        let tokens = Tokens {
            ids: caption.ids.repeat(n + 1),
            lengths: caption.lengths.repeat(n + 1),
            length: caption.length,
        };
        let sums = self.log_likelihood(Tensor::cat(vec![vectors, nothing], 0), &tokens);
        let (with, without) = (sums.clone().narrow(0, 0, n), sums.narrow(0, n, 1));
        let predicted = caption.lengths[0] + 1;
        ((with - without) / predicted as f64).reshape([1, n])
    }

    /// The loss of MirrorGAN (Qiao et al. 2019, Eq. 9): the cross-entropy of captions, the mean over
    /// all tokens of the batch as in the published code → `[1]`.
    pub fn loss(&self, vectors: Tensor<2>, tokens: &Tokens) -> Tensor<1> {
        let predicted: usize = tokens.lengths.iter().map(|length| length + 1).sum();
        let n = tokens.lengths.len() as f64;
        self.log_likelihood(vectors, tokens).mean() * (-n / predicted as f64)
    }

    /// The share of some captions of a batch in the tokens of [`loss`](Self::loss).
    pub fn share(tokens: &Tokens, range: &Range<usize>) -> f64 {
        let predicted =
            |lengths: &[usize]| lengths.iter().map(|length| length + 1).sum::<usize>() as f64;
        predicted(&tokens.lengths[range.clone()]) / predicted(&tokens.lengths)
    }

    /// The most likely word at each place, up to the end of the caption or `most` words: the caption
    /// of each image as token ids.
    pub fn describe(&self, vectors: Tensor<2>, most: usize) -> Vec<Vec<u32>> {
        let [n, _] = vectors.dims();
        let mut captions: Vec<Vec<u32>> = vec![Vec::new(); n];
        let mut ended = vec![false; n];
        for length in 0..most {
            if ended.iter().all(|ended| *ended) {
                break;
            }
            // Ended captions are continued, so that all have the same length; what follows is dropped.
            let tokens = Tokens { ids: captions.concat(), lengths: vec![length; n], length };
            let predictions = self.predictions(vectors.clone(), &tokens);
            let [_, _, classes] = predictions.dims();
            let next = predictions.narrow(0, length, 1).reshape([n, classes]).argmax(1);
            let next: Vec<i64> = next.into_data().iter::<i64>().collect();
            for (row, id) in next.into_iter().enumerate() {
                ended[row] |= id as usize == classes - 1;
                captions[row].push(if ended[row] { 0 } else { id as u32 });
            }
        }
        // 0 is padding, which no caption contains.
        let cut = |caption: Vec<u32>| caption.into_iter().take_while(|&id| id > 0).collect();
        captions.into_iter().map(cut).collect()
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::draws;
    use crate::nn::params::{collect, to_vec};
    use crate::tensorfile::TensorFile;

    const NETWORK: CaptionerNetwork = CaptionerNetwork { embedding: 4, hidden: 6 };

    fn captioner() -> Captioner {
        let image = DamsmNetwork { hidden: 3, channels: 4, channel_max: 8, ..DamsmNetwork::at(8) };
        Captioner::new(&NETWORK, &image, 9, &mut Init::new(5, "captioner", &Device::flex()))
    }

    fn vectors(n: usize) -> Tensor<2> {
        let values = draws::normal(&mut draws::stream(1, "v", 0), n * 4);
        Tensor::from_data(TensorData::new(values, [n, 4]), &Device::flex())
    }

    #[test]
    fn shapes_are_those_of_the_network() {
        let image = DamsmNetwork { hidden: 3, channels: 4, channel_max: 8, ..DamsmNetwork::at(8) };
        let mut file = TensorFile::default();
        collect(&captioner(), "C", &mut file);
        Captioner::shapes(&NETWORK, &image, 9).check("C", &file).unwrap();
        let images = Tensor::zeros([2, 3, 16, 16], &Device::flex());
        assert_eq!(captioner().encode(images, Statistics::Standing).dims(), [2, 4]);
    }

    /// The published decoder of 5450 words has 5 768 010 weights, of which 2048 are a second bias of the
    /// gates. The end of a caption is one more word here.
    #[test]
    fn number_of_weights_is_the_published_one() {
        let shapes = Captioner::shapes(&CaptionerNetwork::default(), &DamsmNetwork::at(256), 5450);
        let decoder =
            |name: &str| ["embedding", "lstm.", "head."].iter().any(|part| name.starts_with(part));
        let decoder = shapes.iter().filter(|(name, _)| decoder(name));
        let values: usize = decoder.map(|(_, shape)| shape.iter().product::<usize>()).sum();
        assert_eq!(values, 5_768_010 - 2048 + (512 + 1));
    }

    #[test]
    fn the_likelihood_of_a_caption_does_not_depend_on_the_others_of_its_batch() {
        let captioner = captioner();
        let rows = vec![vec![2, 3], vec![4, 5, 6, 7], vec![8]];
        let batch = Tokens::of(rows.clone());
        let together = to_vec(captioner.log_likelihood(vectors(3), &batch));
        for (row, ids) in rows.into_iter().enumerate() {
            let alone = Tokens::of(vec![ids]);
            let vector = vectors(3).narrow(0, row, 1);
            let alone = to_vec(captioner.log_likelihood(vector, &alone))[0];
            assert!((together[row] - alone).abs() < 1e-5, "{} {alone}", together[row]);
        }
        // 3 + 5 + 2 predicted tokens.
        let loss = to_vec(captioner.loss(vectors(3), &batch))[0];
        assert!((loss + together.iter().sum::<f32>() / 10.0).abs() < 1e-5, "{loss}");
    }

    #[test]
    fn information_is_relative_to_the_caption_without_an_image() {
        let captioner = captioner();
        let caption = Tokens::of(vec![vec![4, 5, 6]]);
        let found = to_vec(captioner.information(vectors(3), &caption));
        let of =
            |vector: Tensor<2>| f64::from(to_vec(captioner.log_likelihood(vector, &caption))[0]);
        let nothing = of(Tensor::zeros([1, 4], &Device::flex()));
        for (row, found) in found.iter().enumerate() {
            // Three tokens and the end.
            let expected = (of(vectors(3).narrow(0, row, 1)) - nothing) / 4.0;
            assert!((f64::from(*found) - expected).abs() < 1e-5, "{found}, not {expected}");
        }
        let nothing = captioner.information(Tensor::zeros([2, 4], &Device::flex()), &caption);
        assert!(to_vec(nothing).iter().all(|value| value.abs() < 1e-6));
    }

    /// The probabilities of all captions of up to one word sum to that of ending within one word.
    #[test]
    fn likelihoods_are_probabilities() {
        let captioner = captioner();
        let of = |ids: Vec<u32>| {
            let tokens = Tokens::of(vec![ids]);
            f64::from(to_vec(captioner.log_likelihood(vectors(1), &tokens))[0]).exp()
        };
        let first = captioner.predictions(vectors(1), &Tokens::of(vec![vec![]]));
        let first = to_vec(first);
        let end = f64::from(first[9]).exp();
        assert!((of(vec![]) - end).abs() < 1e-6);
        let sum: f64 = first.iter().map(|p| f64::from(*p).exp()).sum();
        assert!((sum - 1.0).abs() < 1e-5, "{sum}");
        let word = f64::from(first[4]).exp();
        assert!(of(vec![4]) < word);
    }

    #[test]
    fn a_description_takes_the_most_likely_word_at_each_place() {
        let captioner = captioner();
        for (row, caption) in captioner.describe(vectors(3), 5).into_iter().enumerate() {
            assert!(caption.len() <= 5);
            let vector = vectors(3).narrow(0, row, 1);
            let mut ids: Vec<u32> = Vec::new();
            for expected in &caption {
                let tokens = Tokens::of(vec![ids.clone()]);
                let scores = to_vec(captioner.predictions(vector.clone(), &tokens));
                let last = &scores[ids.len() * 10..][..10];
                assert!(last.iter().all(|score| *score <= last[*expected as usize] + 1e-5));
                ids.push(*expected);
            }
        }
    }
}
