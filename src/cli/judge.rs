//! The flag `--rank-by`: the encoders that rank candidate images.

use std::path::PathBuf;
use std::str::FromStr;

use burn::tensor::Device;

use crate::model::Model;
use crate::systems::{self, Loaded};

/// The values of `--rank-by`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judge {
    /// The encoders of the model that draws.
    Codes,
    /// The encoders of another model.
    Damsm(PathBuf),
}

impl FromStr for Judge {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            None if text == "codes" => Ok(Self::Codes),
            Some(("damsm", path)) if !path.is_empty() => Ok(Self::Damsm(path.into())),
            _ => Err("expected codes or damsm=MODEL".to_owned()),
        }
    }
}

impl Judge {
    /// The model that ranks, if it is another one.
    ///
    /// # Errors
    /// If the model cannot be read, or does not compare images with texts.
    pub fn open(&self, device: &Device) -> crate::Result<Option<Box<dyn Loaded>>> {
        let Judge::Damsm(path) = self else { return Ok(None) };
        let judge = systems::open(&Model::open(path)?, device)?;
        judge.similarity().map_err(|e| e.context(format!("--rank-by {}", path.display())))?;
        Ok(Some(judge))
    }
}
