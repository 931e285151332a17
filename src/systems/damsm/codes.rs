//! The vectors that the image encoder computes.

use burn::tensor::Tensor;

/// The vectors of a batch of images.
#[derive(Debug, Clone)]
pub struct ImageCodes {
    /// `[N, size, regions]`.
    pub regions: Tensor<3>,
    /// `[N, size]`.
    pub global: Tensor<2>,
}
