//! Names of files in a tree: relative paths with `/`.

use unicode_normalization::{UnicodeNormalization, is_nfc};

use crate::data::formats::is_image_name;

/// Names of folders that systems and tools create beside images, in lower case. Hidden folders are
/// ignored too.
const SYSTEM_FOLDERS: &[&str] = &[
    "__macosx",
    "__pycache__",
    "system volume information",
    "lost+found",
    "node_modules",
    "network trash folder",
    "temporary items",
    // Recycle bins and snapshots of Windows and of network storage.
    "$recycle.bin",
    "recycler",
    "recycled",
    "#recycle",
    "@recycle",
    "#snapshot",
    "~snapshot",
    "@recently-snapshot",
    "@eadir",
];

/// Whether a file or folder is hidden or belongs to the system.
pub(crate) fn is_ignored(component: &str) -> bool {
    component.starts_with('.')
        || SYSTEM_FOLDERS.iter().any(|folder| folder.eq_ignore_ascii_case(component))
}

/// Whether a hidden file is an image, by its name. Those of macOS that begin with `._` are not: they
/// contain the properties of another file.
pub(super) fn is_hidden_image(name: &str) -> bool {
    let shown = file_name(name).strip_prefix('.');
    shown.is_some_and(|shown| !shown.starts_with('_') && is_image_name(shown))
}

/// The name of the file that a placeholder of iCloud stands for: `b.png` for `.b.png.icloud`.
pub(super) fn in_icloud(name: &str) -> Option<&str> {
    let name = name.strip_prefix('.')?.strip_suffix(".icloud")?;
    (!name.is_empty()).then_some(name)
}

/// The composed form (NFC) of a name; None if it is composed already. macOS writes names in the
/// decomposed form, other systems in the composed one.
pub(super) fn composed(name: &str) -> Option<String> {
    (!is_nfc(name)).then(|| name.nfc().collect())
}

/// The last part of a path.
pub(crate) fn file_name(name: &str) -> &str {
    name.rsplit_once('/').map_or(name, |(_, last)| last)
}

/// The folder of a file; `""` if it is the source itself.
pub(crate) fn parent(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// A path without its extension.
pub(crate) fn stem(name: &str) -> &str {
    match file_name(name).rfind('.') {
        Some(at) if at > 0 => &name[..name.len() - (file_name(name).len() - at)],
        _ => name,
    }
}

/// Whether a path starts at the root of a file system: `/a`, or `C:/a` on Windows.
pub(super) fn is_absolute(path: &str) -> bool {
    let bytes = path.as_bytes();
    path.starts_with('/')
        || (matches!(bytes, [drive, b':', b'/' | b'\\', ..] if drive.is_ascii_alphabetic()))
}

/// Joins a folder and a relative path, and resolves `.` and `..`; None if the result would be
/// outside of the source.
pub(super) fn join(folder: &str, path: &str) -> Option<String> {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                // Attached folders have names that start with `..`.
                if parts.pop().is_none_or(|part| part == "..") {
                    return None;
                }
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// The path relative to `root`, if it is below.
pub(super) fn strip(path: &str, root: &str) -> Option<String> {
    let root = root.replace('\\', "/");
    let path = path.replace('\\', "/");
    let root: String = root.trim_start_matches("//?/").trim_end_matches('/').nfc().collect();
    let path: String = path.nfc().collect();
    join("", path.strip_prefix(&root)?.strip_prefix('/')?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_names() {
        assert_eq!((parent("a/b/c.png"), file_name("a/b/c.png")), ("a/b", "c.png"));
        assert_eq!((parent("c.png"), file_name("c.png")), ("", "c.png"));
        assert_eq!(
            (stem("a.b/c.tar.gz"), stem("a.b/c"), stem(".hidden")),
            ("a.b/c.tar", "a.b/c", ".hidden")
        );
    }

    #[test]
    fn joined_paths_stay_inside() {
        assert_eq!(join("a", "./b//c.png").as_deref(), Some("a/b/c.png"));
        assert_eq!(join("a", "../c.png").as_deref(), Some("c.png"));
        assert_eq!(join("../text", "x.txt").as_deref(), Some("../text/x.txt"));
        for bad in ["../../c.png", "../../../etc/passwd", "b/../../../c"] {
            assert_eq!(join("a", bad), None, "{bad}");
        }
        assert_eq!(join("../text", "../../x"), None);
    }

    #[test]
    fn absolute_paths_are_made_relative() {
        assert!(is_absolute("/a") && is_absolute("C:\\a") && is_absolute("d:/a"));
        assert!(!is_absolute("a/b") && !is_absolute("a:b") && !is_absolute("1:/b"));
        assert_eq!(strip("/data/photos/a/b.png", "/data/photos/").as_deref(), Some("a/b.png"));
        assert_eq!(strip("C:\\data\\b.png", "C:\\data").as_deref(), Some("b.png"));
        assert_eq!(strip("/data/photos2/b.png", "/data/photos"), None);
        assert_eq!(strip("/data/photos/../b.png", "/data/photos"), None);
    }
}
