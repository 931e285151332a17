//! Blocks of transformers that normalise before each layer.

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::activation::{gelu, sigmoid};
use serde::{Deserialize, Serialize};

use super::attention::applied;
use super::{Init, LayerNorm, PlainLinear, SelfAttention};
use crate::shapes::Shapes;

/// The activation between the two layers after attention (Hendrycks & Gimpel 2016).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Gelu {
    /// x·Φ(x), where Φ is the distribution function of N(0, 1).
    Gelu,
    /// The approximation x·σ(1.702·x).
    QuickGelu,
}

impl Gelu {
    /// Both, with their names.
    pub const ALL: [(&'static str, Self); 2] =
        [("quick-gelu", Self::QuickGelu), ("gelu", Self::Gelu)];

    fn of<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        match self {
            Self::Gelu => gelu(x),
            Self::QuickGelu => x.clone() * sigmoid(x * 1.702),
        }
    }
}

/// The sizes of a block.
#[derive(Debug, Clone, Copy)]
pub struct BlockSizes {
    /// Length of the vectors, W.
    pub width: usize,
    /// Number of heads; it divides the width.
    pub heads: usize,
    /// Length of the vectors between the two layers after attention, M.
    pub mlp: usize,
}

/// x + attention(norm(x)), then x + contract(gelu(expand(norm(x)))).
#[derive(Module, Debug)]
pub struct TransformerBlock {
    /// Before attention.
    pub norm1: LayerNorm,
    /// Attention.
    pub attention: SelfAttention,
    /// Before `expand`.
    pub norm2: LayerNorm,
    /// W → M.
    pub expand: PlainLinear,
    /// M → W.
    pub contract: PlainLinear,
    #[module(skip)]
    act: Gelu,
}

impl TransformerBlock {
    /// A new block.
    pub fn new(sizes: BlockSizes, act: Gelu, init: &mut Init) -> Self {
        let BlockSizes { width, heads, mlp } = sizes;
        Self {
            norm1: LayerNorm::new(width, init),
            attention: SelfAttention::new(width, heads, init),
            norm2: LayerNorm::new(width, init),
            expand: PlainLinear::new(width, mlp, init),
            contract: PlainLinear::new(mlp, width, init),
            act,
        }
    }

    /// Adds the tensors of such a block.
    pub(crate) fn add_shapes(shapes: &mut Shapes, name: &str, sizes: BlockSizes) {
        let layer = |layer: &str| format!("{name}.{layer}");
        LayerNorm::add_shapes(shapes, &layer("norm1"), sizes.width);
        SelfAttention::add_shapes(shapes, &layer("attention"), sizes.width);
        LayerNorm::add_shapes(shapes, &layer("norm2"), sizes.width);
        shapes.linear(&layer("expand"), [sizes.width, sizes.mlp]);
        shapes.linear(&layer("contract"), [sizes.mlp, sizes.width]);
    }

    /// x `[N, L, W]` → `[N, L, W]`; for `mask` see [`SelfAttention::forward`].
    pub fn forward(&self, x: Tensor<3>, mask: Option<&Tensor<2>>) -> Tensor<3> {
        let x = x.clone() + self.attention.forward(self.norm1.forward(x), mask);
        let hidden = self.act.of(applied(&self.expand, self.norm2.forward(x.clone())));
        x + applied(&self.contract, hidden)
    }
}
