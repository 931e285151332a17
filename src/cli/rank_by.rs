//! The flag `--rank-by`: the encoders that rank candidate images.

use std::convert::Infallible;
use std::path::PathBuf;
use std::str::FromStr;

use burn::tensor::Device;

use crate::model::Model;
use crate::systems::{self, Loaded};

/// The values of `--rank-by`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RankBy {
    /// The encoders of the model that draws.
    Codes,
    /// The encoders of another model.
    Model(PathBuf),
}

impl FromStr for RankBy {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text {
            "codes" => Self::Codes,
            // Earlier versions required the prefix of encoders of `train-damsm`.
            _ => Self::Model(text.strip_prefix("damsm=").unwrap_or(text).into()),
        })
    }
}

impl RankBy {
    /// The model that ranks, if it is another one.
    ///
    /// # Errors
    /// If the model cannot be read, or does not compare images with texts.
    pub fn open(&self, device: &Device) -> crate::Result<Option<Box<dyn Loaded>>> {
        let RankBy::Model(path) = self else { return Ok(None) };
        let named = |e: crate::Error| e.context("--rank-by");
        let ranking = systems::open(&Model::open(path).map_err(named)?, device).map_err(named)?;
        ranking.similarity().map_err(|e| e.context(format!("--rank-by {}", path.display())))?;
        Ok(Some(ranking))
    }
}
