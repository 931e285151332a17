//! The image encoder of DAMSM: one vector for each region of an image, and one for the whole.

use burn::module::Module;
use burn::tensor::Tensor;

use super::codes::ImageCodes;
use super::settings::DamsmNetwork;
use crate::kernels::{self, Activation};
use crate::nn::residual::ResidualBlock;
use crate::nn::resize::bilinear;
use crate::nn::{GroupNorm, Init, PlainConv, PlainLinear, resample};
use crate::shapes::Shapes;

/// Bound of the initial weights of both heads.
const BOUND: f32 = 0.1;

/// A stem and residual blocks down to a grid of regions, and from there to one vector.
#[derive(Module, Debug)]
pub struct ImageTower {
    /// 3×3, 3 → channels.
    pub stem: PlainConv,
    /// After the stem.
    pub stem_norm: GroupNorm,
    /// One block for each halving of the side, each after a 2×2 average.
    pub blocks: Vec<ResidualBlock>,
    /// One more block at the side of the grid.
    pub last: ResidualBlock,
    /// 1×1, to the vectors of regions.
    pub regions: PlainConv,
    /// Two more blocks, each after a 2×2 average.
    pub global: Vec<ResidualBlock>,
    /// To the vector of the image.
    pub head: PlainLinear,
    resolution: usize,
}

/// Numbers of channels of the blocks after the stem: down to the grid, at the grid, and beyond.
fn widths(network: &DamsmNetwork) -> (Vec<[usize; 2]>, [usize; 2], Vec<[usize; 2]>) {
    let pair = |b: usize| [network.width(b), network.width(b + 1)];
    let k = network.halvings();
    ((0..k).map(pair).collect(), [network.width(k); 2], vec![pair(k), pair(k + 1)])
}

impl ImageTower {
    /// A new encoder.
    pub fn new(network: &DamsmNetwork, init: &mut Init) -> Self {
        let (down, at, global) = widths(network);
        let block = |[inputs, outputs]: [usize; 2], init: &mut Init| {
            ResidualBlock::new(inputs, outputs, init)
        };
        let (first, size) = (network.width(0), network.size());
        let stem = PlainConv::new([3, first], 3, false, init);
        let stem_norm = GroupNorm::new(first, init);
        let blocks = down.into_iter().map(|widths| block(widths, init)).collect();
        let last = block(at, init);
        let regions = PlainConv { weight: init.uniform([size, at[1], 1, 1], BOUND), bias: None };
        let deepest = global[1][1];
        let global = global.into_iter().map(|widths| block(widths, init)).collect();
        let head = PlainLinear {
            weight: init.uniform([size, deepest], BOUND),
            bias: init.full([size], 0.0),
        };
        let resolution = network.resolution;
        Self { stem, stem_norm, blocks, last, regions, global, head, resolution }
    }

    /// The tensors of such an encoder.
    pub(crate) fn shapes(network: &DamsmNetwork) -> Shapes {
        let (down, at, global) = widths(network);
        let mut shapes = Shapes::new();
        shapes.conv("stem", [3, network.width(0)], 3, false);
        shapes.norm("stem_norm", network.width(0));
        for (index, widths) in down.into_iter().enumerate() {
            ResidualBlock::add_shapes(&mut shapes, &format!("blocks.{index}"), widths);
        }
        ResidualBlock::add_shapes(&mut shapes, "last", at);
        shapes.conv("regions", [at[1], network.size()], 1, false);
        let deepest = global[1][1];
        for (index, widths) in global.into_iter().enumerate() {
            ResidualBlock::add_shapes(&mut shapes, &format!("global.{index}"), widths);
        }
        shapes.linear("head", [deepest, network.size()]);
        shapes
    }

    /// Encodes images `[N, 3, H, W]` in [-1, 1], of any size.
    pub fn forward(&self, images: Tensor<4>) -> ImageCodes {
        let x = self.grid(images);
        let regions = self.regions.forward(x.clone());
        let [n, size, h, w] = regions.dims();
        ImageCodes { regions: regions.reshape([n, size, h * w]), global: self.whole(x) }
    }

    /// The vectors of whole images only: `[N, 3, H, W]` → `[N, size]`.
    pub fn global(&self, images: Tensor<4>) -> Tensor<2> {
        self.whole(self.grid(images))
    }

    /// Features at the side of the grid.
    fn grid(&self, images: Tensor<4>) -> Tensor<4> {
        let [_, _, h, w] = images.dims();
        let images =
            if [h, w] == [self.resolution; 2] { images } else { bilinear(images, self.resolution) };
        let x = self.stem_norm.forward(self.stem.forward(images), Activation::RELU);
        self.last.forward(halved(x, &self.blocks))
    }

    fn whole(&self, x: Tensor<4>) -> Tensor<2> {
        let x = halved(x, &self.global);
        let [n, c, h, w] = x.dims();
        let mean = x.reshape([n, c, h * w]).mean_dim(2).reshape([n, c]);
        self.head.forward(mean.into(), Activation::LINEAR).value
    }
}

/// Applies blocks, each after halving the side.
fn halved(x: Tensor<4>, blocks: &[ResidualBlock]) -> Tensor<4> {
    let average = resample::average2();
    blocks.iter().fold(x, |x, block| block.forward(kernels::upfirdn2d(x, &average)))
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::nn::params::collect;
    use crate::tensorfile::TensorFile;

    #[test]
    fn numbers_of_weights_are_those_of_the_specification() {
        for (resolution, expected) in
            [(32, 2_201_440), (64, 4_300_128), (128, 5_480_800), (256, 5_480_800)]
        {
            let shapes = ImageTower::shapes(&DamsmNetwork::at(resolution));
            assert_eq!(shapes.values(), expected, "at {resolution}");
        }
    }

    #[test]
    fn shapes_are_those_of_the_network() {
        let device = Device::flex();
        for resolution in [8, 32] {
            let network = DamsmNetwork {
                hidden: 3,
                channels: 4,
                channel_max: 10,
                ..DamsmNetwork::at(resolution)
            };
            let tower = ImageTower::new(&network, &mut Init::new(0, "image", &device));
            let mut file = TensorFile::default();
            collect(&tower, "DV", &mut file);
            ImageTower::shapes(&network).check("DV", &file).unwrap();
            // Images of another side are resized.
            let codes = tower.forward(Tensor::zeros([2, 3, 16, 16], &device));
            assert_eq!(codes.regions.dims(), [2, 6, 64]);
            assert_eq!(codes.global.dims(), [2, 6]);
        }
    }
}
