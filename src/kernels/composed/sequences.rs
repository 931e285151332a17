//! A convolution and what follows it, one kernel after the other.

use burn::backend::tensor::FloatTensor;

use super::upfirdn::resampled;
use crate::kernels::backend::Kernels;
use crate::kernels::outputs::NoiseOperands;
use crate::kernels::spec::{Activation, Conv, Fir};

/// See [`Kernels::k_conv2d_act`].
pub fn conv2d_act<B: Kernels>(
    x: FloatTensor<B>,
    w: FloatTensor<B>,
    b: FloatTensor<B>,
    conv: Conv,
    act: Activation,
) -> FloatTensor<B> {
    B::k_bias_act(B::k_conv2d(x, w, conv), b, act)
}

/// See [`Kernels::k_conv2d_add`].
pub fn conv2d_add<B: Kernels>(
    x: FloatTensor<B>,
    w: FloatTensor<B>,
    other: FloatTensor<B>,
    conv: Conv,
    resample: Option<Fir>,
) -> FloatTensor<B> {
    B::float_add(B::k_conv2d(x, w, conv), resampled::<B>(other, resample))
}

/// See [`Kernels::k_conv2d_transposed_add`].
pub fn conv2d_transposed_add<B: Kernels>(
    g: FloatTensor<B>,
    w: FloatTensor<B>,
    other: FloatTensor<B>,
    conv: Conv,
) -> FloatTensor<B> {
    B::float_add(B::k_conv2d_transposed(g, w, conv), other)
}

/// See [`Kernels::k_modulated_conv2d_add`].
pub fn modulated_conv2d_add<B: Kernels>(
    [x, s, w, b]: [FloatTensor<B>; 4],
    other: FloatTensor<B>,
    conv: Conv,
    resample: Option<Fir>,
) -> FloatTensor<B> {
    let y = B::k_modulated_conv2d(x, s, w, conv, false);
    let other = resampled::<B>(other, resample);
    B::float_add(B::k_bias_act(y, b, Activation::LINEAR), other)
}

/// See [`Kernels::k_modulated_noise_act`].
pub fn modulated_noise_act<B: Kernels>(
    [x, s, w]: [FloatTensor<B>; 3],
    operands: NoiseOperands<B>,
    conv: Conv,
    transposed: bool,
    act: Activation,
) -> FloatTensor<B> {
    let y = B::k_modulated_conv2d(x, s, w, conv, transposed);
    let NoiseOperands { scale, noise, strength, bias } = operands;
    B::k_noise_act(y, scale, noise, strength, bias, act)
}
