//! VGG16 (Simonyan & Zisserman 2015), the perceptual network of In-Domain GAN inversion.

use std::path::Path;

use burn::tensor::{Device, Tensor};

use super::Features;
use super::frozen::{ConvRelu, Inputs, max_pool, places};
use crate::error::Result;
use crate::nn::resize::bilinear;
use crate::tensorfile::TensorFile;
use crate::weights::{self, Taking};

/// Convolutions by name; each stands for its activations after ReLU.
pub const LAYERS: [&str; 13] = [
    "conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1", "conv3_2", "conv3_3", "conv4_1",
    "conv4_2", "conv4_3", "conv5_1", "conv5_2", "conv5_3",
];
/// What a perceptual distance compares, as In-Domain GAN inversion has it.
pub const PERCEPTUAL: [&str; 1] = ["conv4_3"];
/// Smaller images are enlarged to this: the authors' training scale.
pub const SIDE: usize = 256;

/// torchvision's numbers of the convolutions: ReLUs and pools count as well.
const NUMBERS: [usize; 13] = [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28];
/// Convolutions in whose front a pooling stands.
const POOLED: [usize; 4] = [2, 4, 7, 10];

/// The network up to the deepest layer that was asked for.
#[derive(Debug, Clone)]
pub struct Vgg16 {
    convs: Vec<ConvRelu>,
    /// Indices into [`LAYERS`], ascending.
    layers: Vec<usize>,
}

impl Vgg16 {
    /// Reads torchvision's weights (`vgg16-397923af.pth`, or the same as safetensors).
    ///
    /// # Errors
    /// If the file cannot be read or belongs to another network, or there is no such layer.
    pub fn load(path: impl AsRef<Path>, layers: &[&str], device: &Device) -> Result<Self> {
        let path = path.as_ref();
        // The classifier is nine tenths of the file.
        let file = weights::read(path, |name| !name.starts_with("classifier."))?;
        Self::from_weights(&file, layers, device).map_err(|e| e.context(path.display()))
    }

    /// As [`load`](Self::load), from weights in memory. Widths are taken from the weights, which
    /// may end after the deepest layer.
    pub fn from_weights(file: &TensorFile, layers: &[&str], device: &Device) -> Result<Self> {
        let layers = places(layers, &LAYERS)?;
        let depth = *layers.last().expect("`places` gives at least one") + 1;
        let mut taking = Taking::from(file);
        let mut convs: Vec<ConvRelu> = Vec::new();
        for number in &NUMBERS[..depth] {
            let width = convs.last().map_or(3, ConvRelu::outputs);
            let name = format!("features.{number}");
            convs.push(ConvRelu::take(&mut taking, &name, width, 3, device)?.padding(1));
        }
        let deeper: Vec<String> =
            NUMBERS[depth..].iter().map(|number| format!("features.{number}.")).collect();
        taking.finish(|name| {
            name.starts_with("classifier.") || deeper.iter().any(|deeper| name.starts_with(deeper))
        })?;
        Ok(Self { convs, layers })
    }

    /// Number of maps of every chosen layer.
    pub fn widths(&self) -> Vec<usize> {
        self.layers.iter().map(|&layer| self.convs[layer].outputs()).collect()
    }

    /// The chosen layers of images [N, 3, H, W] in [-1, 1], taken at their own size.
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
