//! The convolutions from an image to features at 4×4, which the discriminator of GAN-INT-CLS and the
//! style encoder share.

use burn::tensor::Tensor;

use super::bottleneck::{Bottleneck, STD};
use crate::kernels::Activation;
use crate::nn::init::Weights;
use crate::nn::residual::ACT;
use crate::nn::strided::KERNEL;
use crate::nn::{BatchNorm, DownConv, Init, Statistics};
use crate::shapes::Shapes;

/// Numbers of channels of GAN-INT-CLS's networks.
#[derive(Debug, Clone, Copy)]
pub struct Widths {
    /// Side of the images: a power of two of at least 16.
    pub resolution: usize,
    /// Channels at half the resolution; a multiple of 4.
    pub width: usize,
}

impl Widths {
    /// Channels at side `side`: width·min(8, R/(2·side)).
    pub fn at(&self, side: usize) -> usize {
        self.width * (self.resolution / (2 * side)).clamp(1, 8)
    }

    /// Sides of the feature maps after the first one: from a quarter of the resolution down to 4.
    fn sides(&self) -> impl Iterator<Item = usize> + use<> {
        (2..self.resolution.ilog2() - 1).rev().map(|log| 1 << log)
    }
}

/// The layers, of which a network has a field each.
pub struct Layers {
    /// From the image to half the resolution.
    pub first: DownConv,
    /// Down to 4×4.
    pub downs: Vec<DownConv>,
    /// After each of `downs`.
    pub norms: Vec<BatchNorm>,
    /// At 4×4.
    pub residual: Bottleneck,
}

impl Layers {
    /// New layers. `norm` makes their normalisations.
    pub fn new(widths: Widths, norm: fn(usize, &mut Init) -> BatchNorm, init: &mut Init) -> Self {
        let weights = Weights::Normal(STD);
        let first = DownConv::new([3, widths.at(widths.resolution / 2)], weights, init);
        let (mut downs, mut norms) = (Vec::new(), Vec::new());
        for side in widths.sides() {
            downs.push(DownConv::new([widths.at(2 * side), widths.at(side)], weights, init));
            norms.push(norm(widths.at(side), init));
        }
        Self { first, downs, norms, residual: Bottleneck::new(widths.at(4), norm, init) }
    }

    /// Adds the tensors of such layers.
    pub(crate) fn add_shapes(shapes: &mut Shapes, widths: Widths, standing: bool) {
        shapes.conv("first", [3, widths.at(widths.resolution / 2)], KERNEL, false);
        for (index, side) in widths.sides().enumerate() {
            let pair = [widths.at(2 * side), widths.at(side)];
            shapes.conv(&format!("downs.{index}"), pair, KERNEL, false);
            shapes.batch_norm(&format!("norms.{index}"), widths.at(side), standing);
        }
        Bottleneck::add_shapes(shapes, "residual", widths.at(4), standing);
    }
}

/// The layers of a network.
pub struct Trunk<'a> {
    /// From the image to half the resolution.
    pub first: &'a DownConv,
    /// Down to 4×4.
    pub downs: &'a [DownConv],
    /// After each of `downs`.
    pub norms: &'a [BatchNorm],
    /// At 4×4.
    pub residual: &'a Bottleneck,
}

impl Trunk<'_> {
    /// Images `[N, 3, res, res]` in [-1, 1] → features `[N, C, 4, 4]`.
    pub fn forward(&self, images: Tensor<4>, statistics: Statistics) -> Tensor<4> {
        let mut x = self.first.forward_act(images, ACT);
        for (index, (down, norm)) in self.downs.iter().zip(self.norms).enumerate() {
            // As in the published code, the last one has no activation.
            let act = if index + 1 == self.downs.len() { Activation::LINEAR } else { ACT };
            x = norm.forward(down.forward(x), act, statistics);
        }
        self.residual.forward(x, ACT, statistics)
    }
}
