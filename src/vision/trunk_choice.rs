//! The choice of a frozen network: the values of `--vision-aided`.

use std::fmt;
use std::str::FromStr;

use burn::tensor::Device;

use super::source::{Comparison, PerceptualChoice, WeightFiles};
use super::{SqueezeNet, Trunk, Vgg16, squeezenet};
use crate::error::Result;

/// Layers of VGG16 that judge images by default: the last of every scale but the finest.
const VGG16: [&str; 4] = ["conv2_2", "conv3_3", "conv4_3", "conv5_3"];

/// The choice of a frozen network: `squeezenet=FILE` or `vgg16=FILE`, with `,layers=fire3+fire9` to
/// choose other layers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrunkChoice(PerceptualChoice);

impl TrunkChoice {
    /// Loads the network.
    ///
    /// # Errors
    /// If the weight file cannot be read or belongs to another network, or a layer does not exist.
    pub fn load(&self, device: &Device) -> Result<Trunk> {
        fn layers<'a>(files: &'a WeightFiles, usual: &[&'a str]) -> Vec<&'a str> {
            match &files.comparison {
                Comparison::Layers(layers) => layers.iter().map(String::as_str).collect(),
                Comparison::Usual | Comparison::Lpips(_) => usual.to_vec(),
            }
        }
        Ok(match &self.0 {
            PerceptualChoice::SqueezeNet(files) => {
                let layers = layers(files, &squeezenet::PERCEPTUAL);
                Trunk::SqueezeNet(SqueezeNet::load(&files.network, &layers, device)?)
            }
            PerceptualChoice::Vgg16(files) => {
                let layers = layers(files, &VGG16);
                Trunk::Vgg16(Vgg16::load(&files.network, &layers, device)?)
            }
            PerceptualChoice::Discriminator => unreachable!("refused when it was parsed"),
        })
    }

    /// Identifies the features independently of file names.
    ///
    /// # Errors
    /// Fails if the file cannot be read.
    pub fn identity(&self) -> Result<String> {
        self.0.identity()
    }
}

impl FromStr for TrunkChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = "expected squeezenet=FILE or vgg16=FILE".to_owned();
        let choice: PerceptualChoice = match text.contains('=') {
            true => text.parse()?,
            false => return Err(expected),
        };
        if choice.is_lpips() {
            return Err("`,lpips=` compares two images; remove it".to_owned());
        }
        Ok(Self(choice))
    }
}

impl fmt::Display for TrunkChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
