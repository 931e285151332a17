//! Convolution and its two gradients, with the filter that may belong to it.

use burn::backend::{
    Backend, TensorMetadata,
    ops::{ConvOptions, ConvTransposeOptions},
    tensor::FloatTensor,
};
use burn::tensor::Shape;

use super::dims::dims;
use super::parts::weight_gradient;
use super::pointwise::scale_planes;
use super::upfirdn::upfirdn2d;
use crate::kernels::spec::Conv;

/// See [`Kernels::k_conv2d`](crate::kernels::Kernels::k_conv2d).
pub fn conv2d<B: Backend>(x: FloatTensor<B>, w: FloatTensor<B>, conv: Conv) -> FloatTensor<B> {
    let w = gained::<B>(unswapped::<B>(w, conv), conv);
    B::conv2d(smoothed::<B>(x, conv), w, None, options(conv))
}

/// The weight as `[O, I, k, k]`; or its gradient, which is that, in the order of the weight.
fn unswapped<B: Backend>(w: FloatTensor<B>, conv: Conv) -> FloatTensor<B> {
    if conv.swapped { B::float_swap_dims(w, 0, 1) } else { w }
}

/// The input after its filter, if there is one.
fn smoothed<B: Backend>(x: FloatTensor<B>, conv: Conv) -> FloatTensor<B> {
    match conv.smooth {
        Some(smooth) => upfirdn2d::<B>(x, smooth.fir()),
        None => x,
    }
}

/// See [`Kernels::k_conv2d_transposed`](crate::kernels::Kernels::k_conv2d_transposed).
pub fn conv2d_transposed<B: Backend>(
    g: FloatTensor<B>,
    w: FloatTensor<B>,
    conv: Conv,
) -> FloatTensor<B> {
    let end = conv.filtered();
    // No step of the kernel reaches these last rows and columns of the input.
    let left_over = |i: usize| (end[i] + 2 * conv.padding - conv.kernel) % conv.stride;
    let options = ConvTransposeOptions::new(
        [conv.stride; 2],
        [conv.padding; 2],
        [left_over(0), left_over(1)],
        [1, 1],
        1,
    );
    let w = gained::<B>(unswapped::<B>(w, conv), conv);
    let x = B::conv_transpose2d(g, w, None, options);
    match conv.smooth {
        Some(smooth) => upfirdn2d::<B>(x, smooth.fir().adjoint(conv.input)),
        None => x,
    }
}

/// See [`Kernels::k_conv2d_weight_gradient`](crate::kernels::Kernels::k_conv2d_weight_gradient).
pub fn conv2d_weight_gradient<B: Backend>(
    x: FloatTensor<B>,
    g: FloatTensor<B>,
    conv: Conv,
) -> FloatTensor<B> {
    let x = smoothed::<B>(x, conv);
    let [_, i, _, _] = dims(x.shape());
    let [_, o, _, _] = dims(g.shape());
    let device = x.device();
    // Burn uses the shape of the weight, not its values.
    let w =
        B::float_zeros(Shape::from([o, i, conv.kernel, conv.kernel]), &device, x.dtype().into());
    let gradient = unswapped::<B>(B::conv2d_weight_backward(x, w, g, options(conv)), conv);
    weight_gradient::<B>(gained::<B>(gradient, conv), conv)
}

/// A weight, or its gradient, times the factor of the weight.
pub fn gained<B: Backend>(w: FloatTensor<B>, conv: Conv) -> FloatTensor<B> {
    if conv.gain == 1.0 { w } else { B::float_mul_scalar(w, conv.gain.into()) }
}

/// See [`Kernels::k_modulated_conv2d`](crate::kernels::Kernels::k_modulated_conv2d).
pub fn modulated_conv2d<B: Backend>(
    x: FloatTensor<B>,
    s: FloatTensor<B>,
    w: FloatTensor<B>,
    conv: Conv,
    transposed: bool,
) -> FloatTensor<B> {
    let x = scale_planes::<B>(x, s);
    if transposed { conv2d_transposed::<B>(x, w, conv) } else { conv2d::<B>(x, w, conv) }
}

/// See [`Kernels::k_modulated_weight_gradient`](crate::kernels::Kernels::k_modulated_weight_gradient).
pub fn modulated_weight_gradient<B: Backend>(
    x: FloatTensor<B>,
    s: FloatTensor<B>,
    g: FloatTensor<B>,
    conv: Conv,
    transposed: bool,
) -> FloatTensor<B> {
    let x = scale_planes::<B>(x, s);
    let [x, g] = if transposed { [g, x] } else { [x, g] };
    conv2d_weight_gradient::<B>(x, g, conv)
}

fn options(conv: Conv) -> ConvOptions<2> {
    ConvOptions::new([conv.stride; 2], [conv.padding; 2], [1, 1], 1)
}
