//! The convolution layers of the discriminator.

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use super::{Dual, Init, resample};
use crate::kernels::{self, Activation, Conv};

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
        let weight = self.weight.val();
        let (x, conv) = self.prepared(x, gain);
        match &self.bias {
            Some(bias) => x.convolve_act(weight, bias.val(), conv, self.act.gained(gain)),
            None => x.linear(|x| kernels::convolve(x, weight.clone(), conv)),
        }
    }

    /// The same plus `other`, for a layer without bias.
    pub fn forward_onto(&self, x: Dual<4>, gain: f32, other: Dual<4>) -> Dual<4> {
        assert!(self.bias.is_none(), "a bias is followed by an activation");
        let (x, conv) = self.prepared(x, gain);
        x.convolve_add(self.weight.val(), other, conv)
    }

    /// The input to convolve, and the parameters of the convolution.
    fn prepared(&self, x: Dual<4>, gain: f32) -> (Dual<4>, Conv) {
        let [_, inputs, kernel, _] = self.weight.dims();
        let equalized = 1.0 / ((inputs * kernel * kernel) as f32).sqrt();
        // Without an activation, the gain can be part of the weight.
        let gain_on_weight = if self.bias.is_some() { equalized } else { equalized * gain };
        // A 1×1 convolution of stride 2 drops pixels, so it drops them before.
        let x = if self.down && kernel == 1 { x.resample(&resample::down2()) } else { x };
        let [_, _, h, w] = x.value.dims();
        let conv = match self.down && kernel > 1 {
            true => Conv::down([h, w], kernel, resample::before_down()),
            false => Conv::new([h, w], kernel, 1, kernel / 2),
        };
        (x, conv.gained(gain_on_weight))
    }
}
