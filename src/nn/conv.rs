//! The convolution layers of the discriminator.

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use super::half::limited;
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
        let bias = self.bias.as_ref().map(Param::val);
        self.forward_with(ConvParameters { weight: self.weight.val(), bias, parts: false }, x, gain)
    }

    /// [`forward`](Self::forward) with the parameters of this layer.
    pub fn forward_with(&self, own: ConvParameters, x: Dual<4>, gain: f32) -> Dual<4> {
        // A 1×1 convolution of stride 2 drops pixels, so it drops them before.
        let x = if self.drops_pixels() { x.resample(&resample::down2()) } else { x };
        let conv = self.conv(&x, gain, own.parts);
        match own.bias {
            Some(bias) => {
                let act = limited(self.act, gain, &x);
                x.convolve_act(own.weight, bias, conv, act)
            }
            None => x.linear(|x| kernels::convolve(x, own.weight.clone(), conv)),
        }
    }

    /// [`forward_with`](Self::forward_with) of a layer that keeps the side, and x at half the side
    /// ([`resample::down2`]) for [`forward_onto`](Self::forward_onto).
    pub fn forward_beside(&self, own: ConvParameters, x: Dual<4>) -> [Dual<4>; 2] {
        let conv = self.conv(&x, 1.0, own.parts);
        let bias = own.bias.expect("the layer has a bias");
        let act = limited(self.act, 1.0, &x);
        x.convolve_act_beside(own.weight, bias, conv, act, &resample::down2())
    }

    /// [`forward_with`](Self::forward_with) plus `other`, for a 1×1 layer without bias that goes down, given
    /// x at half the side.
    pub fn forward_onto(
        &self,
        own: ConvParameters,
        x: Dual<4>,
        gain: f32,
        other: Dual<4>,
    ) -> Dual<4> {
        assert!(own.bias.is_none(), "a bias is followed by an activation");
        assert!(self.drops_pixels(), "x has been resampled for such a layer");
        let conv = self.conv(&x, gain, own.parts);
        x.convolve_add(own.weight, other, conv)
    }

    /// Whether this is a 1×1 layer that goes down.
    fn drops_pixels(&self) -> bool {
        self.down && self.weight.dims()[2] == 1
    }

    /// The convolution of x, with gradients in parts if `parts`.
    fn conv(&self, x: &Dual<4>, gain: f32, parts: bool) -> Conv {
        let [_, inputs, kernel, _] = self.weight.dims();
        let equalized = 1.0 / ((inputs * kernel * kernel) as f32).sqrt();
        // Without an activation, the gain can be part of the weight.
        let gain_on_weight = if self.bias.is_some() { equalized } else { equalized * gain };
        let [_, _, h, w] = x.value.dims();
        let conv = match self.down && kernel > 1 {
            true => Conv::down([h, w], kernel, resample::before_down()),
            false => Conv::new([h, w], kernel, 1, kernel / 2),
        };
        Conv { parts, ..conv.gained(gain_on_weight) }
    }
}

/// The parameters of a [`ConvLayer`].
pub struct ConvParameters {
    /// `[out, in, k, k]`.
    weight: Tensor<4>,
    /// `[out]`, if the layer has one.
    bias: Option<Tensor<1>>,
    /// Whether their gradients are in parts; see [`Conv::in_parts`].
    parts: bool,
}

impl ConvParameters {
    /// The parameters of several layers, whose gradients are finished together.
    pub fn together(layers: &[&ConvLayer]) -> Vec<Self> {
        let weights = layers.iter().map(|layer| layer.weight.val()).collect();
        let biases = layers.iter().filter_map(|layer| layer.bias.as_ref()).map(Param::val);
        let (weights, biases) = kernels::together(weights, biases.collect());
        let mut biases = biases.into_iter();
        let parameters = |(layer, weight): (&&ConvLayer, _)| {
            let bias = layer.bias.is_some().then(|| biases.next().expect("one for each"));
            Self { weight, bias, parts: true }
        };
        layers.iter().zip(weights).map(parameters).collect()
    }
}
