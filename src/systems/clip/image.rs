//! The image encoder, of either kind, with what it does to images first.

use burn::tensor::{Device, Tensor};

use super::resnet::ModifiedResnet;
use super::section::CV;
use super::settings::{ClipNetwork, ImageNetwork};
use super::vit::VisionTransformer;
use crate::device::IMAGES_AT_ONCE;
use crate::error::Result;
use crate::model::Model;
use crate::nn::Init;
use crate::nn::bicubic::bicubic_square;
use crate::shapes::Shapes;

/// Means and standard deviations of red, green and blue in the training images.
const MEAN: [f32; 3] = [0.481_454_66, 0.457_827_5, 0.408_210_73];
const STD: [f32; 3] = [0.268_629_54, 0.261_302_6, 0.275_777_1];
/// Number of values of the largest tensor inside an encoder, at most, if several images or texts are
/// encoded at once: 128 MiB.
const MAX_VALUES: usize = 1 << 25;

/// The image encoder.
#[derive(Debug, Clone)]
pub(super) struct ImageTower {
    net: Net,
    /// Side of the images that it reads.
    side: usize,
    /// Number of images at once.
    batch: usize,
}

#[derive(Debug, Clone)]
enum Net {
    Vit(VisionTransformer),
    Resnet(ModifiedResnet),
}

/// The tensors of an image encoder.
pub(super) fn shapes(network: &ImageNetwork, size: usize) -> Shapes {
    match network {
        ImageNetwork::Vit(vit) => VisionTransformer::shapes(vit, size),
        ImageNetwork::Resnet(resnet) => ModifiedResnet::shapes(resnet, size),
    }
}

/// Number of images or texts to encode at once, of which each needs a tensor of `largest` values.
pub(super) fn batch(largest: usize, most: usize) -> usize {
    (MAX_VALUES / largest.max(1)).clamp(1, most)
}

impl ImageTower {
    /// The encoder of a model.
    pub fn load(model: &Model, network: &ClipNetwork, device: &Device) -> Result<Self> {
        use burn::module::Module;
        let (size, act) = (network.size, network.activation);
        let (shapes, side) = (shapes(&network.image, size), network.image.side());
        let init = &mut Init::zeros(device);
        let (net, inside) = match &network.image {
            ImageNetwork::Vit(vit) => {
                let build = || VisionTransformer::new(vit, size, act, init);
                let net = model.restore(CV, &shapes, build)?.valid();
                (Net::Vit(net), VisionTransformer::largest(vit))
            }
            ImageNetwork::Resnet(resnet) => {
                let build = || ModifiedResnet::new(resnet, size, init);
                let net = model.restore(CV, &shapes, build)?.valid();
                (Net::Resnet(net), ModifiedResnet::largest(resnet))
            }
        };
        let batch = batch(inside.max(3 * side * side), IMAGES_AT_ONCE);
        Ok(Self { net, side, batch })
    }

    /// Side of the images that it reads.
    pub fn side(&self) -> usize {
        self.side
    }

    /// Images `[N, 3, H, W]` in [-1, 1], of any size → `[N, E]`.
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let parts = images.split(self.batch, 0).into_iter().map(|images| {
            let images = prepared(images, self.side);
            match &self.net {
                Net::Vit(net) => net.forward(images),
                Net::Resnet(net) => net.forward(images),
            }
        });
        Tensor::cat(parts.collect(), 0)
    }
}

/// Images `[N, 3, H, W]` in [-1, 1] as CLIP expects them: `[N, 3, side, side]`, from their centre, with
/// the mean and the variance of the training images.
pub(super) fn prepared(images: Tensor<4>, side: usize) -> Tensor<4> {
    let device = images.device().without_autodiff();
    let colour = |values: [f32; 3]| Tensor::<1>::from_floats(values, &device).reshape([1, 3, 1, 1]);
    let images = ((images + 1.0) * 0.5).clamp(0.0, 1.0);
    (bicubic_square(images, side) - colour(MEAN)) / colour(STD)
}
