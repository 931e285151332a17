//! VGG16 (Simonyan & Zisserman 2015), the perceptual network of In-Domain GAN inversion.

use std::path::Path;

use burn::tensor::{Device, Tensor};

use super::Features;
use super::frozen::{ConvRelu, Inputs, layer_indices, max_pool};
use crate::error::Result;
use crate::nn::resize::bilinear;
use crate::tensorfile::TensorFile;
use crate::weights::{self, WeightReader};

/// Names of the convolutions. Their features are the activations after ReLU.
pub const LAYERS: [&str; 13] = [
    "conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1", "conv3_2", "conv3_3", "conv4_1",
    "conv4_2", "conv4_3", "conv5_1", "conv5_2", "conv5_3",
];
/// Default layers of a perceptual distance, as in In-Domain GAN inversion.
pub const PERCEPTUAL: [&str; 1] = ["conv4_3"];
/// Smallest side; smaller images are upscaled to it. It is the authors' training scale.
pub const SIDE: usize = 256;

/// Indices of the convolutions in torchvision's `features`, which also counts ReLUs and pools.
const NUMBERS: [usize; 13] = [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28];
/// Convolutions that follow a pooling layer.
const POOLED: [usize; 4] = [2, 4, 7, 10];

/// VGG16 up to the deepest requested layer.
#[derive(Debug, Clone)]
pub struct Vgg16 {
    convs: Vec<ConvRelu>,
    /// Indices into [`LAYERS`], ascending.
    layers: Vec<usize>,
}

impl Vgg16 {
    /// Loads torchvision's weights (`vgg16-397923af.pth`, or the same tensors as safetensors).
    ///
    /// # Errors
    /// Fails if the file cannot be read or belongs to another network, or a layer does not exist.
    pub fn load(path: impl AsRef<Path>, layers: &[&str], device: &Device) -> Result<Self> {
        let path = path.as_ref();
        // The classifier is nine tenths of the file.
        let file = weights::read(path, |name| !name.starts_with("classifier."))?;
        Self::from_weights(&file, layers, device).map_err(|e| e.context(path.display()))
    }

    /// Like [`load`](Self::load), from weights in memory. The weights determine the widths and may
    /// end after the deepest layer.
    ///
    /// # Errors
    /// If a tensor is missing or has another shape.
    pub fn from_weights(file: &TensorFile, layers: &[&str], device: &Device) -> Result<Self> {
        let layers = layer_indices(layers, &LAYERS)?;
        let depth = *layers.last().expect("`layer_indices` gives at least one") + 1;
        let mut reader = WeightReader::from(file);
        let mut convs: Vec<ConvRelu> = Vec::new();
        for number in &NUMBERS[..depth] {
            let width = convs.last().map_or(3, ConvRelu::outputs);
            let name = format!("features.{number}");
            convs.push(ConvRelu::take(&mut reader, &name, width, 3, device)?.padding(1));
        }
        let deeper: Vec<String> =
            NUMBERS[depth..].iter().map(|number| format!("features.{number}.")).collect();
        reader.finish(|name| {
            name.starts_with("classifier.") || deeper.iter().any(|deeper| name.starts_with(deeper))
        })?;
        Ok(Self { convs, layers })
    }

    /// Number of maps of each chosen layer.
    pub fn widths(&self) -> Vec<usize> {
        self.layers.iter().map(|&layer| self.convs[layer].outputs()).collect()
    }

    /// Features of the chosen layers for images `[N, 3, H, W]` in `[-1, 1]`, without resizing.
    pub fn activations(&self, images: Tensor<4>) -> Vec<Tensor<4>> {
        let mut x = Inputs::ImageNet.prepare(images);
        let mut kept = Vec::new();
        for (index, conv) in self.convs.iter().enumerate() {
            if POOLED.contains(&index) {
                x = max_pool(x, 2, 2, false);
            }
            x = conv.forward(x);
            if self.layers.contains(&index) {
                kept.push(x.clone());
            }
        }
        kept
    }
}

impl Features for Vgg16 {
    fn name(&self) -> &'static str {
        "vgg16"
    }

    fn extract(&self, images: Tensor<4>) -> Vec<Tensor<4>> {
        let [_, _, h, w] = images.dims();
        self.activations(if h.min(w) < SIDE { bilinear(images, SIDE) } else { images })
    }
}
