//! SqueezeNet v1.1 (Iandola et al. 2016), a feature network with 1.2 M weights trained on ImageNet.

use std::path::Path;

use burn::tensor::{Device, Tensor};

use super::Features;
use super::frozen::{ConvRelu, Inputs, layer_indices, max_pool};
use crate::error::Result;
use crate::nn::resize::bilinear;
use crate::tensorfile::TensorFile;
use crate::weights::{self, WeightReader};

/// Names of the layers. Their features are the activations after ReLU.
pub const LAYERS: [&str; 9] =
    ["conv1", "fire2", "fire3", "fire4", "fire5", "fire6", "fire7", "fire8", "fire9"];
/// Default layers of a perceptual distance: the last layer of every scale, and a middle layer of
/// the coarsest.
pub const PERCEPTUAL: [&str; 4] = ["fire3", "fire5", "fire7", "fire9"];
/// Side to which images are resized: the authors' crop size.
pub const SIDE: usize = 227;

/// Fire modules that follow a pooling layer.
const POOLED: [&str; 3] = ["fire2", "fire4", "fire6"];
/// Indices of the fire modules in torchvision's `features`.
const TORCHVISION: [usize; 8] = [3, 4, 6, 7, 9, 10, 11, 12];

/// SqueezeNet up to the deepest requested layer.
#[derive(Debug, Clone)]
pub struct SqueezeNet {
    inputs: Inputs,
    conv1: ConvRelu,
    fires: Vec<Fire>,
    /// Indices into [`LAYERS`], ascending.
    layers: Vec<usize>,
}

/// A fire module: a 1×1 squeeze, then two parallel convolutions whose outputs are concatenated.
#[derive(Debug, Clone)]
struct Fire {
    pooled: bool,
    squeeze: ConvRelu,
    expand1x1: ConvRelu,
    expand3x3: ConvRelu,
}

impl SqueezeNet {
    /// Loads a weight file with Caffe's names (`fire2/squeeze1x1.weight`) or torchvision's
    /// (`features.3.squeeze.weight`). The names determine the input normalisation.
    ///
    /// # Errors
    /// Fails if the file cannot be read or belongs to another network, or a layer does not exist.
    pub fn load(path: impl AsRef<Path>, layers: &[&str], device: &Device) -> Result<Self> {
        let path = path.as_ref();
        let file = weights::read(path, |_| true)?;
        Self::from_weights(&file, layers, device).map_err(|e| e.context(path.display()))
    }

    /// Like [`load`](Self::load), from weights in memory. The weights determine the widths.
    ///
    /// # Errors
    /// If a tensor is missing or has another shape.
    pub fn from_weights(file: &TensorFile, layers: &[&str], device: &Device) -> Result<Self> {
        let layers = layer_indices(layers, &LAYERS)?;
        let mut reader = WeightReader::from(file);
        let torchvision = reader.holds("features.0.weight");
        let conv1 = if torchvision { "features.0" } else { "conv1" };
        let conv1 = ConvRelu::take(&mut reader, conv1, 3, 3, device)?.stride(2);
        let mut width = conv1.outputs();
        let mut fires = Vec::new();
        for (name, number) in LAYERS[1..].iter().zip(TORCHVISION) {
            let [squeeze, expand1x1, expand3x3] = if torchvision {
                ["squeeze", "expand1x1", "expand3x3"]
                    .map(|part| format!("features.{number}.{part}"))
            } else {
                ["squeeze1x1", "expand1x1", "expand3x3"].map(|part| format!("{name}/{part}"))
            };
            let squeeze = ConvRelu::take(&mut reader, &squeeze, width, 1, device)?;
            let inner = squeeze.outputs();
            let fire = Fire {
                pooled: POOLED.contains(name),
                squeeze,
                expand1x1: ConvRelu::take(&mut reader, &expand1x1, inner, 1, device)?,
                expand3x3: ConvRelu::take(&mut reader, &expand3x3, inner, 3, device)?.padding(1),
            };
            width = fire.outputs();
            fires.push(fire);
        }
        let classifier = ["conv10.", "classifier.1."];
        reader.finish(|name| classifier.iter().any(|prefix| name.starts_with(prefix)))?;
        // The whole file is checked, but only the needed modules are kept.
        fires.truncate(*layers.last().expect("`layer_indices` gives at least one"));
        let inputs = if torchvision { Inputs::ImageNet } else { Inputs::Caffe };
        Ok(Self { inputs, conv1, fires, layers })
    }

    /// Whether the weights are torchvision's, which LPIPS requires.
    pub fn is_torchvision(&self) -> bool {
        matches!(self.inputs, Inputs::ImageNet)
    }

    /// Number of maps of each chosen layer.
    pub fn widths(&self) -> Vec<usize> {
        let width = |&layer: &usize| match layer.checked_sub(1) {
            None => self.conv1.outputs(),
            Some(fire) => self.fires[fire].outputs(),
        };
        self.layers.iter().map(width).collect()
    }

    /// Features of the chosen layers for images `[N, 3, H, W]` in `[-1, 1]`, without resizing.
    /// Sides must be at least 21.
    pub fn activations(&self, images: Tensor<4>) -> Vec<Tensor<4>> {
        let mut x = self.conv1.forward(self.inputs.prepare(images));
        let mut kept = Vec::new();
        if self.layers.contains(&0) {
            kept.push(x.clone());
        }
        for (index, fire) in self.fires.iter().enumerate() {
            x = fire.forward(x);
            if self.layers.contains(&(index + 1)) {
                kept.push(x.clone());
            }
        }
        kept
    }
}

impl Features for SqueezeNet {
    fn name(&self) -> &'static str {
        "squeezenet"
    }

    fn extract(&self, images: Tensor<4>) -> Vec<Tensor<4>> {
        self.activations(bilinear(images, SIDE))
    }
}

impl Fire {
    fn outputs(&self) -> usize {
        self.expand1x1.outputs() + self.expand3x3.outputs()
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let x = if self.pooled { max_pool(x, 3, 2, true) } else { x };
        let x = self.squeeze.forward(x);
        Tensor::cat(vec![self.expand1x1.forward(x.clone()), self.expand3x3.forward(x)], 1)
    }
}
