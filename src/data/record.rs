//! Images of an archive: split, label, captions, and where they came from.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};
use sha2::{Digest, Sha256};

use super::bounded;

/// The part of a dataset that an image belongs to.
///
/// Training reads [`Split::Train`] only. Evaluation reports which part it read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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

    /// Parses the usual names of the parts (`validation`, `dev`, `eval`, …), in any case. These are
    /// the keywords of Hugging Face's datasets.
    pub fn from_name(name: &str) -> Option<Split> {
        match name.to_ascii_lowercase().as_str() {
            "train" | "training" => Some(Split::Train),
            "val" | "valid" | "validation" | "dev" => Some(Split::Val),
            "test" | "testing" | "eval" | "evaluation" => Some(Split::Test),
            _ => None,
        }
    }

    /// Moves 10 % of the training split to the validation split, chosen by the SHA-256 of the id.
    /// The choice depends on nothing else: it is the same at every resolution, crop and seed, and
    /// does not change when images are added. `val` and `test` stay as they are. A set that is so
    /// small that no image would be left for training stays as it is too.
    pub fn carve<'a>(images: impl IntoIterator<Item = (&'a str, &'a mut Split)>) {
        let images: Vec<_> = images.into_iter().collect();
        if images.iter().any(|(id, split)| **split == Split::Train && !is_carved(id)) {
            for (id, split) in images {
                if *split == Split::Train && is_carved(id) {
                    *split = Split::Val;
                }
            }
        }
    }
}

/// Whether the hash of an id is in the tenth that becomes the validation split.
fn is_carved(id: &str) -> bool {
    let hash = Sha256::digest(id.as_bytes());
    let head = u64::from_be_bytes(hash[..8].try_into().unwrap_or_default());
    head < u64::MAX / 10
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Largest number of captions of one image that `data prepare` writes.
pub(crate) const MAX_CAPTIONS: usize = 1000;
/// Largest number of captions, phrases or attributes of an image that are read.
const MAX_PARTS: usize = 100_000;

/// One image of an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageRecord {
    /// Name of its entry within the zip.
    #[serde(default)]
    pub file: String,
    /// Name of the image in the source; unique and stable.
    pub id: String,
    /// The part of the dataset that it belongs to.
    pub split: Split,
    /// Class number, counted from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<u32>,
    /// The captions; there may be none.
    #[serde(default, deserialize_with = "bounded::list::<_, _, MAX_PARTS>")]
    pub captions: Vec<String>,
    /// The parts of the caption that stay whole, such as the ingredients of a recipe ("green bell
    /// pepper"). The caption is these parts joined by `", "`.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "some_list")]
    pub phrases: Option<Vec<String>>,
    /// Whether the captions were written by the program from the attributes of the dataset, instead
    /// of by people.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub derived: bool,
    /// Ground truth by name, if the source has it (the synthetic birds do).
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "bounded::map::<_, _, _, MAX_PARTS>"
    )]
    pub attributes: BTreeMap<String, String>,
}

fn some_list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    #[derive(Deserialize)]
    struct List(#[serde(deserialize_with = "bounded::list::<_, _, MAX_PARTS>")] Vec<String>);
    Ok(Option::<List>::deserialize(deserializer)?.map(|List(list)| list))
}

/// A file that was skipped, or whose captions were skipped, and the reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// Path relative to the source.
    pub file: String,
    /// A phrase such as `truncated JPEG`.
    pub reason: String,
}

impl Skipped {
    pub(crate) fn new(file: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { file: file.into(), reason: reason.into() }
    }
}

/// Where the images came from and how they were processed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// Layout of the source: `cub`, `recipe1m`, `folder`, `zip`, `synth`.
    pub format: String,
    /// How they were cropped: `bbox`, `center` or `none`.
    pub crop: String,
    /// How they were split: `cub image`, `cub class`, `recipe1m`, `metadata`, `folder`, `file name`,
    /// `hash`, `archive`.
    pub split: String,
    /// Seed of synthetic birds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn carving_moves_a_tenth_of_the_training_part() {
        let ids: Vec<String> = (0..10_000).map(|i| format!("bird/{i}")).collect();
        for (part, expected) in
            [(Split::Train, 880..1120), (Split::Test, 0..1), (Split::Val, 10_000..10_001)]
        {
            let mut splits = vec![part; ids.len()];
            Split::carve(ids.iter().map(String::as_str).zip(&mut splits));
            let val = splits.iter().filter(|split| **split == Split::Val).count();
            // Binomial(10 000, 0.1): four standard deviations are 120.
            assert!(expected.contains(&val), "{part}: {val}");
        }
    }

    #[test]
    fn a_set_always_keeps_a_training_part() {
        let carved: Vec<String> =
            (0..200).map(|i| i.to_string()).filter(|id| is_carved(id)).collect();
        assert!(carved.len() > 2, "{carved:?}");
        let mut splits = vec![Split::Train; carved.len()];
        Split::carve(carved.iter().map(String::as_str).zip(&mut splits));
        assert!(splits.iter().all(|split| *split == Split::Train));
    }
}
