//! `--out` of an archive: where it may be written.

use std::fs;
use std::path::Path;

use crate::data::manifest::{self, MANIFEST_FILE};
use crate::data::zip_file;
use crate::error::{Error, Result};
use crate::output::destination;

/// Checks that an archive may be written to `path`. The only file that it may replace is another
/// archive of cigan: anything else may be somebody's original.
///
/// # Errors
/// If `path` is a folder, a device or another file, if it names none, or if its name does not end in `.zip`.
pub(crate) fn check(path: &Path) -> Result<()> {
    let refused = |found: &str, hint: &str| {
        Err(Error::user(format!("--out {}: {found}", path.display())).hint(hint))
    };
    let name = "give the name of the file to write, such as birds.zip";
    let leads_to = destination(path);
    if leads_to.is_dir() {
        return refused("is a folder", name);
    }
    // Renaming would replace /dev/null by a file.
    if fs::metadata(&leads_to).is_ok_and(|found| !found.is_file()) {
        return refused("is not a regular file", name);
    }
    if path.file_name().is_none() {
        return refused("names no file", name);
    }
    if leads_to.exists() && !is_archive(&leads_to) {
        return refused(
            "exists and is not an archive of cigan, so it is not replaced",
            "give another name, or remove the file first",
        );
    }
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
    if !extension.eq_ignore_ascii_case("zip") {
        return refused("archives are zip files", "give a name that ends in .zip");
    }
    Ok(())
}

/// Checks that writing to `path` does not replace the source `src`.
///
/// # Errors
/// If they are the same file.
pub(crate) fn check_apart(path: &Path, src: &Path) -> Result<()> {
    match (destination(path).canonicalize(), src.canonicalize()) {
        (Ok(out), Ok(source)) if out == source => {
            Err(Error::user(format!("--out {}: is SRC itself", path.display()))
                .hint("give another name; the source stays as it is"))
        }
        _ => Ok(()),
    }
}

/// Whether a file is an archive of cigan.
fn is_archive(path: &Path) -> bool {
    let Ok(mut zip) = zip_file::open(path) else { return false };
    zip.index_for_name(MANIFEST_FILE).is_some_and(|entry| {
        zip_file::read_entry(&mut zip, path, entry, manifest::MAX_BYTES)
            .is_ok_and(|json| manifest::is_ours(&json))
    })
}
