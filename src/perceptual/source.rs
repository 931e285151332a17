//! Which features a perceptual distance compares, as the command line says it.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use burn::tensor::Device;

use super::lpips::{self, Trunk};
use super::{Features, Lpips, SqueezeNet, Vgg16, squeezenet, vgg16};
use crate::error::Result;

/// The values of `--perceptual`: `discriminator`, `vgg16=FILE` or `squeezenet=FILE`; the last two
/// with `,lpips=FILE` where LPIPS's weights are at hand.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum PerceptualChoice {
    /// Features of the model's own discriminator: no file, and it knows the domain.
    #[default]
    Discriminator,
    /// VGG16 with the weights of a file.
    Vgg16(WeightFiles),
    /// SqueezeNet v1.1 with the weights of a file.
    SqueezeNet(WeightFiles),
}

/// Files of a perceptual network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WeightFiles {
    /// The network's weights.
    pub network: PathBuf,
    /// LPIPS's linear weights; without them all features count alike.
    pub lpips: Option<PathBuf>,
}

impl PerceptualChoice {
    /// The features, on `device`. `own` gives those of the model's discriminator and is asked only
    /// where they are wanted.
    ///
    /// # Errors
    /// If a weight file cannot be read or belongs to another network; those of `own`.
    pub fn build(
        &self,
        own: impl FnOnce() -> Result<Box<dyn Features>>,
        device: &Device,
    ) -> Result<Box<dyn Features>> {
        Ok(match self {
            Self::Discriminator => own()?,
            Self::Vgg16(WeightFiles { network, lpips: None }) => {
                Box::new(Vgg16::load(network, &vgg16::PERCEPTUAL, device)?)
            }
            Self::Vgg16(WeightFiles { network, lpips: Some(linear) }) => {
                let trunk = Vgg16::load(network, &lpips::VGG16, device)?;
                Box::new(Lpips::load(Trunk::Vgg16(trunk), linear, device)?)
            }
            Self::SqueezeNet(WeightFiles { network, lpips: None }) => {
                Box::new(SqueezeNet::load(network, &squeezenet::PERCEPTUAL, device)?)
            }
            Self::SqueezeNet(WeightFiles { network, lpips: Some(linear) }) => {
                let trunk = SqueezeNet::load(network, &lpips::SQUEEZENET, device)?;
                Box::new(Lpips::load(Trunk::SqueezeNet(trunk), linear, device)?)
            }
        })
    }
}

impl FromStr for PerceptualChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "discriminator" {
            return Ok(Self::Discriminator);
        }
        let (network, files) = text.split_once('=').ok_or_else(|| match text {
            "vgg16" | "squeezenet" => format!("`{text}` needs a weight file: {text}=FILE"),
            _ => "expected discriminator, vgg16=FILE or squeezenet=FILE".to_owned(),
        })?;
        let (path, lpips) = match files.split_once(",lpips=") {
            Some((path, lpips)) => (path, Some(lpips)),
            None => (files, None),
        };
        if path.is_empty() || lpips == Some("") {
            return Err(format!("`{text}` names no file"));
        }
        let files = WeightFiles { network: path.into(), lpips: lpips.map(PathBuf::from) };
        match network {
            "vgg16" => Ok(Self::Vgg16(files)),
            "squeezenet" => Ok(Self::SqueezeNet(files)),
            _ => Err(format!(
                "`{network}` is no perceptual network; expected discriminator, vgg16=FILE or \
                 squeezenet=FILE"
            )),
        }
    }
}

impl fmt::Display for PerceptualChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (network, files) = match self {
            Self::Discriminator => return f.write_str("discriminator"),
            Self::Vgg16(files) => ("vgg16", files),
            Self::SqueezeNet(files) => ("squeezenet", files),
        };
        write!(f, "{network}={}", files.network.display())?;
        match &files.lpips {
            Some(lpips) => write!(f, ",lpips={}", lpips.display()),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_are_read_and_written() {
        for text in [
            "discriminator",
            "vgg16=a/b=c.pth",
            "squeezenet=s.safetensors",
            "vgg16=v.pth,lpips=lin.pth",
        ] {
            assert_eq!(text.parse::<PerceptualChoice>().unwrap().to_string(), text);
        }
        let error = |text: &str| text.parse::<PerceptualChoice>().unwrap_err();
        assert!(error("vgg16").contains("vgg16=FILE"));
        assert!(error("vgg16=").contains("names no file"));
        assert!(error("alexnet=x").contains("alexnet"));
        assert!(error("").contains("expected discriminator"));
    }
}
