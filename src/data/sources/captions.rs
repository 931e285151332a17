//! Captions: cleaning them, and reading text files with one caption per line.

use super::tree::{Tree, stem};
use crate::error::{Error, Result};

/// Largest number of captions of one image.
pub(super) const MAX_PER_IMAGE: usize = 1000;
/// Largest number of captions, and of rows of a metadata file. An archive with more could not be
/// opened, because the size of its index is limited too.
pub(super) const MAX_IN_TOTAL: usize = 10_000_000;

/// The names of the files beside the image `name` that may contain its captions, in the order in
/// which they are looked for.
pub(super) fn files_beside(name: &str) -> impl Iterator<Item = String> {
    let stem = stem(name);
    // Windows and cameras write extensions in capitals.
    [
        (stem, ["txt", "TXT", "Txt"]),
        (stem, ["caption", "CAPTION", "Caption"]),
        (name, ["txt", "TXT", "Txt"]),
    ]
    .into_iter()
    .flat_map(|(base, extensions)| extensions.map(|extension| format!("{base}.{extension}")))
}

/// Whether a file may contain the captions of one image, by its name.
pub(super) fn is_caption_file(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.ends_with(".txt") || name.ends_with(".caption")
}

/// The captions in file number `at`, one per line.
///
/// # Errors
/// Why they cannot be read, as a phrase for a list of skipped files.
pub(super) fn read(tree: &Tree, at: usize) -> std::result::Result<Vec<String>, String> {
    let refused = |reason: &str| format!("captions {reason}; the image is kept without them");
    let bytes =
        tree.read_text(at).map_err(|reason| refused(&format!("cannot be used: {reason}")))?;
    let text =
        String::from_utf8(bytes).map_err(|_| refused("are not UTF-8; save the file as UTF-8"))?;
    let captions: Vec<String> =
        text.lines().filter_map(clean_caption).take(MAX_PER_IMAGE + 1).collect();
    if captions.len() > MAX_PER_IMAGE {
        return Err(refused(&format!("cannot be used: there are more than {MAX_PER_IMAGE}")));
    }
    Ok(captions)
}

/// Checks the number of captions of a source.
///
/// # Errors
/// A user error if there are too many.
pub(super) fn check_total(tree: &Tree, count: usize) -> Result<()> {
    if count <= MAX_IN_TOTAL {
        return Ok(());
    }
    Err(Error::user(format!("{}: has more than {MAX_IN_TOTAL} captions", tree.src().display()))
        .hint("prepare the source in parts"))
}

/// Removes control characters, replacement characters (CUB's captions contain some) and repeated
/// spaces; None if nothing is left.
pub(super) fn clean_caption(line: &str) -> Option<String> {
    let odd = |c: char| c.is_control() || c == '\u{fffd}' || c == '\u{feff}';
    let spaced = line.replace(odd, " ");
    let caption = spaced.split_whitespace().collect::<Vec<_>>().join(" ");
    (!caption.is_empty()).then_some(caption)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn captions_are_cleaned() {
        assert_eq!(
            clean_caption("\u{feff}a  red\u{fffd}\u{fffd}bird\t\r"),
            Some("a red bird".into())
        );
        assert_eq!(clean_caption(" \t"), None);
    }
}
