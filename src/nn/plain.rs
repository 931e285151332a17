//! Layers without equalised learning rate, which the encoders and the latent discriminator use.

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use super::{Dual, Init};
use crate::kernels::{self, Activation, Affine, Conv, Groups};

/// A linear layer: y = x·Wᵀ + b.
#[derive(Module, Debug)]
pub struct PlainLinear {
    /// W `[out, in]`, initially U(±1/√in).
    pub weight: Param<Tensor<2>>,
    /// b `[out]`, initially U(±1/√in).
    pub bias: Param<Tensor<1>>,
}

impl PlainLinear {
    /// A new layer that maps `inputs` features to `outputs`.
    pub fn new(inputs: usize, outputs: usize, init: &mut Init) -> Self {
        let bound = 1.0 / (inputs as f32).sqrt();
        Self {
            weight: init.uniform([outputs, inputs], bound),
            bias: init.uniform([outputs], bound),
        }
    }

    /// Computes act(x·Wᵀ + b): x `[N, in]` → `[N, out]`.
    pub fn forward(&self, x: Dual<2>, act: Activation) -> Dual<2> {
        let affine = Affine { gain: 1.0, bias_gain: 1.0, act };
        x.affine(self.weight.val(), self.bias.val(), affine)
    }
}

/// A k×k convolution of stride 1 with padding k/2, which keeps the size of its input.
#[derive(Module, Debug)]
pub struct PlainConv {
    /// Kernels `[out, in, k, k]`, initially N(0, 2/(in·k²)).
    pub weight: Param<Tensor<4>>,
    /// Bias `[out]`, initially 0; absent before a normalisation.
    pub bias: Option<Param<Tensor<1>>>,
}

impl PlainConv {
    /// A new convolution with kernels of side `kernel`, which must be odd.
    pub fn new([inputs, outputs]: [usize; 2], kernel: usize, bias: bool, init: &mut Init) -> Self {
        let std = (2.0 / (inputs * kernel * kernel) as f32).sqrt();
        Self {
            weight: init.normal([outputs, inputs, kernel, kernel], std),
            bias: bias.then(|| init.full([outputs], 0.0)),
        }
    }

    /// Applies the convolution: x `[N, in, H, W]` → `[N, out, H, W]`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let weight = self.weight.val();
        let [_, _, h, w] = x.dims();
        let kernel = weight.dims()[2];
        let conv = Conv::new([h, w], kernel, 1, kernel / 2);
        match &self.bias {
            Some(bias) => kernels::convolve_act(x, weight, bias.val(), conv, Activation::LINEAR),
            None => kernels::convolve(x, weight, conv),
        }
    }
}

/// Group normalisation (Wu & He 2018). Its statistics are those of one image and do not depend on
/// the batch.
#[derive(Module, Debug)]
pub struct GroupNorm {
    /// Scale `[C]`, initially 1.
    pub weight: Param<Tensor<1>>,
    /// Offset `[C]`, initially 0.
    pub bias: Param<Tensor<1>>,
    groups: usize,
}

impl GroupNorm {
    /// A new layer. The number of groups is the largest one up to 8 that divides `channels`.
    pub fn new(channels: usize, init: &mut Init) -> Self {
        let groups = (1..=channels.min(8)).rev().find(|g| channels.is_multiple_of(*g)).unwrap_or(1);
        Self { weight: init.full([channels], 1.0), bias: init.full([channels], 0.0), groups }
    }

    /// Computes act(normalised·weight + bias): x `[N, C, H, W]` → `[N, C, H, W]`.
    pub fn forward(&self, x: Tensor<4>, act: Activation) -> Tensor<4> {
        let groups = Groups { count: self.groups, eps: 1e-5, act };
        kernels::group_norm(x, self.weight.val(), self.bias.val(), groups)
    }
}
