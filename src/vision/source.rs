//! The choice of features for a perceptual distance: the values of `--perceptual`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use burn::tensor::Device;

use super::{Features, Lpips, SqueezeNet, Trunk, Vgg16, lpips, squeezenet, vgg16};
use crate::error::{Error, Result};
use crate::tensorfile::content_hash;

/// The value of `--perceptual`: `discriminator`, `vgg16=FILE` or `squeezenet=FILE`.
///
/// The last two accept `,layers=conv3_3+conv4_3` to choose other layers, or `,lpips=FILE` with the
/// linear weights of LPIPS, which defines its own layers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum PerceptualChoice {
    /// Features of the model's own discriminator, which need no file and fit the domain.
    #[default]
    Discriminator,
    /// VGG16 with weights from a file.
    Vgg16(WeightFiles),
    /// SqueezeNet v1.1 with weights from a file.
    SqueezeNet(WeightFiles),
}

/// Weight files of a perceptual network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WeightFiles {
    /// The network's weights.
    pub network: PathBuf,
    /// Layers that are compared, and their weighting.
    pub comparison: Comparison,
}

/// The layers of a perceptual network that are compared, and their weighting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Comparison {
    /// The default layers, all features weighted equally.
    Usual,
    /// These layers, all features weighted equally.
    Layers(Vec<String>),
    /// The layers of LPIPS, weighted by the linear weights in a file.
    Lpips(PathBuf),
}

impl PerceptualChoice {
    /// Builds the features on `device`. `own` returns those of the model's discriminator and is
    /// only called for [`Discriminator`](Self::Discriminator).
    ///
    /// # Errors
    /// Fails if a weight file cannot be read or belongs to another network, or if `own` fails.
    pub fn build(
        &self,
        own: impl FnOnce() -> Result<Box<dyn Features>>,
        device: &Device,
    ) -> Result<Box<dyn Features>> {
        Ok(match self {
            Self::Discriminator => own()?,
            Self::Vgg16(WeightFiles { network, comparison }) => match comparison {
                Comparison::Usual => Box::new(Vgg16::load(network, &vgg16::PERCEPTUAL, device)?),
                Comparison::Layers(layers) => {
                    Box::new(Vgg16::load(network, &names(layers), device)?)
                }
                Comparison::Lpips(linear) => {
                    let trunk = Vgg16::load(network, &lpips::VGG16, device)?;
                    Box::new(Lpips::load(Trunk::Vgg16(trunk), linear, device)?)
                }
            },
            Self::SqueezeNet(WeightFiles { network, comparison }) => match comparison {
                Comparison::Usual => {
                    Box::new(SqueezeNet::load(network, &squeezenet::PERCEPTUAL, device)?)
                }
                Comparison::Layers(layers) => {
                    Box::new(SqueezeNet::load(network, &names(layers), device)?)
                }
                Comparison::Lpips(linear) => {
                    let trunk = SqueezeNet::load(network, &lpips::SQUEEZENET, device)?;
                    if !trunk.is_torchvision() {
                        return Err(Error::user(format!(
                            "--perceptual {self}: LPIPS needs torchvision's SqueezeNet weights"
                        ))
                        .hint("give torchvision's SqueezeNet v1.1, or remove `,lpips=`"));
                    }
                    Box::new(Lpips::load(Trunk::SqueezeNet(trunk), linear, device)?)
                }
            },
        })
    }
}

impl PerceptualChoice {
    /// Whether the choice is LPIPS as published, which is not normalised by a unit.
    pub fn is_lpips(&self) -> bool {
        match self {
            Self::Discriminator => false,
            Self::Vgg16(files) | Self::SqueezeNet(files) => {
                matches!(files.comparison, Comparison::Lpips(_))
            }
        }
    }

    /// Identifies the features independently of file names: network, layers and hashes of the
    /// weights.
    ///
    /// # Errors
    /// Fails if a file cannot be read.
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
        Ok(match &files.comparison {
            Comparison::Usual => format!("{network} {weights}"),
            Comparison::Layers(layers) => format!("{network} {weights}, {}", layers.join(" ")),
            Comparison::Lpips(linear) => format!("{network} {weights}, lpips {}", hash(linear)?),
        })
    }
}

impl PerceptualChoice {
    /// Description for the notes of tables: the weights, and the size at which images are compared.
    ///
    /// # Errors
    /// Fails if a file cannot be read.
    pub fn note(&self) -> Result<String> {
        let size = match self {
            Self::Discriminator => "their own size".to_owned(),
            Self::Vgg16(WeightFiles { comparison: Comparison::Lpips(_), .. })
            | Self::SqueezeNet(WeightFiles { comparison: Comparison::Lpips(_), .. }) => {
                format!("at least {} pixels", lpips::LEAST_SIDE)
            }
            Self::Vgg16(_) => format!("at least {} pixels", vgg16::SIDE),
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
        let (path, comparison) = match (files.split_once(",lpips="), files.split_once(",layers=")) {
            (Some((path, lpips)), None) if !lpips.is_empty() => {
                (path, Comparison::Lpips(lpips.into()))
            }
            (None, Some((path, layers))) if !layers.is_empty() => {
                (path, Comparison::Layers(layers.split('+').map(str::to_owned).collect()))
            }
            (None, None) => (files, Comparison::Usual),
            (Some(_), Some(_)) => {
                return Err("LPIPS defines its own layers: remove `,layers=` or `,lpips=`".into());
            }
            _ => return Err(format!("`{text}` lacks a value after its last `=`")),
        };
        if path.is_empty() {
            return Err(format!("`{text}` does not name a file"));
        }
        let files = WeightFiles { network: path.into(), comparison };
        match network {
            "vgg16" => Ok(Self::Vgg16(files)),
            "squeezenet" => Ok(Self::SqueezeNet(files)),
            _ => Err(format!(
                "`{network}` is not a perceptual network; expected discriminator, vgg16=FILE or \
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
        match &files.comparison {
            Comparison::Usual => Ok(()),
            Comparison::Layers(layers) => write!(f, ",layers={}", layers.join("+")),
            Comparison::Lpips(linear) => write!(f, ",lpips={}", linear.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_parse_and_print() {
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
        assert!(error("vgg16=").contains("does not name a file"));
        assert!(error("vgg16=v,lpips=").contains("lacks a value"));
        assert!(error("vgg16=v,layers=").contains("lacks a value"));
        assert!(error("vgg16=v,layers=conv1_1,lpips=w").contains("its own layers"));
        assert!(error("alexnet=x").contains("alexnet"));
        assert!(error("").contains("expected discriminator"));
    }
}
