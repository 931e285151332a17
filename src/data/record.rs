//! What is known about each image of an archive: the contents of its `dataset.json`.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Which part of a data set an image belongs to.
///
/// Training reads [`Split::Train`] only; evaluation says which part it read.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    Train,
    Val,
    Test,
}

impl Split {
    /// All parts, in the order in which they are reported.
    pub const ALL: [Split; 3] = [Split::Train, Split::Val, Split::Test];

    /// `train`, `val` or `test`.
    pub fn name(self) -> &'static str {
        match self {
            Split::Train => "train",
            Split::Val => "val",
            Split::Test => "test",
        }
    }

    /// Reads the names in use for the parts (`validation`, `dev`, `training`, …), in any case.
    pub fn from_name(name: &str) -> Option<Split> {
        match name.to_ascii_lowercase().as_str() {
            "train" | "training" => Some(Split::Train),
            "val" | "valid" | "validation" | "dev" => Some(Split::Val),
            "test" | "testing" => Some(Split::Test),
            _ => None,
        }
    }

    /// Carves the validation part (10 %) out of the training part, by SHA-256 of the id. It
    /// depends on nothing else, so it is the same at every resolution, crop and seed, and stays
    /// when images are added. `val` and `test` pass unchanged.
    pub fn carve(self, id: &str) -> Split {
        let hash = Sha256::digest(id.as_bytes());
        let head = u64::from_be_bytes(hash[..8].try_into().unwrap_or_default());
        if self == Split::Train && head < u64::MAX / 10 { Split::Val } else { self }
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One image of an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageRecord {
    /// Name of the entry within the zip.
    #[serde(default)]
    pub file: String,
    /// The source's own name for the image; unique and stable.
    pub id: String,
    pub split: Split,
    /// Class number, counted from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<u32>,
    /// Any number of captions, none included.
    #[serde(default)]
    pub captions: Vec<String>,
    /// The parts of the caption that must not be torn apart ("green bell pepper"): the
    /// ingredients of a recipe. Its caption is these joined by `", "`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phrases: Option<Vec<String>>,
    /// Ground truth by name, where the source has it (the synthetic birds do).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
}

/// A file that was left out, or whose captions were, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// Path relative to the source.
    pub file: String,
    pub reason: String,
}

impl Skipped {
    pub(crate) fn new(file: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { file: file.into(), reason: reason.into() }
    }
}

/// Where the images came from and what was done to them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// Layout of the source: `cub`, `recipe1m`, `folder`, `zip`, `synth`.
    pub format: String,
    /// `bbox`, `center` or `none`.
    pub crop: String,
    /// Which rule made the split: `cub image`, `cub class`, `folder`, `recipe1m`, `hash` ….
    pub split: String,
    /// Seed of the synthetic birds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
}

/// The archive's `dataset.json`.
///
/// `labels` is what the official StyleGAN2 dataset tool writes, so that its loader reads our
/// archives too; everything else is ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of the fields below.
    pub version: u32,
    /// Side of the square images in pixels.
    pub resolution: u32,
    pub source: Provenance,
    /// `[[file, class], …]` for every image, or null where some image has no class.
    pub labels: Option<Vec<(String, u32)>>,
    /// Name of class number `i`.
    #[serde(default)]
    pub class_names: Vec<String>,
    pub images: Vec<ImageRecord>,
    #[serde(default)]
    pub skipped: Vec<Skipped>,
}

impl Manifest {
    /// The version that this program writes, and the newest that it reads.
    pub const VERSION: u32 = 1;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn carving_takes_a_tenth_of_the_training_part_only() {
        let ids: Vec<String> = (0..10_000).map(|i| format!("bird/{i}")).collect();
        let val = ids.iter().filter(|id| Split::Train.carve(id) == Split::Val).count();
        // Binomial(10 000, 0.1): four standard deviations are 120.
        assert!((880..1120).contains(&val), "{val}");
        assert!(ids.iter().all(|id| Split::Test.carve(id) == Split::Test));
        assert!(ids.iter().all(|id| Split::Val.carve(id) == Split::Val));
    }
}
