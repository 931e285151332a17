//! Listing a folder.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use super::names::{in_icloud, is_hidden_image, is_ignored};
use super::{Entry, Place, SHARED, Tree};
use crate::data::formats::is_image_name;
use crate::data::record::Skipped;
use crate::error::{Error, Result};

/// Why the file of a placeholder is not used.
const IN_ICLOUD: &str =
    "is in iCloud, not on this computer; download it in the Finder, and prepare SRC again";

/// Adds the files of `folder`, at any depth, to `tree`; `prefix` starts their names.
///
/// Links are followed inside the folder only: what a link outside of it shows is not part of the
/// source, just as a path with `..` is not.
pub(super) fn scan(folder: &Path, prefix: &str, tree: &mut Tree) -> Result<()> {
    let root = folder.canonicalize().map_err(|e| Error::io(folder, "read", e))?;
    let entries = fs::read_dir(folder).map_err(|e| Error::io(folder, "list", e))?;
    // A name that states its place needs no path of its own.
    let below = prefix.is_empty();
    let mut scan = Scan {
        root: root.clone(),
        prefix: prefix.to_owned(),
        below,
        folders: Vec::new(),
        links: BTreeSet::new(),
        tree,
    };
    // The folders that were listed, by their paths without links, and their names.
    let mut seen = HashMap::from([(root.clone(), prefix.trim_end_matches('/').to_owned())]);
    scan.folder(entries, &root, prefix);
    // Links come last, so that a folder that is reached twice keeps its own name.
    loop {
        let (real, name, linked) = match scan.folders.pop() {
            Some((real, name)) => (real, name, false),
            None => match scan.links.pop_first() {
                Some((name, real)) => (real, name, true),
                None => return Ok(()),
            },
        };
        // Links may form cycles.
        if let Some(own) = seen.get(&real) {
            if linked {
                scan.tree.linked_folders.push((name, own.clone()));
            }
            continue;
        }
        match fs::read_dir(&real) {
            Ok(entries) => {
                scan.folder(entries, &real, &format!("{name}/"));
                seen.insert(real, name);
            }
            Err(e) => scan.problem(&name, format!("the folder cannot be listed: {e}")),
        }
    }
}

struct Scan<'a> {
    root: PathBuf,
    /// The beginning of all names.
    prefix: String,
    below: bool,
    /// Folders that are not listed yet: their paths, which contain no links, and their names.
    folders: Vec<(PathBuf, String)>,
    /// Links to folders: their names, and the paths of the folders.
    links: BTreeSet<(String, PathBuf)>,
    tree: &'a mut Tree,
}

impl Scan<'_> {
    fn problem(&mut self, name: &str, reason: impl Into<String>) {
        self.tree.problems.push(Skipped::new(name, reason));
    }

    /// Adds what is in the folder with the path `real`, which contains no links.
    fn folder(&mut self, entries: fs::ReadDir, real: &Path, prefix: &str) {
        for entry in entries {
            match entry {
                Ok(entry) => self.entry(&entry, real, prefix),
                Err(e) => {
                    let name = if prefix.is_empty() { "." } else { prefix };
                    self.problem(name, format!("the folder cannot be listed completely: {e}"));
                }
            }
        }
    }

    fn entry(&mut self, entry: &fs::DirEntry, folder: &Path, prefix: &str) {
        let path = entry.path();
        let name = match entry.file_name().into_string() {
            Ok(name) => name,
            Err(name) => {
                let name = name.to_string_lossy();
                if path.is_dir() || is_image_name(&name) {
                    self.problem(&format!("{prefix}{name}"), "the name is not UTF-8");
                }
                return;
            }
        };
        // Programs that unpack a zip made on Windows sometimes leave `\` in names.
        let full = format!("{prefix}{name}").replace('\\', "/");
        if full[prefix.len()..].split('/').any(is_ignored) {
            if let Some(file) = in_icloud(&name) {
                self.problem(&format!("{prefix}{file}"), IN_ICLOUD);
            } else if path.is_dir() || is_hidden_image(&full) {
                self.tree.ignored.push(full);
            }
            return;
        }
        let kind = match entry.file_type() {
            Ok(kind) => kind,
            Err(e) => return self.problem(&full, format!("cannot be read: {e}")),
        };
        let mut target = None;
        let (is_dir, is_file) = if kind.is_symlink() {
            match path.canonicalize().and_then(|real| Ok((fs::metadata(&real)?, real))) {
                Ok((_, real)) if !real.starts_with(&self.root) => {
                    self.tree.include_link(&self.root, &real);
                    return self.problem(&full, "is a link that leads out of SRC");
                }
                Ok((info, real)) => {
                    target = Some(real);
                    (info.is_dir(), info.is_file())
                }
                Err(e) => return self.problem(&full, format!("is a broken link: {e}")),
            }
        } else {
            (kind.is_dir(), kind.is_file())
        };
        if is_dir {
            match target {
                Some(real) => _ = self.links.insert((full, real)),
                None => self.folders.push((folder.join(&name), full)),
            }
        } else if is_file {
            let stated = self.below && !name.contains('\\');
            let place = if stated { Place::Below } else { Place::At(path.into()) };
            let link_to = target.and_then(|real| {
                let inner = real.strip_prefix(&self.root).ok()?.to_str()?.replace('\\', "/");
                Some(format!("{}{inner}", self.prefix).into())
            });
            let link_to = link_to.or_else(|| shared_file(entry, &name));
            self.tree.entries.push(Entry { name: full, place, link_to });
        } else {
            self.problem(&full, "is not a regular file");
        }
    }
}

/// The mark of an image that has several names on the disk (hard links), which all of them share.
/// Texts may be shared: each name is read on its own.
#[cfg(unix)]
fn shared_file(entry: &fs::DirEntry, name: &str) -> Option<Box<str>> {
    use std::os::unix::fs::MetadataExt;
    if !is_image_name(name) {
        return None;
    }
    let info = entry.metadata().ok().filter(|info| info.is_file() && info.nlink() > 1)?;
    Some(format!("{SHARED}{}:{}", info.dev(), info.ino()).into())
}

#[cfg(not(unix))]
fn shared_file(_: &fs::DirEntry, _: &str) -> Option<Box<str>> {
    None
}
