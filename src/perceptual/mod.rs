//! Perceptual distances: features of a network, in units of the distance of two real images.

pub mod unit;

use burn::tensor::Tensor;

pub use unit::Perceptual;

/// A network that turns images into features.
pub trait Features: Send {
    /// What it is called in logs and models: `discriminator`, `squeezenet`, `vgg16`.
    fn name(&self) -> &'static str;

    /// Images [N, 3, H, W] in [-1, 1], of any size → one tensor [N, C, H', W'] a layer.
    ///
    /// The weights are frozen; gradients reach the images.
    fn extract(&self, images: Tensor<4>) -> Vec<Tensor<4>>;
}
