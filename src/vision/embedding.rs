//! Image embeddings for distances between sets of images.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use burn::tensor::{Device, Tensor};

use super::Inception;
use crate::error::Result;
use crate::nn::resize::bilinear;
use crate::vision::{Features, SqueezeNet};

/// The SqueezeNet layer whose spatial mean is the embedding.
const FSD_LAYER: &str = "fire9";

/// A network that maps an image to a feature vector.
pub trait Embedding: Send {
    /// Name in tables: `inception`, `squeezenet`, `discriminator` or `pixels`.
    fn name(&self) -> &'static str;

    /// Number of values in a vector.
    fn dim(&self) -> usize;

    /// Images `[N, 3, H, W]` in `[-1, 1]`, of any size → `[N, D]`.
    fn embed(&self, images: Tensor<4>) -> Tensor<2>;

    /// Vectors `[N, D]` → logits `[N, classes]`; `None` if the network has no classifier.
    fn classify(&self, _vectors: Tensor<2>) -> Option<Tensor<2>> {
        None
    }
}

/// An embedding that concatenates the spatial means of all layers of some [`Features`].
pub struct Pooled {
    features: Box<dyn Features>,
    dim: usize,
}

impl Pooled {
    /// Wraps `features`. It runs them once on a constant image to find the widths of the layers.
    pub fn new(features: Box<dyn Features>, device: &Device) -> Self {
        let black = Tensor::zeros([1, 3, 32, 32], &device.clone().without_autodiff());
        let dim = features.extract(black).iter().map(|layer| layer.dims()[1]).sum();
        Self { features, dim }
    }
}

impl Embedding for Pooled {
    fn name(&self) -> &'static str {
        self.features.name()
    }

    fn dim(&self) -> usize {
        self.dim
    }

    fn embed(&self, images: Tensor<4>) -> Tensor<2> {
        let mean = |layer: Tensor<4>| {
            let [n, c, h, w] = layer.dims();
            layer.reshape([n, c, h * w]).mean_dim(2).reshape([n, c])
        };
        Tensor::cat(self.features.extract(images).into_iter().map(mean).collect(), 1)
    }
}

impl Embedding for Inception {
    fn name(&self) -> &'static str {
        "inception"
    }

    fn dim(&self) -> usize {
        self.pool3_dim()
    }

    /// The pool3 features, which FID, KID, precision and recall use.
    fn embed(&self, images: Tensor<4>) -> Tensor<2> {
        self.pool3(images)
    }

    /// Logits without the bias, as in the published code of the Inception score.
    fn classify(&self, vectors: Tensor<2>) -> Option<Tensor<2>> {
        Some(self.logits(vectors, false))
    }
}

/// Side to which [`Pixels`] downscales images.
const PIXELS: usize = 8;

/// The image itself, downscaled to 8×8. It needs no weights and represents colours and layout, but
/// no detail.
#[derive(Debug, Clone, Copy)]
pub struct Pixels;

impl Embedding for Pixels {
    fn name(&self) -> &'static str {
        "pixels"
    }

    fn dim(&self) -> usize {
        3 * PIXELS * PIXELS
    }

    /// Sides are powers of two. Those below 8 are upscaled, others are averaged.
    fn embed(&self, images: Tensor<4>) -> Tensor<2> {
        let [n, c, h, w] = images.dims();
        let images = if h < PIXELS || w < PIXELS { bilinear(images, PIXELS) } else { images };
        let [_, _, h, w] = [n, c, h.max(PIXELS), w.max(PIXELS)];
        let cells = images.reshape([n * c * PIXELS, h / PIXELS, PIXELS, w / PIXELS]);
        cells.mean_dim(3).mean_dim(1).reshape([n, c * PIXELS * PIXELS])
    }
}

/// The values of `--features`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum FeatureChoice {
    /// Inception-v3's pool3 with weights from a file. The Fréchet distance is FID.
    Inception(PathBuf),
    /// Spatial mean of SqueezeNet's fire9 with weights from a file. The Fréchet distance is FSD.
    SqueezeNet(PathBuf),
    /// The model's own discriminator. Distances of different discriminators are not comparable.
    #[default]
    Discriminator,
    /// The images themselves, downscaled to 8×8.
    Pixels,
}

impl FeatureChoice {
    /// Builds the embedding on `device`. `own` returns the features of the model's discriminator
    /// and is only called for [`Discriminator`](Self::Discriminator).
    ///
    /// # Errors
    /// Fails if a weight file cannot be read or belongs to another network, or if `own` fails.
    pub fn build(
        &self,
        own: impl FnOnce() -> Result<Box<dyn Features>>,
        device: &Device,
    ) -> Result<Box<dyn Embedding>> {
        Ok(match self {
            Self::Inception(path) => Box::new(Inception::load(path, device)?),
            Self::SqueezeNet(path) => {
                let features = SqueezeNet::load(path, &[FSD_LAYER], device)?;
                Box::new(Pooled::new(Box::new(features), device))
            }
            Self::Discriminator => Box::new(Pooled::new(own()?, device)),
            Self::Pixels => Box::new(Pixels),
        })
    }
}

impl FromStr for FeatureChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const EXPECTED: &str = "expected inception=FILE, squeezenet=FILE, discriminator or pixels";
        match text.split_once('=') {
            None if text == "discriminator" => Ok(Self::Discriminator),
            None if text == "pixels" => Ok(Self::Pixels),
            None if matches!(text, "inception" | "squeezenet") => {
                Err(format!("`{text}` needs a weight file: {text}=FILE"))
            }
            None => Err(EXPECTED.to_owned()),
            Some((_, "")) => Err(format!("`{text}` does not name a file")),
            Some(("inception", path)) => Ok(Self::Inception(path.into())),
            Some(("squeezenet", path)) => Ok(Self::SqueezeNet(path.into())),
            Some((other, _)) => Err(format!("`{other}` is not a feature network; {EXPECTED}")),
        }
    }
}

impl fmt::Display for FeatureChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inception(path) => write!(f, "inception={}", path.display()),
            Self::SqueezeNet(path) => write!(f, "squeezenet={}", path.display()),
            Self::Discriminator => f.write_str("discriminator"),
            Self::Pixels => f.write_str("pixels"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::params::to_vec;

    #[test]
    fn pixels_are_means_of_cells() {
        let device = Device::flex();
        let row: Vec<f32> = (0..16 * 16).map(|i| (i % 16) as f32).collect();
        let image = Tensor::<1>::from_floats(row.as_slice(), &device).reshape([1, 1, 16, 16]);
        let found = to_vec(Pixels.embed(image.expand([1, 3, 16, 16])));
        assert_eq!(found.len(), Pixels.dim());
        assert_eq!(found[..8], [0.5, 2.5, 4.5, 6.5, 8.5, 10.5, 12.5, 14.5]);
        assert_eq!(found[..64], found[128..]);
        assert_eq!(Pixels.embed(Tensor::ones([2, 3, 4, 4], &device)).dims(), [2, 192]);
    }

    #[test]
    fn choices_parse_and_print() {
        for text in ["discriminator", "pixels", "inception=a=b.pth", "squeezenet=s.safetensors"] {
            assert_eq!(text.parse::<FeatureChoice>().unwrap().to_string(), text);
        }
        let error = |text: &str| text.parse::<FeatureChoice>().unwrap_err();
        assert!(error("inception").contains("inception=FILE"));
        assert!(error("squeezenet=").contains("does not name a file"));
        assert!(error("clip=x").contains("clip"));
        assert!(error("x").contains("expected inception=FILE"));
    }
}
