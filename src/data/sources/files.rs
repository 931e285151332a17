//! Helpers that several layouts need: index files, captions, paths.

use std::fs;
use std::path::{Component, Path, PathBuf};

use crate::error::{Error, Result};

/// Appends a path from a data file to `folder`; None if the result would be outside of it.
pub(super) fn join_below(folder: &Path, relative: &str) -> Option<PathBuf> {
    let relative = Path::new(relative);
    let below =
        relative.components().all(|c| matches!(c, Component::Normal(_) | Component::CurDir));
    (below && relative.file_name().is_some()).then(|| folder.join(relative))
}

/// Reads a UTF-8 file, without its byte order mark.
pub(super) fn read_text(path: &Path) -> Result<String> {
    let bytes = fs::read(path).map_err(|e| Error::io(path, "read", e))?;
    let text = String::from_utf8(bytes)
        .map_err(|e| Error::user(format!("{}: is not UTF-8 ({e})", path.display())))?;
    Ok(text.trim_start_matches('\u{feff}').to_owned())
}

/// The captions in a file with one caption per line; None if there is no such file.
///
/// # Errors
/// Why the captions cannot be read, as a phrase for a list of skipped files.
pub(super) fn caption_file(path: &Path) -> Result<Option<Vec<String>>, String> {
    match fs::read(path) {
        Ok(bytes) => match String::from_utf8(bytes) {
            Ok(text) => Ok(Some(text.lines().filter_map(clean_caption).collect())),
            Err(_) => Err("captions are not UTF-8; the image is kept without them".into()),
        },
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(format!("captions cannot be read ({e}); the image is kept without them")),
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

    #[test]
    fn paths_cannot_leave_the_folder() {
        let below = Path::new("root");
        assert_eq!(join_below(below, "a/b.jpg"), Some("root/a/b.jpg".into()));
        for bad in ["../b.jpg", "/etc/passwd", "a/../../b.jpg", "", "."] {
            assert_eq!(join_below(below, bad), None, "{bad}");
        }
    }
}
