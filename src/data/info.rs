//! `data info`: statistics of an archive.

use std::collections::{BTreeMap, HashSet};

use serde::Serialize;

use super::archive::Archive;
use super::record::Split;

/// Statistics of an archive: the fields of `data info --json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Info {
    /// Number of images.
    pub images: usize,
    /// Number of images that have captions.
    pub captioned: usize,
    /// Number of captions of all images.
    pub captions: usize,
    /// Side of the images in pixels.
    pub resolution: usize,
    /// Number of images in each split, including splits without images.
    pub splits: BTreeMap<Split, usize>,
    /// Number of distinct words in all captions (see [`words`]).
    pub vocabulary: usize,
    /// Number of files that were skipped when the archive was prepared.
    pub skipped: usize,
    /// The problem with the archive, if there is one; see [`Archive::check`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

impl Info {
    /// Computes the statistics of `archive`.
    pub fn of(archive: &Archive) -> Self {
        let images = archive.images();
        let mut splits: BTreeMap<Split, usize> = Split::ALL.map(|split| (split, 0)).into();
        for image in images {
            *splits.entry(image.split).or_default() += 1;
        }
        let captions = || images.iter().flat_map(|image| &image.captions);
        let vocabulary: HashSet<String> = captions().flat_map(|caption| words(caption)).collect();
        Self {
            images: images.len(),
            captioned: images.iter().filter(|image| !image.captions.is_empty()).count(),
            captions: captions().count(),
            resolution: archive.resolution(),
            splits,
            vocabulary: vocabulary.len(),
            skipped: archive.manifest().skipped.len(),
            problem: archive.check().err().map(|error| error.message),
        }
    }
}

/// The words of a caption: runs of letters and digits, in lower case.
pub fn words(caption: &str) -> impl Iterator<Item = String> {
    caption.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()).map(str::to_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn punctuation_separates_words() {
        let found: Vec<String> = words("A red-crowned bird, it's  BIG (très).").collect();
        assert_eq!(found, ["a", "red", "crowned", "bird", "it", "s", "big", "très"]);
    }
}
