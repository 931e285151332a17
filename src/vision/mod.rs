//! Perceptual distances: features of a network, in units of the distance of two real images.

pub mod embedding;
mod frozen;
pub mod inception;
pub mod lpips;
pub mod source;
pub mod squeezenet;
pub mod unit;
pub mod vgg16;

use burn::tensor::Tensor;

pub use embedding::{Embedding, FeatureChoice};
pub use inception::Inception;
pub use lpips::Lpips;
pub use source::PerceptualChoice;
pub use squeezenet::SqueezeNet;
pub use unit::Perceptual;
pub use vgg16::Vgg16;

/// A network that turns images into features.
pub trait Features: Send + Sync {
    /// What it is called in logs and models: `discriminator`, `squeezenet`, `vgg16`.
    fn name(&self) -> &'static str;

    /// Images [N, 3, H, W] in [-1, 1], of any size → one tensor [N, C, H', W'] a layer.
    ///
    /// The weights are frozen; gradients reach the images.
    fn extract(&self, images: Tensor<4>) -> Vec<Tensor<4>>;

    /// Whether the sizes of the layers' distances say what each of them counts for, so that no
    /// layer may be brought to a unit by itself.
    fn weighs_layers(&self) -> bool {
        false
    }
}
