//! LPIPS (Zhang et al. 2018): a perceptual distance fitted to human judgements.

use std::path::Path;

use burn::tensor::{Device, Tensor};

use super::{Features, Trunk};
use crate::error::{Error, Result};
use crate::nn::params::from_host;
use crate::nn::resize::bilinear;
use crate::tensorfile::{HostTensor, TensorFile};
use crate::weights::{self, WeightReader};

/// The layers of VGG16 that LPIPS compares.
pub const VGG16: [&str; 5] = ["conv1_2", "conv2_2", "conv3_3", "conv4_3", "conv5_3"];
/// The layers of SqueezeNet that LPIPS compares. Distances are only comparable with published ones for
/// torchvision's weights.
pub const SQUEEZENET: [&str; 7] = ["conv1", "fire3", "fire5", "fire6", "fire7", "fire8", "fire9"];

/// Smallest side; smaller images are upscaled to it, as the authors advise.
pub const LEAST_SIDE: usize = 64;

/// The LPIPS distance: d(x, y) = Σ over layers of the mean over pixels of Σ_c w_c·(x̂_c − ŷ_c)²,
/// where x̂ is a layer with the vector at each pixel normalised to length 1.
#[derive(Debug, Clone)]
pub struct Lpips {
    trunk: Trunk,
    /// √w of every layer, `[1, C, 1, 1]`.
    roots: Vec<Tensor<4>>,
}

impl Lpips {
    /// Loads the linear weights for `trunk`, whose layers must be [`VGG16`] or [`SQUEEZENET`]
    /// (`lin0.model.1.weight` `[1, C, 1, 1]` and so on).
    ///
    /// # Errors
    /// Fails if the file cannot be read, belongs to another trunk or has negative weights.
    pub fn load(trunk: Trunk, path: impl AsRef<Path>, device: &Device) -> Result<Self> {
        let path = path.as_ref();
        let file = weights::read(path, |_| true)?;
        Self::from_weights(trunk, &file, device).map_err(|e| e.context(path.display()))
    }

    /// Like [`load`](Self::load), from weights in memory.
    ///
    /// # Errors
    /// If a tensor is missing or has another shape.
    pub fn from_weights(trunk: Trunk, file: &TensorFile, device: &Device) -> Result<Self> {
        let device = device.clone().without_autodiff();
        let widths = trunk.widths();
        let mut reader = WeightReader::from(file);
        let mut roots = Vec::new();
        for (layer, &width) in widths.iter().enumerate() {
            let name = format!("lin{layer}.model.1.weight");
            let weight = reader.take(&name, &[Some(1), Some(width), Some(1), Some(1)])?;
            let weight = weight.to_f32();
            if weight.iter().any(|&w| w < 0.0) {
                return Err(Error::user(format!("tensor `{name}` has negative weights"))
                    .hint("give the published linear weights of LPIPS, which are not negative"));
            }
            let root = weight.iter().map(|w| w.sqrt()).collect();
            roots.push(from_host(&HostTensor::f32([1, width, 1, 1], root)?, &device));
        }
        // The authors' module stores every weight under two names.
        reader.finish(|name| name.starts_with("lins."))?;
        Ok(Self { trunk, roots })
    }

    /// Distances of images x, y `[N, 3, H, W]` in `[-1, 1]` → `[N]`.
    pub fn distances(&self, x: Tensor<4>, y: Tensor<4>) -> Tensor<1> {
        let layers = self.extract(x).into_iter().zip(self.extract(y));
        let per_layer = layers.map(|(x, y)| {
            let [n, c, h, w] = x.dims();
            let difference = x - y;
            let squares = difference.clone() * difference;
            squares.reshape([n, c * h * w]).mean_dim(1).reshape([n])
        });
        per_layer.reduce(|sum, layer| sum + layer).expect("a trunk has layers")
    }
}

impl Features for Lpips {
    fn name(&self) -> &'static str {
        match self.trunk {
            Trunk::Vgg16(_) => "lpips-vgg16",
            Trunk::SqueezeNet(_) => "lpips-squeezenet",
        }
    }

    fn weighs_layers(&self) -> bool {
        true
    }

    /// Layers scaled by √(C·w_c), so that the mean squared difference is the LPIPS distance.
    fn extract(&self, images: Tensor<4>) -> Vec<Tensor<4>> {
        let [_, _, h, w] = images.dims();
        let images = if h.min(w) < LEAST_SIDE { bilinear(images, LEAST_SIDE) } else { images };
        let layers = self.trunk.activations(images).into_iter().zip(&self.roots);
        layers
            .map(|(x, root)| {
                let channels = x.dims()[1] as f32;
                let squares = (x.clone() * x.clone()).sum_dim(1);
                // The authors add 1e-10 to the length. Inside the root, the constant also keeps the
                // gradient at an all-zero vector finite.
                let length = (squares + 1e-20).sqrt();
                x / length * root.clone() * channels.sqrt()
            })
            .collect()
    }
}
