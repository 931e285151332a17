//! Paths that the user names for results: where they lead, and which pages may be replaced there.

use std::fs;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

use crate::error::{Error, Result};

/// Name of a page.
pub(crate) const PAGE: &str = "index.html";
/// Part of every page that this program writes.
const GENERATOR: &str = "<meta name=\"generator\" content=\"cigan\">";
/// Number of bytes at the start of a page that contain [`GENERATOR`].
const HEAD: u64 = 4096;

/// The path that `path` leads to once its missing folders exist.
///
/// `new/../notes.txt` names no file as long as there is no folder `new`, and `notes.txt` afterwards.
/// Outputs are checked before their folders are created, so the check must be about the latter.
pub(crate) fn destination(path: &Path) -> PathBuf {
    let mut found = PathBuf::new();
    let mut missing = 0;
    for component in path.components() {
        match component {
            // The folder will be created, so it is not a link, and `..` leads back.
            Component::ParentDir if missing > 0 => {
                found.pop();
                missing -= 1;
            }
            component => {
                found.push(component);
                if missing > 0 || fs::symlink_metadata(&found).is_err() {
                    missing += 1;
                }
            }
        }
    }
    if found.as_os_str().is_empty() && !path.as_os_str().is_empty() {
        found.push(".");
    }
    found
}

/// Checks that `index.html` in `folder` may be written: there is none, or this program wrote it.
///
/// # Errors
/// If somebody else wrote it.
pub(crate) fn check_page(folder: &Path) -> Result<()> {
    let path = destination(folder).join(PAGE);
    let Ok(file) = fs::File::open(&path) else { return Ok(()) };
    let mut head = Vec::new();
    let read = file.take(HEAD).read_to_end(&mut head);
    if read.is_ok() && String::from_utf8_lossy(&head).contains(GENERATOR) {
        return Ok(());
    }
    Err(Error::user(format!(
        "--out {}: holds {PAGE}, which is not a page of cigan, so it is not replaced",
        folder.display()
    ))
    .hint("give another folder"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_folders_lead_back_and_existing_ones_are_left_to_the_system() {
        let dir = tempfile::tempdir().unwrap();
        let at = |path: &str| dir.path().join(path);
        fs::create_dir_all(at("real/inner")).unwrap();
        for (path, expected) in [
            ("new/../notes.txt", "notes.txt"),
            ("new/deep/../../notes.txt", "notes.txt"),
            ("new/../real/notes.txt", "real/notes.txt"),
            ("new/../real/../notes.txt", "real/../notes.txt"),
            ("real/new/../notes.txt", "real/notes.txt"),
            ("real/inner/../notes.txt", "real/inner/../notes.txt"),
            ("new/notes.txt", "new/notes.txt"),
        ] {
            assert_eq!(destination(&at(path)), at(expected), "{path}");
        }
        assert_eq!(destination(Path::new("no-such-folder/..")), Path::new("."));
        assert_eq!(destination(Path::new("")), Path::new(""));
    }

    #[test]
    fn pages_of_others_are_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        check_page(dir.path()).unwrap();
        fs::write(dir.path().join(PAGE), "<html><head><title>My site</title>").unwrap();
        let error = check_page(&dir.path().join("new/..")).unwrap_err();
        assert!(error.message.contains(PAGE), "{error}");
        fs::write(dir.path().join(PAGE), crate::report::Page::new("x").html()).unwrap();
        check_page(dir.path()).unwrap();
    }
}
