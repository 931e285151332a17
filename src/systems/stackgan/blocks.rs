//! Layers of both networks. Convolutions and linear layers have orthogonal initial weights, and no
//! bias before a normalisation.

use burn::module::Module;
use burn::tensor::Tensor;

use crate::kernels::{Activation, upfirdn2d};
use crate::nn::gated::glu;
use crate::nn::{BatchNorm, Init, PlainConv, Statistics, resample};
use crate::shapes::Shapes;

/// A 3×3 convolution without bias.
pub fn conv3([inputs, outputs]: [usize; 2], init: &mut Init) -> PlainConv {
    PlainConv { weight: init.orthogonal([outputs, inputs, 3, 3]), bias: None }
}

/// Doubles the side of feature maps by repeating every pixel: `[N, C, H, W]` → `[N, C, 2H, 2W]`.
pub fn enlarged(x: Tensor<4>) -> Tensor<4> {
    upfirdn2d(x, &resample::nearest2())
}

/// 3×3 convolution to twice the channels, batch normalisation, gated linear unit.
#[derive(Module, Debug)]
pub struct Gated {
    /// in → 2·out.
    pub conv: PlainConv,
    /// After `conv`.
    pub norm: BatchNorm,
}

impl Gated {
    /// A layer that maps `inputs` channels to `outputs`.
    pub fn new([inputs, outputs]: [usize; 2], init: &mut Init) -> Self {
        let conv = conv3([inputs, 2 * outputs], init);
        Self { conv, norm: BatchNorm::standing(2 * outputs, init) }
    }

    /// Adds the tensors of such a layer.
    pub(crate) fn add_shapes(shapes: &mut Shapes, name: &str, [inputs, outputs]: [usize; 2]) {
        shapes.conv(&format!("{name}.conv"), [inputs, 2 * outputs], 3, false);
        shapes.batch_norm(&format!("{name}.norm"), 2 * outputs, true);
    }

    /// x `[N, in, H, W]` → `[N, out, H, W]`.
    pub fn forward(&self, x: Tensor<4>, statistics: Statistics) -> Tensor<4> {
        glu(self.norm.forward(self.conv.forward(x), Activation::LINEAR, statistics))
    }
}

/// x + f(x), where f is a gated convolution and a convolution with batch normalisation.
#[derive(Module, Debug)]
pub struct Residual {
    /// C → C.
    pub gated: Gated,
    /// C → C.
    pub conv: PlainConv,
    /// After `conv`.
    pub norm: BatchNorm,
}

impl Residual {
    /// A block of `channels`.
    pub fn new(channels: usize, init: &mut Init) -> Self {
        Self {
            gated: Gated::new([channels; 2], init),
            conv: conv3([channels; 2], init),
            norm: BatchNorm::standing(channels, init),
        }
    }

    /// Adds the tensors of such a block.
    pub(crate) fn add_shapes(shapes: &mut Shapes, name: &str, channels: usize) {
        Gated::add_shapes(shapes, &format!("{name}.gated"), [channels; 2]);
        shapes.conv(&format!("{name}.conv"), [channels; 2], 3, false);
        shapes.batch_norm(&format!("{name}.norm"), channels, true);
    }

    /// x `[N, C, H, W]` → `[N, C, H, W]`.
    pub fn forward(&self, x: Tensor<4>, statistics: Statistics) -> Tensor<4> {
        let y = self.conv.forward(self.gated.forward(x.clone(), statistics));
        x + self.norm.forward(y, Activation::LINEAR, statistics)
    }
}
