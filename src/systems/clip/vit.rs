//! The vision transformer (Dosovitskiy et al. 2021) as CLIP uses it.

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use super::settings::VitNetwork;
use crate::kernels;
use crate::nn::{Gelu, Init, LayerNorm, TransformerBlock};
use crate::shapes::Shapes;

/// Number of colours of an image.
const COLOURS: usize = 3;

/// Encodes the patches of an image together, with one more vector that becomes that of the image.
#[derive(Module, Debug)]
pub(super) struct VisionTransformer {
    /// From the pixels of a patch to its vector `[W, 3, p, p]`.
    patches: Param<Tensor<4>>,
    /// The vector before all patches `[W]`.
    class_token: Param<Tensor<1>>,
    /// Added to each vector, by its place `[L, W]`.
    positions: Param<Tensor<2>>,
    /// Before the blocks.
    norm_in: LayerNorm,
    blocks: Vec<TransformerBlock>,
    /// Before the projection.
    norm_out: LayerNorm,
    /// From the first vector to that of the image `[W, E]`.
    projection: Param<Tensor<2>>,
}

impl VisionTransformer {
    pub fn new(network: &VitNetwork, size: usize, act: Gelu, init: &mut Init) -> Self {
        let VitNetwork { width, patch, .. } = *network;
        let std = (width as f32).sqrt().recip();
        Self {
            patches: init.normal([width, COLOURS, patch, patch], std),
            class_token: init.normal([width], std),
            positions: init.normal([network.length(), width], std),
            norm_in: LayerNorm::new(width, init),
            blocks: (0..network.depth)
                .map(|_| TransformerBlock::new(network.block(), act, init))
                .collect(),
            norm_out: LayerNorm::new(width, init),
            projection: init.normal([width, size], std),
        }
    }

    /// The tensors of such an encoder.
    pub fn shapes(network: &VitNetwork, size: usize) -> Shapes {
        let VitNetwork { width, patch, .. } = *network;
        let mut shapes = Shapes::new();
        shapes.tensor("patches", &[width, COLOURS, patch, patch]);
        shapes.tensor("class_token", &[width]);
        shapes.tensor("positions", &[network.length(), width]);
        shapes.norm("norm_in", width);
        for index in 0..network.depth {
            let name = format!("blocks.{index}");
            TransformerBlock::add_shapes(&mut shapes, &name, network.block());
        }
        shapes.norm("norm_out", width);
        shapes.tensor("projection", &[width, size]);
        shapes
    }

    /// Normalised images `[N, 3, S, S]` → `[N, E]`.
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let [n, c, side, _] = images.dims();
        let [width, _, patch, _] = self.patches.dims();
        let grid = side / patch;
        // The convolution of stride p is a product with every patch.
        let pixels = images
            .reshape([n, c, grid, patch, grid, patch])
            .permute([0, 2, 4, 1, 3, 5])
            .reshape([n * grid * grid, c * patch * patch]);
        let weight = self.patches.val().reshape([width, c * patch * patch]);
        let vectors = kernels::product(pixels, weight, 1.0).reshape([n, grid * grid, width]);
        let class = self.class_token.val().reshape([1, 1, width]).expand([n, 1, width]);
        let x = Tensor::cat(vec![class, vectors], 1) + self.positions.val().unsqueeze();
        let x = self.blocks.iter().fold(self.norm_in.forward(x), |x, block| block.forward(x, None));
        let class = x.narrow(1, 0, 1).reshape([n, width]);
        self.norm_out.forward(class).matmul(self.projection.val())
    }

    /// Number of values of the largest tensor inside, for one image.
    pub fn largest(network: &VitNetwork) -> usize {
        let length = network.length();
        (network.block().heads * length * length).max(length * network.mlp)
    }
}
