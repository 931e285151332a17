//! The sizes of both encoders, which a model stores.

use serde::{Deserialize, Serialize};

use crate::nn::{BlockSizes, Gelu};

/// Architecture of both encoders.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClipNetwork {
    /// Length of the vectors of images and texts.
    pub size: usize,
    /// Activation of all transformer blocks. The tensors do not tell it.
    pub activation: Gelu,
    /// The image encoder.
    pub image: ImageNetwork,
    /// The text encoder.
    pub text: TextNetwork,
}

/// Architecture of the image encoder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ImageNetwork {
    /// A vision transformer.
    Vit(VitNetwork),
    /// A ResNet with attention instead of its last pooling.
    Resnet(ResnetNetwork),
}

impl ImageNetwork {
    /// Side of the images that it reads, in pixels.
    pub fn side(&self) -> usize {
        match self {
            Self::Vit(vit) => vit.patch * vit.grid,
            Self::Resnet(resnet) => ResnetNetwork::REDUCTION * resnet.grid,
        }
    }
}

/// A vision transformer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VitNetwork {
    /// Length of the vectors of patches.
    pub width: usize,
    /// Number of blocks.
    pub depth: usize,
    /// Length of the vectors inside a block.
    pub mlp: usize,
    /// Side of a patch in pixels.
    pub patch: usize,
    /// Side of the grid of patches.
    pub grid: usize,
}

impl VitNetwork {
    /// Length of the sequence: the patches, and one vector for the image.
    pub fn length(&self) -> usize {
        self.grid * self.grid + 1
    }

    /// The sizes of a block.
    pub fn block(&self) -> BlockSizes {
        BlockSizes { width: self.width, heads: self.width / head_size(self.width), mlp: self.mlp }
    }
}

/// A modified ResNet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResnetNetwork {
    /// Channels after the stem; the stages have 4, 8, 16 and 32 times as many.
    pub width: usize,
    /// Number of blocks of each stage.
    pub blocks: [usize; 4],
    /// Side of the grid of features that attention summarises.
    pub grid: usize,
}

impl ResnetNetwork {
    /// Side of the image, divided by that of the grid.
    pub const REDUCTION: usize = 32;
    /// Channels of the output of a block, divided by those inside.
    pub const EXPANSION: usize = 4;

    /// Channels inside the blocks of a stage.
    pub fn planes(&self, stage: usize) -> usize {
        self.width << stage
    }

    /// Number of features at each position of the grid.
    pub fn features(&self) -> usize {
        self.planes(self.blocks.len() - 1) * Self::EXPANSION
    }

    /// Number of positions that attention reads: the grid, and its mean.
    pub fn length(&self) -> usize {
        self.grid * self.grid + 1
    }

    /// Number of heads of attention.
    pub fn heads(&self) -> usize {
        self.features() / HEAD
    }
}

/// The text transformer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextNetwork {
    /// Number of tokens of the vocabulary.
    pub tokens: usize,
    /// Largest number of tokens of a text.
    pub context: usize,
    /// Length of the vectors of tokens.
    pub width: usize,
    /// Number of blocks.
    pub depth: usize,
    /// Length of the vectors inside a block.
    pub mlp: usize,
}

impl TextNetwork {
    /// The sizes of a block.
    pub fn block(&self) -> BlockSizes {
        BlockSizes { width: self.width, heads: self.width / self.head(), mlp: self.mlp }
    }

    /// Length of the vectors of one head; it must divide the width.
    pub(super) fn head(&self) -> usize {
        HEAD.min(self.width)
    }
}

/// Length of the vectors of one head, except in the largest image encoders.
const HEAD: usize = 64;

/// Length of the vectors of one head of a vision transformer of this width; it must divide the width.
/// The tensors do not tell it; the larger ones are those of open_clip's ViT-H, g, bigG and e.
pub(super) fn head_size(width: usize) -> usize {
    match width {
        1280 => 80,
        1408 => 88,
        1664 => 104,
        1792 => 112,
        _ => HEAD.min(width),
    }
}
