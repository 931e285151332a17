//! The encoder E, which maps images to codes (paper §3.2; architecture of In-Domain GAN inversion).

use burn::module::Module;
use burn::tensor::Tensor;

use super::settings::{EncoderSettings, Space};
use crate::kernels::{self, Activation};
use crate::nn::residual::{ACT, ResidualBlock};
use crate::nn::{GroupNorm, Init, PlainConv, PlainLinear, resample};
use crate::shapes::Shapes;
use crate::systems::stylegan::NetworkSettings;
use crate::systems::stylegan::mapping::expand;

/// The encoder E: a stem, residual blocks (each after a 2×2 average pool) down to 4×4, and a linear
/// layer to the code.
#[derive(Module, Debug)]
pub struct Encoder {
    /// 3×3, 3 → channels.
    pub stem: PlainConv,
    /// After the stem.
    pub stem_norm: GroupNorm,
    /// log2(res) − 2 residual blocks.
    pub blocks: Vec<ResidualBlock>,
    /// 4·4·C → w_dim, or num_ws·w_dim in W+.
    pub fc: PlainLinear,
    num_ws: usize,
    w_dim: usize,
    plus: bool,
}

impl Encoder {
    /// An encoder for images of the generator that `generator` describes.
    pub fn new(settings: &EncoderSettings, generator: &NetworkSettings, init: &mut Init) -> Self {
        let stages = generator.resolution.ilog2() as usize - 2;
        let width = |block: usize| settings.width(block);
        let stem = PlainConv::new([3, width(0)], 3, false, init);
        let stem_norm = GroupNorm::new(width(0), init);
        let blocks =
            (0..stages).map(|b| ResidualBlock::new(width(b), width(b + 1), init)).collect();
        let plus = settings.space == Space::WPlus;
        let num_ws = generator.num_ws();
        let outputs = generator.w_dim * if plus { num_ws } else { 1 };
        let fc = PlainLinear::new(16 * width(stages), outputs, init);
        Self { stem, stem_norm, blocks, fc, num_ws, w_dim: generator.w_dim, plus }
    }

    /// The tensors of such an encoder.
    pub(crate) fn shapes(settings: &EncoderSettings, generator: &NetworkSettings) -> Shapes {
        let stages = generator.resolution.ilog2() as usize - 2;
        let width = |block: usize| settings.width(block);
        let mut shapes = Shapes::new();
        shapes.conv("stem", [3, width(0)], 3, false);
        shapes.norm("stem_norm", width(0));
        for block in 0..stages {
            let widths = [width(block), width(block + 1)];
            ResidualBlock::add_shapes(&mut shapes, &format!("blocks.{block}"), widths);
        }
        let layers = if settings.space == Space::WPlus { generator.num_ws() } else { 1 };
        shapes.linear("fc", [16 * width(stages), generator.w_dim * layers]);
        shapes
    }

    /// Initialises the output bias to `w_avg` `[w_dim]`, the mean of the generator's codes. Without
    /// it, outputs start near 0, where no image has its code.
    pub fn starting_at(mut self, w_avg: Tensor<1>) -> Self {
        let layers = self.layers();
        let everywhere = w_avg.repeat(&[layers]);
        self.fc.bias = self.fc.bias.map(|bias| bias + everywhere);
        self
    }

    /// Images `[N, 3, res, res]` in [-1, 1] → codes: `[N, 1, w_dim]` in W, `[N, num_ws, w_dim]` in
    /// W+.
    pub fn forward(&self, images: Tensor<4>) -> Tensor<3> {
        let x = self.stem_norm.forward(self.stem.forward(images), ACT);
        let x = self
            .blocks
            .iter()
            .fold(x, |x, block| block.forward(kernels::upfirdn2d(x, &resample::average2())));
        let [n, c, h, w] = x.dims();
        let code = self.fc.forward(x.reshape([n, c * h * w]).into(), Activation::LINEAR).value;
        code.reshape([n, self.layers(), self.w_dim])
    }

    /// Number of vectors in a code: 1 in W, num_ws in W+.
    pub fn layers(&self) -> usize {
        if self.plus { self.num_ws } else { 1 }
    }

    /// Codes `[N, 1 or num_ws, w_dim]` → ws `[N, num_ws, w_dim]`.
    pub fn to_ws(&self, codes: Tensor<3>) -> Tensor<3> {
        expand(codes, self.num_ws)
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::nn::params::to_vec;

    #[test]
    fn shapes_are_those_of_the_network() {
        let device = Device::flex();
        let generator = NetworkSettings {
            w_dim: 5,
            ..crate::systems::stylegan::StyleganSettings::auto(32, Some(4)).network
        };
        for space in [Space::W, Space::WPlus] {
            let settings = EncoderSettings { space, channels: 4, channel_max: 8 };
            let init = &mut Init::new(0, "encoder", &device);
            let mut file = crate::tensorfile::TensorFile::default();
            crate::nn::params::collect(&Encoder::new(&settings, &generator, init), "E", &mut file);
            let shapes = Encoder::shapes(&settings, &generator);
            shapes.check("E", &file).unwrap();
        }
    }

    #[test]
    fn starting_at_shifts_every_output() {
        let device = Device::flex();
        let generator = NetworkSettings {
            w_dim: 5,
            ..crate::systems::stylegan::StyleganSettings::auto(16, Some(4)).network
        };
        let settings = EncoderSettings { space: Space::WPlus, channels: 4, channel_max: 8 };
        let plain = Encoder::new(&settings, &generator, &mut Init::new(0, "encoder", &device));
        let w_avg = [1.0, -2.0, 3.0, -4.0, 5.0];
        let moved = plain.clone().starting_at(Tensor::from_floats(w_avg, &device));
        let images = Tensor::zeros([2, 3, 16, 16], &device);
        let by = to_vec(moved.forward(images.clone()) - plain.forward(images));
        for (i, by) in by.iter().enumerate() {
            assert!((by - w_avg[i % 5]).abs() < 1e-5, "{by} at {i}");
        }
    }
}
