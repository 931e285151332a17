//! Layers of the generators and discriminators of StackGAN++ (Zhang et al. 2019), which AttnGAN and
//! MirrorGAN share. Convolutions and linear layers have orthogonal initial weights, and no bias before
//! a normalisation.

use burn::module::{Module, Param};
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

/// The first stage of a generator: vectors → features at 4×4 → larger ones.
#[derive(Module, Debug)]
pub struct FirstStage {
    /// Condition and z → features at 4×4, twice: `[2·16·C, in]`, without bias.
    pub weight: Param<Tensor<2>>,
    /// After `weight`.
    pub norm: BatchNorm,
    /// Each doubles the side.
    pub ups: Vec<Gated>,
}

impl FirstStage {
    /// A stage from vectors of length `inputs` to features of these numbers of channels at 4×4, 8×8,
    /// and so on.
    pub fn new(inputs: usize, widths: &[usize], init: &mut Init) -> Self {
        let rows = 2 * 16 * widths[0];
        Self {
            weight: init.orthogonal([rows, inputs]),
            norm: BatchNorm::standing(rows, init),
            ups: widths.windows(2).map(|pair| Gated::new([pair[0], pair[1]], init)).collect(),
        }
    }

    /// Adds the tensors of such a stage.
    pub(crate) fn add_shapes(shapes: &mut Shapes, name: &str, inputs: usize, widths: &[usize]) {
        let rows = 2 * 16 * widths[0];
        shapes.tensor(format!("{name}.weight"), &[rows, inputs]);
        shapes.batch_norm(&format!("{name}.norm"), rows, true);
        for (index, pair) in widths.windows(2).enumerate() {
            Gated::add_shapes(shapes, &format!("{name}.ups.{index}"), [pair[0], pair[1]]);
        }
    }

    /// Vectors `[N, in]` → `[N, C, side, side]`.
    pub fn forward(&self, inputs: Tensor<2>, statistics: Statistics) -> Tensor<4> {
        let x = inputs.matmul(self.weight.val().transpose());
        let x = glu(self.norm.forward_vectors(x, Activation::LINEAR, statistics));
        let [n, values] = x.dims();
        let x = x.reshape([n, values / 16, 4, 4]);
        self.ups.iter().fold(x, |x, up| up.forward(enlarged(x), statistics))
    }
}

/// Conditions at every position, followed by features: `[N, S]` and `[N, C, H, W]` →
/// `[N, S + C, H, W]`.
pub fn beside(condition: Tensor<2>, features: Tensor<4>) -> Tensor<4> {
    let ([n, _, h, w], size) = (features.dims(), condition.dims()[1]);
    let condition = condition.reshape([n, size, 1, 1]).expand([n, size, h, w]);
    Tensor::cat(vec![condition, features], 1)
}

/// Images at each of `sides`, which do not decrease and end with the side of the images
/// `[N, 3, res, res]`.
pub fn pyramid(images: Tensor<4>, sides: &[usize]) -> Vec<Tensor<4>> {
    let mut levels = Vec::new();
    let mut level = images;
    for &side in sides.iter().rev() {
        while level.dims()[3] > side {
            level = upfirdn2d(level, &resample::average2());
        }
        levels.push(level.clone());
    }
    levels.reverse();
    levels
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::nn::params::to_vec;

    #[test]
    fn a_pyramid_holds_means_of_pixels() {
        let device = Device::flex();
        let values: Vec<f32> = (0..16).map(|v| v as f32).collect();
        let image = Tensor::<1>::from_floats(values.as_slice(), &device).reshape([1, 1, 4, 4]);
        let levels = pyramid(image.clone(), &[2, 4]);
        assert_eq!(to_vec(levels[0].clone()), [2.5, 4.5, 10.5, 12.5]);
        assert_eq!(to_vec(levels[1].clone()), values);
        let same: Vec<usize> =
            pyramid(image, &[4, 4]).iter().map(|level| level.dims()[3]).collect();
        assert_eq!(same, [4, 4]);
    }
}
