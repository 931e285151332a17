//! Captions: cleaning them, and reading text files with one caption per line.

use super::tree::{Tree, stem};
use crate::data::text;
use crate::error::{Error, Result};

pub(super) use crate::data::record::MAX_CAPTIONS as MAX_PER_IMAGE;

/// Longest caption in bytes. The longest captions that people and language models write have a
/// tenth of this length.
pub(super) const MAX_LENGTH: usize = 64 << 10;
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

/// The captions of a text file.
#[derive(Debug, Default)]
pub(super) struct Texts {
    pub captions: Vec<String>,
    /// Number of lines that only mark a missing value.
    pub placeholders: usize,
}

/// The captions in file number `at`, one per line.
///
/// # Errors
/// Why they cannot be read, as a phrase for a list of skipped files.
pub(super) fn read(tree: &Tree, at: usize) -> std::result::Result<Texts, String> {
    let refused = |reason: &str| format!("captions {reason}; the image is kept without them");
    let bytes =
        tree.read_text(at).map_err(|reason| refused(&format!("cannot be used: {reason}")))?;
    let text =
        String::from_utf8(bytes).map_err(|_| refused("are not UTF-8; save the file as UTF-8"))?;
    let mut found = Texts::default();
    for line in text::lines(&text) {
        if let Some(reason) = too_long(line) {
            return Err(refused(&format!("cannot be used: the file {reason}")));
        }
        let Some(caption) = clean_caption(line) else { continue };
        if is_placeholder(&caption) {
            found.placeholders += 1;
        } else if found.captions.len() == MAX_PER_IMAGE {
            return Err(refused(&format!("cannot be used: there are more than {MAX_PER_IMAGE}")));
        } else {
            found.captions.push(caption);
        }
    }
    if !found.captions.is_empty() && found.captions.iter().all(|caption| is_numbers(caption)) {
        return Err(refused("cannot be used: they are rows of numbers, such as boxes"));
    }
    Ok(found)
}

/// Whether a text stands for a missing value, as data frames write it.
pub(super) fn is_placeholder(text: &str) -> bool {
    matches!(
        text.trim().to_lowercase().as_str(),
        "nan" | "null" | "none" | "<na>" | "#n/a" | "n/a" | "na"
            // The errors of Excel.
            | "#name?" | "#value!" | "#ref!" | "#div/0!" | "#null!" | "#num!"
    )
}

/// Whether a text is a row of numbers: object detectors have files of boxes beside the images.
fn is_numbers(text: &str) -> bool {
    let mut numbers = text.split([' ', ',', ';']).filter(|part| !part.is_empty());
    let is_number = |part: &str| part.parse::<f64>().is_ok_and(f64::is_finite);
    numbers.clone().count() >= 4 && numbers.all(is_number)
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

/// Why a caption is too long, as a phrase about the place that states it.
pub(super) fn too_long(caption: &str) -> Option<String> {
    let length = caption.len();
    (length > MAX_LENGTH)
        .then(|| format!("has a caption of {length} bytes; the limit is {MAX_LENGTH}"))
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
