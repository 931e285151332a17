//! The convolution layers of the discriminator.

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use super::{Dual, Init, resample};
use crate::kernels::{self, Activation};

/// Convolution with equalised learning rate, optional down-sampling, bias and activation:
/// act(conv(x, W/√(in·k²)) + b).
#[derive(Module, Debug)]
pub struct ConvLayer {
    /// `[out, in, k, k]`, N(0, 1) at first.
    pub weight: Param<Tensor<4>>,
    /// `[out]`; absent in the skip of a residual block.
    pub bias: Option<Param<Tensor<1>>>,
    down: bool,
    #[module(skip)]
    act: Activation,
}

impl ConvLayer {
    /// `kernel` is 1 or 3; `bias` false makes the layer linear.
    pub fn new(
        [inputs, outputs]: [usize; 2],
        kernel: usize,
        down: bool,
        bias: bool,
        act: Activation,
        init: &mut Init,
    ) -> Self {
        Self {
            weight: init.normal([outputs, inputs, kernel, kernel], 1.0),
            bias: bias.then(|| init.full([outputs], 0.0)),
            down,
            act,
        }
    }

    /// x `[N, in, H, W]` → `[N, out, H, W]`, or half the side where the layer goes down. `gain`
    /// multiplies the output.
    pub fn forward(&self, x: Dual<4>, gain: f32) -> Dual<4> {
        let [_, inputs, kernel, _] = self.weight.dims();
        let equalized = 1.0 / ((inputs * kernel * kernel) as f32).sqrt();
        // Without an activation, the gain can be part of the weight.
        let gain_on_weight = if self.bias.is_some() { equalized } else { equalized * gain };
        let weight = self.weight.val() * gain_on_weight;
        let conv = |x: Dual<4>, stride, padding| {
            x.linear(|x| kernels::conv2d(x, weight.clone(), stride, padding))
        };
        let y = match (self.down, kernel) {
            (false, _) => conv(x, 1, kernel / 2),
            (true, 1) => conv(x.resample(&resample::down2()), 1, 0),
            (true, _) => {
                x.linear(|x| kernels::conv2d_down(x, weight.clone(), resample::before_down()))
            }
        };
        match &self.bias {
            Some(bias) => y.bias_act(bias.val(), self.act.gained(gain)),
            None => y,
        }
    }
}
