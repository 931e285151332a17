//! Files that a source contains but that are not used, so that nothing is lost silently.

use std::collections::{BTreeSet, HashSet};

use super::captions::is_caption_file;
use super::listing::Listing;
use super::tables;
use super::tree::{Tree, file_name, stem};
use crate::data::formats::{self, extension};

/// Number of names that a remark states before it counts the rest.
const NAMES: usize = 5;
/// Extensions of files that contain other files, or data in a form that is not read.
const CONTAINERS: &[&str] = &[
    "zip",
    "tar",
    "tgz",
    "gz",
    "bz2",
    "xz",
    "zst",
    "7z",
    "rar",
    "parquet",
    "arrow",
    "feather",
    "tfrecord",
    "tfrecords",
    "h5",
    "hdf5",
    "npz",
    "npy",
    "mat",
    "mdb",
    "lmdb",
];
/// Extensions of tables and other files that may contain captions.
const TABLES: &[&str] =
    &["csv", "tsv", "json", "jsonl", "json1", "jsonlines", "ndjson", "xlsx", "xls", "ods", "token"];
/// Extensions of videos.
const VIDEOS: &[&str] = &["mp4", "mov", "m4v", "avi", "mkv", "webm", "mpg", "mpeg", "wmv", "flv"];

/// Extensions of files that are certainly not images.
const PLAIN: &[&str] = &[
    "xml",
    "yaml",
    "yml",
    "toml",
    "ini",
    "md",
    "rst",
    "html",
    "htm",
    "css",
    "js",
    "py",
    "ipynb",
    "sh",
    "pdf",
    "log",
    "lock",
    "pt",
    "pth",
    "ckpt",
    "safetensors",
    "bin",
    "pkl",
    "pickle",
    "db",
    "partial",
];
/// Words in the names of files that contain captions or classes in a form that is not read.
const WORDS: &[&str] =
    &["caption", "annotation", "metadata", "label", "prompt", "description", "sentence"];
/// Number of files of unknown kinds that are opened to see whether they are images.
const SNIFFED: usize = 1000;

/// Whether the name of a file says that it contains captions or classes.
fn is_about_images(name: &str) -> bool {
    let stem = stem(file_name(name)).to_lowercase();
    WORDS.iter().any(|word| stem.contains(word))
}

/// The first of `names` and the number of the others: `a, b, c, and 7 more`.
pub(super) fn few(names: &[String], total: usize) -> String {
    let shown = names.len().min(NAMES);
    let list = names[..shown].join(", ");
    match total - shown {
        0 => list,
        more => format!("{list}, and {more} more"),
    }
}

/// A number with its noun: `1 image`, `3 images`.
pub(super) fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// Adds the files of `tree` that are not in `used` to the skipped files or the notes of `listing`.
/// Files that have nothing to do with images or captions are not mentioned.
pub(super) fn report(tree: &Tree, used: &BTreeSet<usize>, listing: &mut Listing) {
    let (mut containers, mut tables, mut texts, mut videos) = (vec![], vec![], vec![], vec![]);
    // Captions of other tools: NAME.cap, NAME.tags, NAME.xml.
    let stems: HashSet<String> = used
        .iter()
        .map(|&at| tree.name(at))
        .filter(|name| formats::is_image_name(name))
        .map(|name| stem(name).to_lowercase())
        .collect();
    let mut beside = Vec::new();
    let mut opened = 0;
    for at in (0..tree.len()).filter(|at| !used.contains(at)) {
        let name = tree.name(at);
        // Files beside the source belong to it only if the layout uses them.
        if name.starts_with("../") {
            continue;
        }
        if let Some(format) = formats::unreadable_format(name) {
            listing.skip(name, formats::unsupported(format));
            continue;
        }
        let extension = extension(name);
        let is_one_of =
            |list: &[&str]| extension.as_deref().is_some_and(|extension| list.contains(&extension));
        if is_packed(name) {
            containers.push(name.to_owned());
        } else if is_one_of(TABLES)
            || is_text_table(name)
            || (is_one_of(PLAIN) && is_about_images(name))
        {
            tables.push(name.to_owned());
        } else if is_caption_file(name) {
            texts.push(name.to_owned());
        } else if is_one_of(VIDEOS) {
            videos.push(name.to_owned());
        } else if stems.contains(&stem(name).to_lowercase()) {
            beside.push(name.to_owned());
        } else if opened < SNIFFED && !is_one_of(PLAIN) {
            opened += 1;
            if let Some(usual) = picture_extension(tree, at) {
                listing.skip(
                    name,
                    format!("is an image, but its name does not end in .{usual}; rename it"),
                );
            }
        }
    }
    let mut note = |names: Vec<String>, what: &str, advice: &str| {
        if !names.is_empty() {
            listing.notes.push(format!("{what}: {}; {advice}", few(&names, names.len())));
        }
    };
    note(
        containers,
        "not read, because they are packed",
        "extract or convert them, and prepare SRC again",
    );
    note(
        tables,
        "not read, though they may contain captions",
        "captions are read from metadata.jsonl, metadata.csv (with the columns file_name and text) \
         or NAME.txt",
    );
    note(
        beside,
        "not read, though they have the names of images",
        "captions of NAME.jpg are in NAME.txt beside it, and classes in the column `label` of \
         metadata.csv",
    );
    note(
        texts,
        "text files that belong to no image",
        "captions of NAME.jpg are in NAME.txt beside it",
    );
    note(videos, "videos are not read", "extract their frames as PNG or JPEG files");
    if !tree.ignored.is_empty() {
        let folders = few(&tree.ignored, tree.ignored.len());
        listing.notes.push(format!("hidden and system folders are ignored: {folders}"));
    }
}

/// Adds notes about images and tables of captions that are in a source but that its layout does not
/// use.
pub(super) fn report_pictures(tree: &Tree, used: &BTreeSet<usize>, listing: &mut Listing) {
    let names: Vec<String> = (0..tree.len())
        .filter(|at| !used.contains(at))
        .map(|at| tree.name(at))
        .filter(|name| formats::is_image_name(name) || formats::unreadable_format(name).is_some())
        .map(str::to_owned)
        .collect();
    if !names.is_empty() {
        listing.notes.push(format!(
            "not used, because the layout {} does not list {}: {}; --format folder uses all images",
            listing.format.name(),
            counted(names.len(), "image"),
            few(&names, names.len())
        ));
    }
    let tables: Vec<String> = (0..tree.len())
        .filter(|&at| !used.contains(&at))
        .filter(|&at| tables::is_metadata(tree.name(at)) || tables::is_caption_table(tree, at))
        .map(|at| tree.name(at).to_owned())
        .collect();
    if !tables.is_empty() {
        listing.notes.push(format!(
            "not used, because the layout {} has captions of its own: {}; --format folder reads \
             them",
            listing.format.name(),
            few(&tables, tables.len())
        ));
    }
}

/// Whether a file contains other files, by its name.
pub(super) fn is_packed(name: &str) -> bool {
    extension(name).is_some_and(|extension| CONTAINERS.contains(&extension.as_str()))
}

/// Whether the name of a text file promises captions of many images.
fn is_text_table(name: &str) -> bool {
    let name = file_name(name).to_ascii_lowercase();
    name.ends_with(".txt")
        && ["caption", "metadata", "prompt", "annotation", "description", "sentence", "label"]
            .iter()
            .any(|word| name.contains(word))
}

/// The usual extension of the image in a file; None if it is not an image.
fn picture_extension(tree: &Tree, at: usize) -> Option<&'static str> {
    let format = image::guess_format(&tree.head(at, 64)).ok()?;
    format.extensions_str().first().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_names_are_shown_and_the_others_counted() {
        let names: Vec<String> = (0..8).map(|i| format!("f{i}")).collect();
        assert_eq!(few(&names[..2], 2), "f0, f1");
        assert_eq!(few(&names[..5], 5), "f0, f1, f2, f3, f4");
        assert_eq!(few(&names, 8), "f0, f1, f2, f3, f4, and 3 more");
        assert_eq!(few(&names[..1], 4), "f0, and 3 more");
    }
}
