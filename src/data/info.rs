//! `data info`: what an archive holds, counted.

use std::collections::{BTreeMap, HashSet};

use serde::Serialize;

use super::archive::Archive;
use super::record::Split;

/// The fields of `data info --json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Info {
    pub images: usize,
    /// Images with a caption at least.
    pub captioned: usize,
    /// Captions in all.
    pub captions: usize,
    /// Side of the images in pixels.
    pub resolution: usize,
    /// Images by split; all three are named.
    pub splits: BTreeMap<Split, usize>,
    /// Distinct words of all captions (see [`words`]).
    pub vocabulary: usize,
    /// Files that were left out when the archive was made.
    pub skipped: usize,
}

impl Info {
    /// Counts an archive.
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
        }
    }
}

/// The words of a caption: runs of letters and digits, lower-cased; punctuation separates.
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
