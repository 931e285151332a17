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

/// Endings of files. A folder with such a name is a mistake: the user expects a file of that format.
const FILES: [&str; 44] = [
    "apng",
    "avi",
    "avif",
    "bmp",
    "bz2",
    "csv",
    "doc",
    "docx",
    "gif",
    "gz",
    "h5",
    "heic",
    "htm",
    "html",
    "ico",
    "jp2",
    "jpeg",
    "jpg",
    "json",
    "jsonl",
    "jxl",
    "md",
    "mov",
    "mp4",
    "npz",
    "parquet",
    "pdf",
    "pkl",
    "png",
    "ppm",
    "pt",
    "pth",
    "qoi",
    "safetensors",
    "svg",
    "tar",
    "tga",
    "tif",
    "tiff",
    "toml",
    "txt",
    "webm",
    "webp",
    "zip",
];

/// A path in JSON, which is text. Bytes that are not UTF-8 are replaced.
pub(crate) fn text_of(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// Checks that the name of a folder of results is not that of a file; a folder that exists may have
/// any name.
///
/// # Errors
/// If it ends like a file.
pub(crate) fn check_folder_name(out: &Path) -> Result<()> {
    let ending = out.extension().and_then(|e| e.to_str()).unwrap_or_default();
    let is_file = FILES.iter().any(|other| ending.eq_ignore_ascii_case(other));
    if !is_file || destination(out).exists() {
        return Ok(());
    }
    Err(Error::user(format!(
        "--out {}: the name of a file, but the results are written to a folder",
        out.display()
    ))
    .hint(format!("give a folder, such as --out {}", out.with_extension("").display())))
}

/// Checks that `index.html` in `folder` may be written: there is none, or this program wrote it.
///
/// # Errors
/// If somebody else wrote it.
pub(crate) fn check_page(folder: &Path) -> Result<()> {
    let path = destination(folder).join(PAGE);
    let Ok(about) = fs::metadata(&path) else { return Ok(()) };
    let mut head = Vec::new();
    // Opening a named pipe would wait for a writer.
    let is_read = about.is_file()
        && fs::File::open(&path).and_then(|file| file.take(HEAD).read_to_end(&mut head)).is_ok();
    if is_read && String::from_utf8_lossy(&head).contains(GENERATOR) {
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
    fn folders_are_not_called_like_files() {
        let dir = tempfile::tempdir().unwrap();
        let check = |name: &str| check_folder_name(&dir.path().join(name));
        for name in ["mix", "run.2", "v1.5", "birds.of.paradise", "..", "pdf"] {
            check(name).unwrap();
        }
        for name in ["mix.pdf", "mix.PNG", "a/b.html", "x.safetensors"] {
            let error = check(name).unwrap_err();
            assert!(error.message.contains(name), "{error}");
            let stem = name.rsplit_once('.').unwrap().0;
            assert!(error.hint.unwrap().ends_with(stem), "{name}");
        }
        fs::create_dir(dir.path().join("old.png")).unwrap();
        check("old.png").unwrap();
        assert!(FILES.is_sorted(), "{FILES:?}");
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
