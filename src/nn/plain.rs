//! Layers without equalised learning rate, for the encoder and the latent discriminator.

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use super::{Dual, Init};
use crate::kernels::{self, Activation, Groups};

/// y = x·Wᵀ + b.
#[derive(Module, Debug)]
pub struct PlainLinear {
    /// [out, in], U(±1/√in) at first.
    pub weight: Param<Tensor<2>>,
    /// [out], likewise.
    pub bias: Param<Tensor<1>>,
}

impl PlainLinear {
    /// Maps `inputs` features to `outputs`.
    pub fn new(inputs: usize, outputs: usize, init: &mut Init) -> Self {
        let bound = 1.0 / (inputs as f32).sqrt();
        Self {
            weight: init.uniform([outputs, inputs], bound),
            bias: init.uniform([outputs], bound),
        }
    }

    /// act(x·Wᵀ + b): x [N, in] → [N, out].
    pub fn forward(&self, x: Dual<2>, act: Activation) -> Dual<2> {
        let weight = self.weight.val().transpose();
        let y = x.linear(|x| x.matmul(weight.clone()));
        let [n, outputs] = y.value.dims();
        let planes = y.linear(|t: Tensor<2>| t.reshape([n, outputs, 1, 1]));
        planes.bias_act(self.bias.val(), act).linear(|t| t.reshape([n, outputs]))
    }
}

/// Convolution of stride 1 that keeps the side: k×k with padding k/2.
#[derive(Module, Debug)]
pub struct PlainConv {
    /// [out, in, k, k], N(0, 2/(in·k²)) at first.
    pub weight: Param<Tensor<4>>,
    /// [out], 0 at first; absent before a normalisation.
    pub bias: Option<Param<Tensor<1>>>,
}

impl PlainConv {
    /// `kernel` is odd.
    pub fn new([inputs, outputs]: [usize; 2], kernel: usize, bias: bool, init: &mut Init) -> Self {
        let std = (2.0 / (inputs * kernel * kernel) as f32).sqrt();
        Self {
            weight: init.normal([outputs, inputs, kernel, kernel], std),
            bias: bias.then(|| init.full([outputs], 0.0)),
        }
    }

    /// x [N, in, H, W] → [N, out, H, W].
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let weight = self.weight.val();
        let padding = weight.dims()[2] / 2;
        let y = kernels::conv2d(x, weight, 1, padding);
        match &self.bias {
            Some(bias) => kernels::bias_act(y, bias.val(), Activation::LINEAR),
            None => y,
        }
    }
}

/// Group normalisation (Wu & He 2018). Its statistics come from one image, so the output does not depend
/// on the batch.
#[derive(Module, Debug)]
pub struct GroupNorm {
    /// [C], 1 at first.
    pub weight: Param<Tensor<1>>,
    /// [C], 0 at first.
    pub bias: Param<Tensor<1>>,
    groups: usize,
}

impl GroupNorm {
    /// At most 8 groups, which must divide the channels.
    pub fn new(channels: usize, init: &mut Init) -> Self {
        let groups = (1..=channels.min(8)).rev().find(|g| channels.is_multiple_of(*g)).unwrap_or(1);
        Self { weight: init.full([channels], 1.0), bias: init.full([channels], 0.0), groups }
    }

    /// act(normalised·weight + bias): x [N, C, H, W].
    pub fn forward(&self, x: Tensor<4>, act: Activation) -> Tensor<4> {
        let groups = Groups { count: self.groups, eps: 1e-5, act };
        kernels::group_norm(x, self.weight.val(), self.bias.val(), groups)
    }
}
