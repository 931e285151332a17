//! Sums in parts; see [`Kernels::k_sums_of_parts`](crate::kernels::Kernels::k_sums_of_parts).

use burn::backend::{Backend, TensorMetadata, tensor::FloatTensor};
use burn::tensor::Shape;

use super::dims::dims;
use crate::kernels::outputs::{BiasActGradients, NoiseActGradients, Tensors};
use crate::kernels::spec::Conv;

/// A sum that has been finished, as the only part of itself: G numbers → `[1, G, 1]`.
pub fn in_parts<B: Backend>(sum: FloatTensor<B>) -> FloatTensor<B> {
    let count = sum.shape().num_elements();
    B::float_reshape(sum, Shape::from([1, count, 1]))
}

/// The gradient of a weight, as a sum in parts if the convolution says so.
pub fn weight_gradient<B: Backend>(gradient: FloatTensor<B>, conv: Conv) -> FloatTensor<B> {
    if conv.parts { in_parts::<B>(gradient) } else { gradient }
}

/// The same with the gradient of the bias in parts.
pub fn bias_act_gradients<B: Backend>(found: BiasActGradients<B>) -> BiasActGradients<B> {
    BiasActGradients { x: found.x, bias: in_parts::<B>(found.bias) }
}

/// The same with the gradients of factors, strength and bias in parts.
pub fn noise_act_gradients<B: Backend>(
    found: NoiseActGradients<B>,
    gain: f32,
) -> NoiseActGradients<B> {
    NoiseActGradients {
        x: if gain == 1.0 { found.x } else { B::float_mul_scalar(found.x, gain.into()) },
        scale: in_parts::<B>(found.scale),
        strength: in_parts::<B>(found.strength),
        bias: in_parts::<B>(found.bias),
    }
}

/// See [`Kernels::k_sums_of_parts`](crate::kernels::Kernels::k_sums_of_parts).
pub fn sums_of_parts<B: Backend>(parts: Tensors<B>, like: Tensors<B>) -> Tensors<B> {
    let sum = |(parts, like): (FloatTensor<B>, FloatTensor<B>)| {
        let [outer, _, inner] = dims(parts.shape());
        let parts = if outer > 1 { B::float_sum_dim(parts, 0) } else { parts };
        let parts = if inner > 1 { B::float_sum_dim(parts, 2) } else { parts };
        B::float_reshape(parts, like.shape())
    };
    Tensors(parts.0.into_iter().zip(like.0).map(sum).collect())
}
