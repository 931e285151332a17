//! A frozen network without a way of comparing its features.

use burn::tensor::Tensor;

use super::{SqueezeNet, Vgg16};

/// A frozen network that maps images to the features of some of its layers.
#[derive(Debug, Clone)]
pub enum Trunk {
    /// VGG16.
    Vgg16(Vgg16),
    /// SqueezeNet.
    SqueezeNet(SqueezeNet),
}

impl Trunk {
    /// Number of maps of each chosen layer.
    pub fn widths(&self) -> Vec<usize> {
        match self {
            Trunk::Vgg16(vgg16) => vgg16.widths(),
            Trunk::SqueezeNet(squeezenet) => squeezenet.widths(),
        }
    }

    /// Features of the chosen layers for images `[N, 3, H, W]` in `[-1, 1]`, without resizing.
    pub fn activations(&self, images: Tensor<4>) -> Vec<Tensor<4>> {
        match self {
            Trunk::Vgg16(vgg16) => vgg16.activations(images),
            Trunk::SqueezeNet(squeezenet) => squeezenet.activations(images),
        }
    }
}
