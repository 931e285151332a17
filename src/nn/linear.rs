//! Linear layers with equalised learning rate.

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use super::{Dual, Init};
use crate::kernels::Activation;

/// y = act(x·Wᵀ·gain + b·lr_mult), gain = lr_mult/√in (equalised learning rate: Karras et al. 2018,
/// §4.1; `lr_mult`: Karras et al. 2019, App. C).
#[derive(Module, Debug)]
pub struct Linear {
    /// [out, in], N(0, 1)/lr_mult at first.
    pub weight: Param<Tensor<2>>,
    /// [out].
    pub bias: Option<Param<Tensor<1>>>,
    lr_mult: f32,
    #[module(skip)]
    act: Activation,
}

/// What a [`Linear`] is to be; `Default` is a linear map with a zero bias.
#[derive(Debug, Clone, Copy)]
pub struct LinearOptions {
    /// Learning-rate multiplier of weight and bias.
    pub lr_mult: f32,
    /// Initial bias; `None` for no bias.
    pub bias: Option<f32>,
    /// What follows.
    pub act: Activation,
}

impl Default for LinearOptions {
    fn default() -> Self {
        Self { lr_mult: 1.0, bias: Some(0.0), act: Activation::LINEAR }
    }
}

impl Linear {
    /// Maps `inputs` features to `outputs`.
    pub fn new(inputs: usize, outputs: usize, options: LinearOptions, init: &mut Init) -> Self {
        Self {
            weight: init.normal([outputs, inputs], 1.0 / options.lr_mult),
            bias: options.bias.map(|value| init.full([outputs], value / options.lr_mult)),
            lr_mult: options.lr_mult,
            act: options.act,
        }
    }

    /// x [N, in] → [N, out].
    pub fn forward(&self, x: Dual<2>) -> Dual<2> {
        let weight = self.weight.val();
        let [outputs, inputs] = weight.dims();
        let [n, _] = x.value.dims();
        let weight = (weight * (self.lr_mult / (inputs as f32).sqrt())).transpose();
        let y = x.linear(|x| x.matmul(weight.clone()));
        let Some(bias) = &self.bias else { return y };
        let bias = if self.lr_mult == 1.0 { bias.val() } else { bias.val() * self.lr_mult };
        if self.act.is_identity() {
            return y.offset(bias.unsqueeze());
        }
        let flat = |t: Tensor<4>| t.reshape([n, outputs]);
        y.linear(|t| t.reshape([n, outputs, 1, 1])).bias_act(bias, self.act).linear(flat)
    }

    /// The plain layer on a plain value.
    pub fn apply(&self, x: Tensor<2>) -> Tensor<2> {
        self.forward(x.into()).value
    }
}

/// z / √(mean z² + 1e-8) per row: [N, D] → [N, D].
pub fn normalize_second_moment(z: Tensor<2>) -> Tensor<2> {
    let scale = (z.clone() * z.clone()).mean_dim(1).add_scalar(1e-8).sqrt().recip();
    z * scale
}
