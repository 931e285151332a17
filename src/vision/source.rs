//! Which features a perceptual distance compares, as the command line says it.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use burn::tensor::Device;

use super::lpips::{self, Trunk};
use super::{Features, Lpips, SqueezeNet, Vgg16, squeezenet, vgg16};
use crate::error::{Error, Result};
use crate::tensorfile::content_hash;

/// The values of `--perceptual`: `discriminator`, `vgg16=FILE` or `squeezenet=FILE`; the last two
/// with `,layers=conv3_3+conv4_3` for other layers than the usual ones, or `,lpips=FILE` where
/// LPIPS's weights are at hand, which has layers of its own.
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
    /// What of it is compared.
    pub compares: Compares,
}

/// What of a perceptual network is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Compares {
    /// Its usual layers, all features alike.
    Usual,
    /// These layers, all features alike.
    Layers(Vec<String>),
    /// LPIPS's layers, by its linear weights.
    Lpips(PathBuf),
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
            Self::Vgg16(WeightFiles { network, compares }) => match compares {
                Compares::Usual => Box::new(Vgg16::load(network, &vgg16::PERCEPTUAL, device)?),
                Compares::Layers(layers) => Box::new(Vgg16::load(network, &names(layers), device)?),
                Compares::Lpips(linear) => {
                    let trunk = Vgg16::load(network, &lpips::VGG16, device)?;
                    Box::new(Lpips::load(Trunk::Vgg16(trunk), linear, device)?)
                }
            },
            Self::SqueezeNet(WeightFiles { network, compares }) => match compares {
                Compares::Usual => {
                    Box::new(SqueezeNet::load(network, &squeezenet::PERCEPTUAL, device)?)
                }
                Compares::Layers(layers) => {
                    Box::new(SqueezeNet::load(network, &names(layers), device)?)
                }
                Compares::Lpips(linear) => {
                    let trunk = SqueezeNet::load(network, &lpips::SQUEEZENET, device)?;
                    if !trunk.is_torchvision() {
                        return Err(Error::user(format!(
                            "--perceptual {self}: LPIPS's weights do not belong to these"
                        ))
                        .hint("give torchvision's SqueezeNet v1.1, or leave ,lpips= out"));
                    }
                    Box::new(Lpips::load(Trunk::SqueezeNet(trunk), linear, device)?)
                }
            },
        })
    }
}

impl PerceptualChoice {
    /// Whether it is LPIPS as it is published, which has no unit.
    pub fn is_lpips(&self) -> bool {
        match self {
            Self::Discriminator => false,
            Self::Vgg16(files) | Self::SqueezeNet(files) => {
                matches!(files.compares, Compares::Lpips(_))
            }
        }
    }

    /// What it compares, whatever its files are called and wherever they lie: network, layers, and
    /// the hashes of the weights.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn identity(&self) -> Result<String> {
        let (network, files) = match self {
            Self::Discriminator => return Ok("discriminator".to_owned()),
            Self::Vgg16(files) => ("vgg16", files),
            Self::SqueezeNet(files) => ("squeezenet", files),
        };
        let hash = |path: &PathBuf| -> Result<String> {
            Ok(content_hash(path)?.chars().take(16).collect())
        };
        let weights = hash(&files.network)?;
        Ok(match &files.compares {
            Compares::Usual => format!("{network} {weights}"),
            Compares::Layers(layers) => format!("{network} {weights}, {}", layers.join(" ")),
            Compares::Lpips(linear) => format!("{network} {weights}, lpips {}", hash(linear)?),
        })
    }
}

impl PerceptualChoice {
    /// Which weights, and at what size pictures are compared: a distance without them says nothing.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn note(&self) -> Result<String> {
        let size = match self {
            Self::Discriminator => "their own size".to_owned(),
            Self::Vgg16(WeightFiles { compares: Compares::Lpips(_), .. })
            | Self::SqueezeNet(WeightFiles { compares: Compares::Lpips(_), .. }) => {
                format!("{} pixels at least", lpips::LEAST_SIDE)
            }
            Self::Vgg16(_) => format!("{} pixels at least", vgg16::SIDE),
            Self::SqueezeNet(_) => format!("{} pixels", squeezenet::SIDE),
        };
        Ok(format!("{} at {size}", self.identity()?))
    }
}

fn names(layers: &[String]) -> Vec<&str> {
    layers.iter().map(String::as_str).collect()
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
        let (path, compares) = match (files.split_once(",lpips="), files.split_once(",layers=")) {
            (Some((path, lpips)), None) if !lpips.is_empty() => {
                (path, Compares::Lpips(lpips.into()))
            }
            (None, Some((path, layers))) if !layers.is_empty() => {
                (path, Compares::Layers(layers.split('+').map(str::to_owned).collect()))
            }
            (None, None) => (files, Compares::Usual),
            (Some(_), Some(_)) => return Err("LPIPS has layers of its own: leave one out".into()),
            _ => return Err(format!("`{text}` ends too early")),
        };
        if path.is_empty() {
            return Err(format!("`{text}` names no file"));
        }
        let files = WeightFiles { network: path.into(), compares };
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
        match &files.compares {
            Compares::Usual => Ok(()),
            Compares::Layers(layers) => write!(f, ",layers={}", layers.join("+")),
            Compares::Lpips(linear) => write!(f, ",lpips={}", linear.display()),
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
            "vgg16=v.pth,layers=conv3_3+conv4_3",
        ] {
            assert_eq!(text.parse::<PerceptualChoice>().unwrap().to_string(), text);
        }
        let error = |text: &str| text.parse::<PerceptualChoice>().unwrap_err();
        assert!(error("vgg16").contains("vgg16=FILE"));
        assert!(error("vgg16=").contains("names no file"));
        assert!(error("vgg16=v,lpips=").contains("too early"));
        assert!(error("vgg16=v,layers=").contains("too early"));
        assert!(error("vgg16=v,layers=conv1_1,lpips=w").contains("of its own"));
        assert!(error("alexnet=x").contains("alexnet"));
        assert!(error("").contains("expected discriminator"));
    }
}
