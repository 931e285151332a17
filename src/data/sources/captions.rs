//! Captions: cleaning them, and reading text files with one caption per line.

use super::tree::{Tree, stem};

/// The names of the files beside the image `name` that may contain its captions, in the order in
/// which they are looked for.
pub(super) fn files_beside(name: &str) -> [String; 3] {
    let stem = stem(name);
    [format!("{stem}.txt"), format!("{stem}.caption"), format!("{name}.txt")]
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
pub(super) fn read(tree: &Tree, at: usize) -> Result<Vec<String>, String> {
    let bytes = tree.read_text(at).map_err(|reason| {
        format!("captions cannot be used: {reason}; the image is kept without them")
    })?;
    match String::from_utf8(bytes) {
        Ok(text) => Ok(text.lines().filter_map(clean_caption).collect()),
        Err(_) => Err("captions are not UTF-8; the image is kept without them".into()),
    }
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
