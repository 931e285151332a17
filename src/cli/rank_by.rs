//! The flag `--rank-by`: the model that ranks candidate images.

use std::convert::Infallible;
use std::path::PathBuf;
use std::str::FromStr;

use burn::tensor::Device;

use super::judges;
use crate::systems::Loaded;

/// The values of `--rank-by`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RankBy {
    /// The encoders of the model that draws.
    Codes,
    /// Another model, with encoders or a captioner.
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
    /// If the model cannot be read, or does not judge images.
    pub fn open(&self, device: &Device) -> crate::Result<Option<Box<dyn Loaded>>> {
        match self {
            RankBy::Codes => Ok(None),
            RankBy::Model(path) => judges::open("--rank-by", path, device).map(Some),
        }
    }
}
