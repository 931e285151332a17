//! Captions as the vectors of their words and sentences.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use burn::tensor::{Device, Tensor};
use rand::Rng;

use crate::data::{Archive, spread};
use crate::error::Result;
use crate::language::settings::MAX_TOKENS;
use crate::language::{Captions, Tokens, Words};
use crate::model::Model;
use crate::nn::params::to_host;
use crate::systems::damsm::Damsm;
use crate::systems::damsm::views::names_a_side;
use crate::systems::text_gan::caption_vectors::{CaptionRows, CaptionVectors, SENTENCES};

/// Most captions that a model keeps.
const KEPT: usize = 1024;
/// Most values of the captions that a model keeps: 4 MiB.
const KEPT_VALUES: usize = 1 << 20;

/// How the words of a caption lie in one vector: the vectors of `length` words, the vector of the
/// sentence, and the mask of the words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Number of words, including padding.
    pub length: usize,
    /// Length of the vector of a word or sentence.
    pub size: usize,
}

impl Layout {
    /// The layout of the captions that an encoder reads.
    pub fn of(damsm: &Damsm) -> Self {
        Self { length: damsm.tokenizer().max_tokens(), size: damsm.size() }
    }

    /// Length of the vector of a caption.
    pub fn caption(&self) -> usize {
        self.length * self.size + self.size + self.length
    }

    /// Captions as vectors `[N, caption]`.
    pub fn join(&self, words: Words) -> Tensor<2> {
        let Words { words, mask, sentence } = self.padded(words);
        let [n, t, size] = words.dims();
        Tensor::cat(vec![words.reshape([n, t * size]), sentence, mask], 1)
    }

    /// The captions of vectors `[N, caption]`.
    pub fn split(&self, captions: Tensor<2>) -> Words {
        let (n, end) = (captions.dims()[0], self.length * self.size);
        let words = captions.clone().narrow(1, 0, end).reshape([n, self.length, self.size]);
        let sentence = captions.clone().narrow(1, end, self.size);
        Words { words, sentence, mask: captions.narrow(1, end + self.size, self.length) }
    }

    /// The same captions, each of `length` words.
    fn padded(&self, words: Words) -> Words {
        let [n, t, size] = words.words.dims();
        let missing = self.length - t;
        if missing == 0 {
            return words;
        }
        let device = words.mask.device();
        Words {
            words: Tensor::cat(vec![words.words, Tensor::zeros([n, missing, size], &device)], 1),
            mask: Tensor::cat(vec![words.mask, Tensor::zeros([n, missing], &device)], 1),
            sentence: words.sentence,
        }
    }
}

/// The captions of a batch.
pub struct BatchCaptions {
    /// Their tokens.
    pub tokens: Tokens,
    /// Their words and sentences.
    pub words: Words,
    /// The images that they describe, as indices of the archive.
    pub images: Vec<usize>,
}

/// All training captions as tokens, and the encoder that turns them into vectors.
pub struct WordVectors {
    damsm: Damsm,
    layout: Layout,
    tokens: Vec<Vec<u32>>,
    /// The image of each caption.
    owners: Vec<usize>,
    names_a_side: Vec<bool>,
    /// The captions of each image.
    rows: HashMap<usize, Range<usize>>,
}

impl WordVectors {
    /// Splits all captions of the training images into tokens. `observe` receives the number of
    /// captions that are done and of all.
    ///
    /// # Errors
    /// If a caption cannot be read.
    pub fn new(
        captions: &Captions,
        archive: &Arc<Archive>,
        damsm: &Damsm,
        observe: impl FnMut(usize, usize),
    ) -> Result<Self> {
        let all = CaptionRows::of(captions, archive);
        let tokenizer = damsm.tokenizer().with_max_tokens(MAX_TOKENS);
        let mut tokens = Vec::with_capacity(all.texts.len());
        let mut split = |texts: &[&str]| {
            tokens.extend(tokenizer.batch(texts)?.unpadded());
            Ok(())
        };
        all.read(&mut split, observe)?;
        let CaptionRows { texts, rows } = all;
        let mut owners = vec![0; texts.len()];
        for (&image, own) in &rows {
            owners[own.clone()].fill(image);
        }
        let names_a_side = texts.iter().map(|text| names_a_side(text)).collect();
        Ok(Self {
            damsm: damsm.clone(),
            layout: Layout::of(damsm),
            tokens,
            owners,
            names_a_side,
            rows,
        })
    }

    /// The captions `rows`; of long ones, random words in their order.
    fn thinned(&self, rows: &[usize], rng: &mut impl Rng) -> Tokens {
        let tokens = Tokens::of(rows.iter().map(|&row| self.tokens[row].clone()).collect());
        tokens.thinned(self.layout.length, rng)
    }
}

impl CaptionVectors for WordVectors {
    type Captions = BatchCaptions;

    fn has(&self, image: usize) -> bool {
        self.rows.contains_key(&image)
    }

    fn of_images(
        &self,
        images: &[usize],
        _most: usize,
        rng: &mut impl Rng,
        _device: &Device,
    ) -> (BatchCaptions, Vec<bool>) {
        let all = 0..self.tokens.len();
        let draw = |image| rng.random_range(self.rows.get(image).unwrap_or(&all).clone());
        let rows: Vec<usize> = images.iter().map(draw).collect();
        // A caption of another image does not describe the sides of this one.
        let side = |(image, &row): (&usize, &usize)| self.has(*image) && self.names_a_side[row];
        let sides = images.iter().zip(&rows).map(side).collect();
        let owners = rows.iter().map(|&row| self.owners[row]).collect();
        let tokens = self.thinned(&rows, rng);
        let words = self.damsm.words(&tokens);
        (BatchCaptions { tokens, words, images: owners }, sides)
    }

    fn draw(&self, count: usize, rng: &mut impl Rng, _device: &Device) -> Tensor<2> {
        let rows: Vec<usize> = (0..count).map(|_| rng.random_range(0..self.tokens.len())).collect();
        self.layout.join(self.damsm.words(&self.thinned(&rows, rng)))
    }

    fn store(&self, model: &mut Model, _device: &Device) {
        let most = (KEPT_VALUES / self.layout.caption()).clamp(1, KEPT);
        let all: Vec<usize> = (0..self.tokens.len()).collect();
        let first = |row: usize| {
            let tokens = &self.tokens[row];
            tokens[..tokens.len().min(self.layout.length)].to_vec()
        };
        let tokens = Tokens::of(spread(&all, most).into_iter().map(first).collect());
        model.put_tensor(SENTENCES, to_host(self.layout.join(self.damsm.words(&tokens))));
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Distribution;

    use super::*;
    use crate::nn::params::to_vec;

    #[test]
    fn a_vector_keeps_all_of_a_caption() {
        let random =
            |shape: [usize; 2]| Tensor::<2>::random(shape, Distribution::Default, &Device::flex());
        let words = Words {
            words: random([2, 6]).reshape([2, 3, 2]),
            mask: random([2, 3]),
            sentence: random([2, 2]),
        };
        let layout = Layout { length: 4, size: 2 };
        let joined = layout.join(words.clone());
        assert_eq!(joined.dims(), [2, layout.caption()]);
        let back = layout.split(joined);
        assert_eq!(to_vec(back.sentence), to_vec(words.sentence));
        assert_eq!(to_vec(back.words.clone().narrow(1, 0, 3)), to_vec(words.words));
        assert_eq!(to_vec(back.mask.clone().narrow(1, 0, 3)), to_vec(words.mask));
        // The rest is padding.
        assert_eq!(to_vec(back.words.narrow(1, 3, 1)), [0.0; 4]);
        assert_eq!(to_vec(back.mask.narrow(1, 3, 1)), [0.0; 2]);
    }
}
