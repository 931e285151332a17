//! The text transformer.

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use super::settings::TextNetwork;
use crate::language::Tokens;
use crate::nn::attention::causal_mask;
use crate::nn::params::indices;
use crate::nn::{Gelu, Init, LayerNorm, TransformerBlock};
use crate::shapes::Shapes;

/// Reads a text from its start; the vector at its end is that of the text.
#[derive(Module, Debug)]
pub(super) struct TextTower {
    /// The vector of each token `[V, W]`.
    tokens: Param<Tensor<2>>,
    /// Added to each vector, by its place `[L, W]`.
    positions: Param<Tensor<2>>,
    blocks: Vec<TransformerBlock>,
    /// Before the projection.
    norm_out: LayerNorm,
    /// From the last vector to that of the text `[W, E]`.
    projection: Param<Tensor<2>>,
}

impl TextTower {
    pub fn new(network: &TextNetwork, size: usize, act: Gelu, init: &mut Init) -> Self {
        let TextNetwork { tokens, context, width, depth, .. } = *network;
        Self {
            tokens: init.normal([tokens, width], 0.02),
            positions: init.normal([context, width], 0.01),
            blocks: (0..depth).map(|_| TransformerBlock::new(network.block(), act, init)).collect(),
            norm_out: LayerNorm::new(width, init),
            projection: init.normal([width, size], (width as f32).sqrt().recip()),
        }
    }

    /// The tensors of such an encoder.
    pub fn shapes(network: &TextNetwork, size: usize) -> Shapes {
        let TextNetwork { tokens, context, width, depth, .. } = *network;
        let mut shapes = Shapes::new();
        shapes.tensor("tokens", &[tokens, width]);
        shapes.tensor("positions", &[context, width]);
        for index in 0..depth {
            let name = format!("blocks.{index}");
            TransformerBlock::add_shapes(&mut shapes, &name, network.block());
        }
        shapes.norm("norm_out", width);
        shapes.tensor("projection", &[width, size]);
        shapes
    }

    /// Texts of at most `context` tokens → `[N, E]`.
    ///
    /// No position sees later ones, so padding has no effect, and texts are only padded to the longest.
    pub fn forward(&self, texts: &Tokens) -> Tensor<2> {
        let weight = self.tokens.val();
        let ([_, width], device) = (weight.dims(), weight.device().without_autodiff());
        let (n, length) = (texts.lengths.len(), texts.length);
        let ids = indices(texts.ids.iter().map(|&id| id as usize), &device);
        let x = weight.select(0, ids).reshape([n, length, width]);
        let x = x + self.positions.val().narrow(0, 0, length).unsqueeze();
        let mask = causal_mask(length, &device);
        let x = self.blocks.iter().fold(x, |x, block| block.forward(x, Some(&mask)));
        // The mark of the end has the largest id. If a text contains it, the first one counts.
        let ends = texts.ids.chunks_exact(length).enumerate().map(|(row, ids)| {
            let largest = ids.iter().max();
            let end = ids.iter().position(|id| Some(id) == largest).unwrap_or_default();
            row * length + end
        });
        let last = x.reshape([n * length, width]).select(0, indices(ends, &device));
        self.norm_out.forward(last).matmul(self.projection.val())
    }

    /// Number of values of the largest tensor inside, for one text.
    pub fn largest(network: &TextNetwork) -> usize {
        let length = network.context;
        (network.block().heads * length * length).max(length * network.mlp)
    }
}
