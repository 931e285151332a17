//! The vectors that the encoders compute, and the rows that ranks exchange.

use burn::tensor::Tensor;

use crate::language::Words;

/// The vectors of a batch of images.
#[derive(Debug, Clone)]
pub struct ImageCodes {
    /// `[N, size, regions]`.
    pub regions: Tensor<3>,
    /// `[N, size]`.
    pub global: Tensor<2>,
}

impl ImageCodes {
    /// The vectors of each image in a row: `[N, size · (regions + 1)]`.
    pub fn rows(&self) -> Tensor<2> {
        joined(self.regions.clone(), self.global.clone())
    }

    /// The vectors of [`rows`](Self::rows); `size` is the length of a vector.
    pub fn of_rows(rows: Tensor<2>, size: usize) -> Self {
        let ([n, width], end) = (rows.dims(), rows.dims()[1] - size);
        let regions = rows.clone().narrow(1, 0, end).reshape([n, size, width / size - 1]);
        Self { regions, global: rows.narrow(1, end, size) }
    }
}

/// The vectors of each caption in a row: `[N, size · (T + 1)]`.
pub fn rows_of_words(words: &Words) -> Tensor<2> {
    joined(words.words.clone(), words.sentence.clone())
}

/// The vectors of [`rows_of_words`] with the mask `[N, T]` of their tokens.
pub fn words_of_rows(rows: Tensor<2>, mask: Tensor<2>) -> Words {
    let ([n, width], [_, t]) = (rows.dims(), mask.dims());
    let size = width / (t + 1);
    Words {
        words: rows.clone().narrow(1, 0, size * t).reshape([n, t, size]),
        sentence: rows.narrow(1, size * t, size),
        mask,
    }
}

/// The values of each row of a and of b: `[N, A, B]`, `[N, C]` → `[N, A · B + C]`.
fn joined(a: Tensor<3>, b: Tensor<2>) -> Tensor<2> {
    let [n, rows, columns] = a.dims();
    Tensor::cat(vec![a.reshape([n, rows * columns]), b], 1)
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Distribution};

    use super::*;
    use crate::nn::params::to_vec;

    fn random<const D: usize>(shape: [usize; D]) -> Tensor<D> {
        Tensor::random(shape, Distribution::Default, &Device::flex())
    }

    #[test]
    fn rows_keep_all_vectors() {
        let codes = ImageCodes { regions: random([2, 3, 4]), global: random([2, 3]) };
        let back = ImageCodes::of_rows(codes.rows(), 3);
        assert_eq!(to_vec(back.regions), to_vec(codes.regions));
        assert_eq!(to_vec(back.global), to_vec(codes.global));

        let (words, sentence, mask) = (random([2, 5, 3]), random([2, 3]), random([2, 5]));
        let words = Words { words, sentence, mask: mask.clone() };
        let back = words_of_rows(rows_of_words(&words), mask);
        assert_eq!(to_vec(back.words), to_vec(words.words));
        assert_eq!(to_vec(back.sentence), to_vec(words.sentence));
    }
}
