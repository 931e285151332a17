//! The discriminator: an image and the vector of a caption → one logit.

use burn::module::Module;
use burn::tensor::Tensor;

use super::settings::GanIntClsNetwork;
use crate::kernels::{self, Activation};
use crate::nn::residual::ACT;
use crate::nn::strided::KERNEL;
use crate::nn::{BatchNorm, DownConv, Init, PlainConv, PlainLinear, Statistics};
use crate::shapes::Shapes;
use crate::systems::text_gan::bottleneck::{Bottleneck, conv};
use crate::systems::text_gan::trunk::{Layers, Trunk};

/// The discriminator (Reed et al. 2016). It is only used in training, so it always normalises with
/// the statistics of its batch.
#[derive(Module, Debug)]
pub struct Discriminator {
    /// From the image to half the resolution.
    pub first: DownConv,
    /// Down to 4×4.
    pub downs: Vec<DownConv>,
    /// After each of `downs`.
    pub norms: Vec<BatchNorm>,
    /// At 4×4.
    pub residual: Bottleneck,
    /// The caption's vector → its projection.
    pub project: PlainLinear,
    /// After `project`.
    pub project_norm: BatchNorm,
    /// 1×1, features and projection → features.
    pub joint: PlainConv,
    /// After `joint`.
    pub joint_norm: BatchNorm,
    /// 4×4, features → logit.
    pub logit: PlainConv,
}

impl Discriminator {
    /// A new discriminator for captions with vectors of length `sentence`.
    pub fn new(network: &GanIntClsNetwork, sentence: usize, init: &mut Init) -> Self {
        let widths = network.discriminator_widths();
        let Layers { first, downs, norms, residual } = Layers::new(widths, BatchNorm::new, init);
        let (features, projection) = (widths.at(4), network.projection);
        Self {
            first,
            downs,
            norms,
            residual,
            project: PlainLinear::new(sentence, projection, init),
            project_norm: BatchNorm::new(projection, init),
            joint: conv([features + projection, features], 1, init),
            joint_norm: BatchNorm::new(features, init),
            logit: conv([features, 1], KERNEL, init),
        }
    }

    /// The tensors of such a discriminator.
    pub(crate) fn shapes(network: &GanIntClsNetwork, sentence: usize) -> Shapes {
        let widths = network.discriminator_widths();
        let mut shapes = Shapes::new();
        Layers::add_shapes(&mut shapes, widths, false);
        let (features, projection) = (widths.at(4), network.projection);
        shapes.linear("project", [sentence, projection]);
        shapes.batch_norm("project_norm", projection, false);
        shapes.conv("joint", [features + projection, features], 1, false);
        shapes.batch_norm("joint_norm", features, false);
        shapes.conv("logit", [features, 1], KERNEL, false);
        shapes
    }

    /// Images `[N, 3, res, res]` in [-1, 1], captions `[N, sentence]` → logits `[N]`.
    pub fn forward(&self, images: Tensor<4>, captions: Tensor<2>) -> Tensor<1> {
        let Self { first, downs, norms, residual, .. } = self;
        let trunk = Trunk { first, downs, norms, residual };
        let x = trunk.forward(images, Statistics::Batch);
        let [n, _, h, w] = x.dims();
        let text = self.project.forward(captions.into(), Activation::LINEAR).value;
        let text = self.project_norm.forward_vectors(text, ACT, Statistics::Batch);
        let size = text.dims()[1];
        let text = text.reshape([n, size, 1, 1]).expand([n, size, h, w]);
        let x = self.joint.forward(Tensor::cat(vec![x, text], 1));
        let x = self.joint_norm.forward(x, ACT, Statistics::Batch);
        kernels::conv2d(x, self.logit.weight.val(), 1, 0).reshape([n])
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::nn::params::collect;
    use crate::tensorfile::TensorFile;

    #[test]
    fn numbers_of_weights_are_those_of_the_specification() {
        for (resolution, sentence, expected) in [
            (64, 1024, 4_030_080),
            (32, 256, 996_736),
            (64, 256, 3_931_776),
            (128, 256, 8_127_104),
            (256, 256, 12_322_432),
        ] {
            let shapes = Discriminator::shapes(&GanIntClsNetwork::at(resolution), sentence);
            assert_eq!(shapes.values(), expected, "at {resolution}");
        }
    }

    #[test]
    fn shapes_are_those_of_the_network() {
        let device = Device::flex();
        for resolution in [16, 64] {
            let network = GanIntClsNetwork {
                projection: 3,
                discriminator_width: 4,
                ..GanIntClsNetwork::at(resolution)
            };
            let init = &mut Init::new(0, "discriminator", &device);
            let discriminator = Discriminator::new(&network, 6, init);
            let mut file = TensorFile::default();
            collect(&discriminator, "R_D0", &mut file);
            Discriminator::shapes(&network, 6).check("R_D0", &file).unwrap();
            let images = Tensor::ones([2, 3, resolution, resolution], &device);
            let logits = discriminator.forward(images, Tensor::ones([2, 6], &device));
            assert_eq!(logits.dims(), [2]);
        }
    }
}
