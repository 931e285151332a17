//! Frozen feature networks, and the perceptual distances and embeddings built on them.

pub mod embedding;
mod frozen;
pub mod inception;
pub mod lpips;
pub mod source;
pub mod squeezenet;
pub mod trunk;
pub mod trunk_choice;
pub mod unit;
pub mod vgg16;

use burn::tensor::Tensor;

pub use embedding::{Embedding, FeatureChoice};
pub use inception::Inception;
pub use lpips::Lpips;
pub use source::PerceptualChoice;
pub use squeezenet::SqueezeNet;
pub use trunk::Trunk;
pub use trunk_choice::TrunkChoice;
pub use unit::Perceptual;
pub use vgg16::Vgg16;

/// A network that maps images to feature maps.
pub trait Features: Send + Sync {
    /// Name in logs and models, such as `discriminator`, `squeezenet` or `vgg16`.
    fn name(&self) -> &'static str;

    /// Images `[N, 3, H, W]` in `[-1, 1]`, of any size → one tensor `[N, C, H', W']` per layer.
    ///
    /// The weights are frozen; gradients reach the images.
    fn extract(&self, images: Tensor<4>) -> Vec<Tensor<4>>;

    /// Whether the features already weight their layers against each other, as those of LPIPS do.
    /// Then the layers must not be normalised separately.
    fn weighs_layers(&self) -> bool {
        false
    }
}
