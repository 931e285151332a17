//! The generator: z and the vector of a caption → an image.

use burn::module::{Module, Param};
use burn::tensor::{Tensor, activation::tanh};

use super::settings::GanIntClsNetwork;
use crate::kernels::Activation;
use crate::nn::init::Weights;
use crate::nn::residual::ACT;
use crate::nn::strided::KERNEL;
use crate::nn::{BatchNorm, Init, PlainLinear, Statistics, UpConv};
use crate::shapes::Shapes;
use crate::systems::text_gan::bottleneck::{Bottleneck, STD};
use crate::systems::text_gan::drawing::CaptionGenerator;

/// The generator (Reed et al. 2016).
#[derive(Module, Debug)]
pub struct Generator {
    /// The caption's vector → its projection.
    pub project: PlainLinear,
    /// z and projection → features at 4×4: `[16·C, z_dim + projection]`, without bias.
    pub first: Param<Tensor<2>>,
    /// After `first`.
    pub first_norm: BatchNorm,
    /// At 4×4.
    pub residual4: Bottleneck,
    /// To 8×8.
    pub up8: UpConv,
    /// After `up8`.
    pub norm8: BatchNorm,
    /// At 8×8.
    pub residual8: Bottleneck,
    /// To 16×16 and so on, up to half the resolution.
    pub ups: Vec<UpConv>,
    /// After each of `ups`.
    pub norms: Vec<BatchNorm>,
    /// To the image.
    pub last: UpConv,
    z_dim: usize,
}

impl Generator {
    /// A new generator for captions with vectors of length `sentence`.
    pub fn new(network: &GanIntClsNetwork, sentence: usize, init: &mut Init) -> Self {
        let width = |side: usize| network.generator_widths().at(side);
        let norm = |channels: usize, init: &mut Init| BatchNorm::standing(channels, init);
        let weights = Weights::Normal(STD);
        let inputs = network.z_dim + network.projection;
        let project = PlainLinear::new(sentence, network.projection, init);
        let first = init.normal([16 * width(4), inputs], STD);
        let first_norm = norm(width(4), init);
        let residual4 = Bottleneck::new(width(4), norm, init);
        let up8 = UpConv::new([width(4), width(8)], weights, init);
        let norm8 = norm(width(8), init);
        let residual8 = Bottleneck::new(width(8), norm, init);
        let (mut ups, mut norms) = (Vec::new(), Vec::new());
        for side in network.upper_sides() {
            ups.push(UpConv::new([width(side / 2), width(side)], weights, init));
            norms.push(norm(width(side), init));
        }
        let last = UpConv::new([width(network.resolution / 2), 3], weights, init);
        let z_dim = network.z_dim;
        Self {
            project,
            first,
            first_norm,
            residual4,
            up8,
            norm8,
            residual8,
            ups,
            norms,
            last,
            z_dim,
        }
    }

    /// The tensors of such a generator.
    pub(crate) fn shapes(network: &GanIntClsNetwork, sentence: usize) -> Shapes {
        let width = |side: usize| network.generator_widths().at(side);
        let mut shapes = Shapes::new();
        shapes.linear("project", [sentence, network.projection]);
        shapes.tensor("first", &[16 * width(4), network.z_dim + network.projection]);
        shapes.batch_norm("first_norm", width(4), true);
        Bottleneck::add_shapes(&mut shapes, "residual4", width(4), true);
        // Weights of transposed convolutions are [in, out, k, k].
        shapes.conv("up8", [width(8), width(4)], KERNEL, false);
        shapes.batch_norm("norm8", width(8), true);
        Bottleneck::add_shapes(&mut shapes, "residual8", width(8), true);
        for (index, side) in network.upper_sides().enumerate() {
            let widths = [width(side), width(side / 2)];
            shapes.conv(&format!("ups.{index}"), widths, KERNEL, false);
            shapes.batch_norm(&format!("norms.{index}"), width(side), true);
        }
        shapes.conv("last", [3, width(network.resolution / 2)], KERNEL, false);
        shapes
    }

    /// Length of z.
    pub fn z_dim(&self) -> usize {
        self.z_dim
    }

    /// z `[N, z_dim]`, captions `[N, sentence]` → images `[N, 3, res, res]` in [-1, 1].
    pub fn forward(&self, z: Tensor<2>, captions: Tensor<2>, statistics: Statistics) -> Tensor<4> {
        let projection = self.project.forward(captions.into(), ACT).value;
        let n = z.dims()[0];
        let x = Tensor::cat(vec![z, projection], 1).matmul(self.first.val().transpose());
        let channels = x.dims()[1] / 16;
        let x = x.reshape([n, channels, 4, 4]);
        let x = self.first_norm.forward(x, Activation::LINEAR, statistics);
        let x = self.residual4.forward(x, Activation::RELU, statistics);
        let x = self.norm8.forward(self.up8.forward(x), Activation::LINEAR, statistics);
        let x = self.residual8.forward(x, Activation::RELU, statistics);
        let x = self
            .ups
            .iter()
            .zip(&self.norms)
            .fold(x, |x, (up, norm)| norm.forward(up.forward(x), Activation::RELU, statistics));
        tanh(self.last.forward(x))
    }
}

/// The code of an image is z, followed by the vector of its caption.
impl CaptionGenerator for Generator {
    fn sizes(&self) -> Vec<usize> {
        // There is one of `ups` for each side from 16 to half the resolution.
        vec![16 << self.ups.len()]
    }

    fn noise_size(&self) -> usize {
        self.z_dim
    }

    fn code_size(&self, sentence: usize) -> usize {
        self.z_dim + sentence
    }

    fn codes(&self, noise: Tensor<2>, captions: Tensor<2>) -> Tensor<2> {
        Tensor::cat(vec![noise, captions], 1)
    }

    fn images(&self, codes: Tensor<2>, _size: usize) -> Tensor<4> {
        let (z_dim, length) = (self.z_dim, codes.dims()[1]);
        let z = codes.clone().narrow(1, 0, z_dim);
        let captions = codes.narrow(1, z_dim, length - z_dim);
        self.forward(z, captions, Statistics::Standing)
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::nn::params::collect;
    use crate::tensorfile::TensorFile;

    /// Number of trained weights: all tensors but the standing statistics.
    fn trained(network: &GanIntClsNetwork, sentence: usize) -> u64 {
        let shapes = Generator::shapes(network, sentence);
        let buffers = shapes.iter().filter(|(name, _)| name.contains(".standing."));
        shapes.values() - buffers.map(|(_, shape)| shape[0] as u64).sum::<u64>()
    }

    #[test]
    fn numbers_of_weights_are_those_of_the_specification() {
        for (resolution, sentence, expected) in [
            (64, 1024, 18_905_472),
            (32, 256, 5_535_872),
            (64, 256, 18_807_168),
            (128, 256, 37_996_416),
            (256, 256, 54_775_680),
        ] {
            let network = GanIntClsNetwork::at(resolution);
            assert_eq!(trained(&network, sentence), expected, "at {resolution}");
        }
    }

    #[test]
    fn shapes_are_those_of_the_network() {
        let device = Device::flex();
        for resolution in [16, 64] {
            let network = GanIntClsNetwork {
                z_dim: 5,
                projection: 3,
                generator_width: 4,
                ..GanIntClsNetwork::at(resolution)
            };
            let generator = Generator::new(&network, 6, &mut Init::new(0, "generator", &device));
            let mut file = TensorFile::default();
            collect(&generator, "R_ema", &mut file);
            Generator::shapes(&network, 6).check("R_ema", &file).unwrap();
            let (z, captions) = (Tensor::ones([2, 5], &device), Tensor::ones([2, 6], &device));
            let images = generator.forward(z, captions, Statistics::Standing);
            assert_eq!(images.dims(), [2, 3, resolution, resolution]);
            assert_eq!(generator.sizes(), [resolution]);
        }
    }
}
