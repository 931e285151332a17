//! Which files are tables of captions.

use super::rows::{self, Form};
use super::tree::{Tree, file_name};
use crate::data::formats::extension;
use crate::data::text;

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
    let head = text::to_utf8(tree.head(at, 4096)).unwrap_or_default();
    rows::header_with_files(&head).is_some_and(|columns| {
        columns.iter().any(|c| rows::CAPTION_COLUMNS.contains(&c.to_lowercase().as_str()))
    })
}

/// Size of the beginning of a JSON document that is searched for the keys of COCO.
const HEAD: u64 = 64 << 10;

/// Whether a file has the form of COCO's annotations, whatever its name, and which one: captions of
/// images, or objects in images.
///
/// # Errors
/// If the beginning has this form, but the whole is not JSON, as a phrase.
pub(super) fn coco(tree: &Tree, at: usize) -> Result<Option<Form>, String> {
    if extension(tree.name(at)).as_deref() != Some("json") {
        return Ok(None);
    }
    let raw = tree.head(at, HEAD);
    let head = text::to_utf8(raw.clone()).unwrap_or_default();
    let has = |key: &[u8]| head.windows(key.len()).any(|part| part == key);
    if !has(b"\"images\"") && !has(b"\"annotations\"") {
        return Ok(None);
    }
    let found = if head == raw {
        tree.stream(at, |text| rows::coco(text))
    } else {
        // A mark of the encoding, or UTF-16, which programs for Windows write.
        tree.read_text(at).map(|text| rows::coco(&text[..]))
    };
    // A file that cannot be read is reported elsewhere.
    found.unwrap_or(Ok(None))
}
