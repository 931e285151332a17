//! The bottleneck block of GAN-INT-CLS.

use burn::module::Module;
use burn::tensor::Tensor;

use crate::kernels::{self, Activation};
use crate::nn::{BatchNorm, Init, PlainConv, Statistics};
use crate::shapes::Shapes;

/// Standard deviation of the initial weights of convolutions.
pub const STD: f32 = 0.02;

/// act(x + f(x)), where f consists of a 1×1 and two 3×3 convolutions, the first two followed by the
/// activation, over a quarter of the channels.
#[derive(Module, Debug)]
pub struct Bottleneck {
    /// 1×1, C → C/4.
    pub reduce: PlainConv,
    /// After `reduce`.
    pub norm1: BatchNorm,
    /// 3×3, C/4 → C/4.
    pub conv: PlainConv,
    /// After `conv`.
    pub norm2: BatchNorm,
    /// 3×3, C/4 → C.
    pub expand: PlainConv,
    /// After `expand`.
    pub norm3: BatchNorm,
}

/// A convolution without bias.
pub fn conv([inputs, outputs]: [usize; 2], kernel: usize, init: &mut Init) -> PlainConv {
    PlainConv { weight: init.normal([outputs, inputs, kernel, kernel], STD), bias: None }
}

impl Bottleneck {
    /// A block of `channels`, a multiple of 4. `norm` makes its normalisations.
    pub fn new(channels: usize, norm: fn(usize, &mut Init) -> BatchNorm, init: &mut Init) -> Self {
        let hidden = channels / 4;
        Self {
            reduce: conv([channels, hidden], 1, init),
            norm1: norm(hidden, init),
            conv: conv([hidden, hidden], 3, init),
            norm2: norm(hidden, init),
            expand: conv([hidden, channels], 3, init),
            norm3: norm(channels, init),
        }
    }

    /// Adds the tensors of such a block.
    pub(crate) fn add_shapes(shapes: &mut Shapes, name: &str, channels: usize, standing: bool) {
        let layer = |layer: &str| format!("{name}.{layer}");
        let hidden = channels / 4;
        shapes.conv(&layer("reduce"), [channels, hidden], 1, false);
        shapes.batch_norm(&layer("norm1"), hidden, standing);
        shapes.conv(&layer("conv"), [hidden, hidden], 3, false);
        shapes.batch_norm(&layer("norm2"), hidden, standing);
        shapes.conv(&layer("expand"), [hidden, channels], 3, false);
        shapes.batch_norm(&layer("norm3"), channels, standing);
    }

    /// x `[N, C, H, W]` → `[N, C, H, W]`.
    pub fn forward(&self, x: Tensor<4>, act: Activation, statistics: Statistics) -> Tensor<4> {
        let y = self.norm1.forward(self.reduce.forward(x.clone()), act, statistics);
        let y = self.norm2.forward(self.conv.forward(y), act, statistics);
        let y = self.norm3.forward(self.expand.forward(y), Activation::LINEAR, statistics);
        activated(x + y, act)
    }
}

/// The activation alone: x `[N, C, H, W]` → `[N, C, H, W]`.
pub fn activated(x: Tensor<4>, act: Activation) -> Tensor<4> {
    let none = Tensor::zeros([x.dims()[1]], &x.device().without_autodiff());
    kernels::bias_act(x, none, act)
}
