//! Which files are tables of captions.

use super::rows;
use super::tree::{Tree, file_name};

/// Whether a file is read as metadata, by its name.
pub(super) fn is_metadata(name: &str) -> bool {
    let name = file_name(name).to_ascii_lowercase();
    let Some((stem, extension)) = name.rsplit_once('.') else { return false };
    (matches!(stem, "metadata" | "captions" | "caption")
        && matches!(extension, "jsonl" | "ndjson" | "json" | "csv" | "tsv"))
        // The names of Karpathy's splits.
        || (matches!(stem, "dataset_flickr8k" | "dataset_flickr30k" | "dataset_coco")
            && extension == "json")
}

/// Whether a text file is a table of captions: its first line has a column of file names and one of
/// captions. `captions.txt` of Flickr8k is one.
pub(super) fn is_caption_table(tree: &Tree, at: usize) -> bool {
    let name = file_name(tree.name(at)).to_ascii_lowercase();
    if !matches!(name.as_str(), "captions.txt" | "metadata.txt" | "caption.txt") {
        return false;
    }
    rows::header_with_files(&tree.head(at, 4096)).is_some_and(|columns| {
        columns.iter().any(|c| rows::CAPTION_COLUMNS.contains(&c.to_lowercase().as_str()))
    })
}
