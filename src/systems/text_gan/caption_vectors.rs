//! The vectors of training captions, which condition a generator.

use burn::tensor::{Device, Tensor};
use rand::Rng;

use crate::model::Model;

/// Name in models: vectors of training captions `[K, size]`, for samples without a prompt.
pub const SENTENCES: &str = "R_sentences";

/// The captions of the training images, encoded by a fixed encoder.
pub trait CaptionVectors {
    /// The captions of a batch.
    type Captions;

    /// Whether an image has captions.
    fn has(&self, image: usize) -> bool;

    /// For each image, `most` random captions (all if it has fewer), and whether one of them names a
    /// side of the image. An image without captions gets one of another image.
    fn of_images(
        &self,
        images: &[usize],
        most: usize,
        rng: &mut impl Rng,
        device: &Device,
    ) -> (Self::Captions, Vec<bool>);

    /// Vectors of single random training captions: `[N, size]`.
    fn draw(&self, count: usize, rng: &mut impl Rng, device: &Device) -> Tensor<2>;

    /// Writes vectors of captions at equal distances into a model, for samples without a prompt.
    fn store(&self, model: &mut Model, device: &Device);
}
