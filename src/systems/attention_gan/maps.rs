//! Pictures of what each word contributes to: the attention of the last stage.

use burn::tensor::Tensor;
use image::RgbImage;

use crate::nn::params::to_vec;
use crate::picture;

/// Share of an image's brightness where a word has no weight.
const DARK: f32 = 0.15;

/// A row of pictures: the image `[1, 3, res, res]`, then for each of its `words` the image where the
/// attention `[1, T, side²]` to the word is high. The largest weight of a word is shown at full
/// brightness.
pub fn row(image: Tensor<4>, attention: Tensor<3>, words: usize) -> Vec<RgbImage> {
    let [_, _, positions] = attention.dims();
    let side = positions.isqrt();
    let image = picture::from_tensor(image).remove(0);
    let weights = to_vec(attention);
    let of_word = |word: usize| shaded(&image, &weights[word * positions..][..positions], side);
    std::iter::once(image.clone()).chain((0..words).map(of_word)).collect()
}

fn shaded(image: &RgbImage, weights: &[f32], side: usize) -> RgbImage {
    let most = weights.iter().copied().fold(f32::MIN_POSITIVE, f32::max);
    let factor = image.width() as usize / side;
    let mut shaded = image.clone();
    for (x, y, pixel) in shaded.enumerate_pixels_mut() {
        let at = (y as usize / factor) * side + x as usize / factor;
        let brightness = DARK + (1.0 - DARK) * weights[at] / most;
        pixel.0 = pixel.0.map(|value| (f32::from(value) * brightness).round() as u8);
    }
    shaded
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    #[test]
    fn a_word_is_bright_where_it_is_attended_to() {
        let device = Device::flex();
        let image = Tensor::ones([1, 3, 4, 4], &device);
        let weights = [0.5, 0.25, 0.0, 0.5, 0.5, 0.75, 1.0, 0.5];
        let attention = Tensor::<1>::from_floats(weights, &device).reshape([1, 2, 4]);
        let pictures = row(image, attention, 2);
        assert_eq!(pictures.len(), 3);
        let at = |picture: usize, x: u32, y: u32| pictures[picture].get_pixel(x, y).0[0];
        assert_eq!((at(0, 0, 0), at(1, 0, 0), at(1, 3, 3)), (255, 255, 255));
        assert_eq!(at(1, 1, 2), (255.0 * DARK).round() as u8);
        assert!(at(2, 0, 3) == 255 && at(2, 3, 0) < 255);
    }
}
