//! Residual blocks with group normalisation, for encoders and classifiers of images.

use burn::module::Module;
use burn::tensor::Tensor;

use super::{GroupNorm, Init, PlainConv};
use crate::kernels::Activation;
use crate::shapes::Shapes;

/// Leaky ReLU with slope 0.2 and without gain, because the normalisation sets the scale.
pub const ACT: Activation = Activation { slope: 0.2, gain: 1.0, clamp: None };

/// Residual block: two 3×3 convolutions and a shortcut.
///
/// It normalises groups of channels of one image. The reference uses batch statistics over 128
/// images on eight devices, but they are too noisy at batch sizes that fit on one device. With
/// group statistics, the code of an image also does not depend on the other images of its batch.
#[derive(Module, Debug)]
pub struct ResidualBlock {
    /// in → min(in, out).
    pub conv1: PlainConv,
    /// After `conv1`.
    pub norm1: GroupNorm,
    /// min(in, out) → out.
    pub conv2: PlainConv,
    /// After `conv2`.
    pub norm2: GroupNorm,
    /// 1×1, if the widths differ.
    pub shortcut: Option<PlainConv>,
    /// After `shortcut`.
    pub shortcut_norm: Option<GroupNorm>,
}

impl ResidualBlock {
    /// A block that maps `inputs` channels to `outputs`.
    pub fn new(inputs: usize, outputs: usize, init: &mut Init) -> Self {
        let hidden = inputs.min(outputs);
        let widens = inputs != outputs;
        Self {
            conv1: PlainConv::new([inputs, hidden], 3, false, init),
            norm1: GroupNorm::new(hidden, init),
            conv2: PlainConv::new([hidden, outputs], 3, false, init),
            norm2: GroupNorm::new(outputs, init),
            shortcut: widens.then(|| PlainConv::new([inputs, outputs], 1, false, init)),
            shortcut_norm: widens.then(|| GroupNorm::new(outputs, init)),
        }
    }

    /// Adds the tensors of such a block, which maps `inputs` channels to `outputs`.
    pub(crate) fn add_shapes(shapes: &mut Shapes, name: &str, [inputs, outputs]: [usize; 2]) {
        let layer = |layer: &str| format!("{name}.{layer}");
        let hidden = inputs.min(outputs);
        shapes.conv(&layer("conv1"), [inputs, hidden], 3, false);
        shapes.norm(&layer("norm1"), hidden);
        shapes.conv(&layer("conv2"), [hidden, outputs], 3, false);
        shapes.norm(&layer("norm2"), outputs);
        if inputs != outputs {
            shapes.conv(&layer("shortcut"), [inputs, outputs], 1, false);
            shapes.norm(&layer("shortcut_norm"), outputs);
        }
    }

    /// x `[N, in, H, W]` → `[N, out, H, W]`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let y = self.norm1.forward(self.conv1.forward(x.clone()), ACT);
        let y = self.norm2.forward(self.conv2.forward(y), ACT);
        let shortcut = match (&self.shortcut, &self.shortcut_norm) {
            (Some(conv), Some(norm)) => norm.forward(conv.forward(x), ACT),
            _ => x,
        };
        y + shortcut
    }
}
