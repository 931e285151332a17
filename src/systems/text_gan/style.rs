//! The style encoder S of Reed et al. (2016, §4.4): an image → the noise z that its generator would draw
//! it with, which holds what a caption does not say, such as the pose and the background.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::bottleneck::{Bottleneck, conv};
use super::trunk::{Layers, Trunk, Widths};
use crate::error::{Error, Result};
use crate::kernels;
use crate::model::{Model, Section};
use crate::nn::batch_norm::check_variances;
use crate::nn::resize::bilinear;
use crate::nn::strided::KERNEL;
use crate::nn::{BatchNorm, DownConv, Init, PlainConv, Statistics};
use crate::settings::Checked;
use crate::settings::limits::{MAX_WIDTH, within};
use crate::shapes::Shapes;
use crate::systems::damsm::DAMSM;

/// Prefix of the style encoder in models and checkpoints.
pub const S: &str = "S";

/// The model section of the style encoder. It extends a model with a generator that was trained with
/// DAMSM, and is fitted to that generator.
pub static STYLE: Section = Section {
    name: "style",
    command: "train-style",
    networks: &[S],
    training_only: &[],
    texts: &[],
    tensors: &[],
    fitted_to: &[&DAMSM],
};

/// Architecture of the style encoder; stored in every model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StyleNetwork {
    /// Channels at half the resolution; a multiple of 4.
    pub width: usize,
}

impl Default for StyleNetwork {
    fn default() -> Self {
        Self { width: 64 }
    }
}

impl Checked for StyleNetwork {
    fn check(&self) -> Result<()> {
        within("style.network.width", self.width, 4..=MAX_WIDTH / 8)?;
        if !self.width.is_multiple_of(4) {
            return Err(Error::user(format!("style.network.width is {}", self.width))
                .hint("use a multiple of 4, such as 64"));
        }
        Ok(())
    }
}

/// The convolutions of GAN-INT-CLS's discriminator without the caption, and one to z.
#[derive(Module, Debug)]
pub struct StyleEncoder {
    /// From the image to half the resolution.
    pub first: DownConv,
    /// Down to 4×4.
    pub downs: Vec<DownConv>,
    /// After each of `downs`.
    pub norms: Vec<BatchNorm>,
    /// At 4×4.
    pub residual: Bottleneck,
    /// 4×4, features → z.
    pub head: PlainConv,
    resolution: usize,
}

impl StyleEncoder {
    /// A new encoder of images of side `resolution`, to z of size `z_dim`.
    pub fn new(network: &StyleNetwork, resolution: usize, z_dim: usize, init: &mut Init) -> Self {
        let widths = Widths { resolution, width: network.width };
        let Layers { first, downs, norms, residual } =
            Layers::new(widths, BatchNorm::standing, init);
        let head = conv([widths.at(4), z_dim], KERNEL, init);
        Self { first, downs, norms, residual, head, resolution }
    }

    /// The tensors of such an encoder.
    pub(crate) fn shapes(network: &StyleNetwork, resolution: usize, z_dim: usize) -> Shapes {
        let widths = Widths { resolution, width: network.width };
        let mut shapes = Shapes::new();
        Layers::add_shapes(&mut shapes, widths, true);
        shapes.conv("head", [widths.at(4), z_dim], KERNEL, false);
        shapes
    }

    /// Images `[N, 3, H, W]` in [-1, 1], of any size → z `[N, z_dim]`.
    pub fn forward(&self, images: Tensor<4>, statistics: Statistics) -> Tensor<2> {
        let [n, _, h, w] = images.dims();
        let images =
            if [h, w] == [self.resolution; 2] { images } else { bilinear(images, self.resolution) };
        let Self { first, downs, norms, residual, head, .. } = self;
        let x = Trunk { first, downs, norms, residual }.forward(images, statistics);
        let z = kernels::conv2d(x, head.weight.val(), 1, 0);
        let z_dim = z.dims()[1];
        z.reshape([n, z_dim])
    }
}

/// The squared distance of z and its estimate, summed over z and averaged over images
/// (`[N, z_dim]` each → `[1]`).
pub fn loss(z: Tensor<2>, found: Tensor<2>) -> Tensor<1> {
    let difference = z - found;
    (difference.clone() * difference).sum_dim(1).mean()
}

/// The style encoder of a model, if it holds one, for images of side `resolution` and z of size
/// `z_dim`.
///
/// # Errors
/// If it is damaged.
pub fn load_style(
    model: &Model,
    resolution: usize,
    z_dim: usize,
    device: &Device,
) -> Result<Option<StyleEncoder>> {
    if !model.has(&STYLE) {
        return Ok(None);
    }
    let network: StyleNetwork = model.settings(&STYLE)?;
    check_variances(model.file(), S).map_err(|e| e.context(model.name()))?;
    let shapes = StyleEncoder::shapes(&network, resolution, z_dim);
    let build = || StyleEncoder::new(&network, resolution, z_dim, &mut Init::zeros(device));
    Ok(Some(model.restore(S, &shapes, build)?.valid()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::params::collect;
    use crate::tensorfile::TensorFile;

    #[test]
    fn shapes_are_those_of_the_network() {
        let device = Device::flex();
        let network = StyleNetwork { width: 4 };
        for resolution in [16, 64] {
            let init = &mut Init::new(0, "style", &device);
            let encoder = StyleEncoder::new(&network, resolution, 5, init);
            let mut file = TensorFile::default();
            collect(&encoder, S, &mut file);
            StyleEncoder::shapes(&network, resolution, 5).check(S, &file).unwrap();
            // Images of another side are resized.
            let images = Tensor::ones([2, 3, 32, 32], &device);
            assert_eq!(encoder.forward(images, Statistics::Standing).dims(), [2, 5]);
        }
    }

    #[test]
    fn widths_that_the_blocks_cannot_divide_are_refused() {
        StyleNetwork::default().check().unwrap();
        for width in [0, 2, 6, 1 << 30] {
            let error = StyleNetwork { width }.check().unwrap_err();
            assert!(error.message.contains("style.network.width") && error.hint.is_some());
        }
    }
}
