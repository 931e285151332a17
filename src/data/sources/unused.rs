//! Files that a source contains but that are not used, so that nothing is lost silently.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::captions::is_caption_file;
use super::listing::Listing;
use super::split_names;
use super::tables;
use super::tree::{Tree, file_name, stem};
use crate::data::formats::{self, extension};
pub(super) use crate::data::name_lists::few;

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
const TABLES: &[&str] = &[
    "csv",
    "tsv",
    "json",
    "jsonl",
    "json1",
    "jsonlines",
    "ndjson",
    "xlsx",
    "xls",
    "ods",
    "token",
    "doc",
    "docx",
    "odt",
    "rtf",
    "srt",
    "vtt",
];
/// Extensions of files that list names.
const LISTS: &[&str] = &["txt", "lst", "list", "csv", "tsv", "json", "jsonl"];
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
/// Number of files with one unknown extension that are opened without finding an image, before the
/// other files with this extension are no longer opened.
const SNIFFED: usize = 200;

/// Whether the name of a file says that it contains captions or classes.
fn is_about_images(name: &str) -> bool {
    let stem = stem(file_name(name)).to_lowercase();
    WORDS.iter().any(|word| stem.contains(word))
}

/// A number with its noun: `1 image`, `3 images`.
pub(super) fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// Adds the files of `tree` that are not in `used` to the skipped files or the notes of `listing`.
/// Documentation, programs and the like are not mentioned.
pub(super) fn report(tree: &Tree, used: &BTreeSet<usize>, listing: &mut Listing) {
    let (mut containers, mut tables, mut texts, mut videos) = (vec![], vec![], vec![], vec![]);
    // Captions of other tools: NAME.cap, NAME.tags, NAME.xml.
    let stems: HashSet<String> = used
        .iter()
        .map(|&at| tree.name(at))
        .filter(|name| formats::is_image_name(name))
        .map(|name| stem(name).to_lowercase())
        .collect();
    let (mut beside, mut lists, mut others) = (vec![], vec![], vec![]);
    let mut pictures = Pictures::default();
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
        } else if (extension.is_none() || is_one_of(LISTS)) && names_split(name) {
            lists.push(name.to_owned());
        } else if is_one_of(TABLES)
            || is_text_table(name)
            || (extension.is_none() || is_one_of(PLAIN)) && is_about_images(name)
        {
            tables.push(name.to_owned());
        } else if is_caption_file(name) {
            texts.push(name.to_owned());
        } else if is_one_of(VIDEOS) {
            videos.push(name.to_owned());
        } else if stems.contains(&stem(name).to_lowercase()) {
            beside.push(name.to_owned());
        } else if let Some(usual) = pictures.extension(tree, at) {
            listing.skip(
                name,
                format!("is an image, but its name does not end in .{usual}; rename it"),
            );
        } else if extension.is_some() && !is_one_of(PLAIN) {
            others.push(name.to_owned());
        }
    }
    let mut note =
        |names: Vec<String>, what: &str, advice: &str| listing.remark(what, &names, advice);
    note(
        containers,
        "not read, because they are packed",
        "extract or convert them, and prepare SRC again",
    );
    note(
        lists,
        "not read, though they have the names of splits",
        "images that they list are in train, unless a folder or the column `split` of metadata.csv \
         states otherwise; captions are read from metadata.csv or NAME.txt",
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
    note(others, "not read, because they have unknown extensions", "");
    listing.remark("hidden and system files are ignored", &tree.ignored, "");
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
    let format = listing.format.name();
    let images = counted(names.len(), "image");
    listing.remark(
        &format!("not used, because the layout {format} does not list or leaves out {images}"),
        &names,
        "--format folder uses all images",
    );
    let tables: Vec<String> = (0..tree.len())
        .filter(|&at| !used.contains(&at))
        .filter(|&at| tables::is_metadata(tree.name(at)) || tables::is_caption_table(tree, at))
        .map(|at| tree.name(at).to_owned())
        .collect();
    listing.remark(
        &format!("not used, because the layout {format} has captions of its own"),
        &tables,
        "--format folder reads them",
    );
}

/// Whether the name of a file is that of a split: `ImageSets/test.txt`, `val_list.txt`.
fn names_split(name: &str) -> bool {
    split_names::part(stem(file_name(name))).is_some()
}

/// Whether a file contains other files, by its name.
pub(super) fn is_packed(name: &str) -> bool {
    extension(name).is_some_and(|extension| CONTAINERS.contains(&extension.as_str()))
}

/// Whether the name of a text file suggests captions of many images.
fn is_text_table(name: &str) -> bool {
    let name = file_name(name).to_ascii_lowercase();
    name.ends_with(".txt")
        && ["caption", "metadata", "prompt", "annotation", "description", "sentence", "label"]
            .iter()
            .any(|word| name.contains(word))
}

/// The names of images that do not end like those of images.
pub(super) fn unnamed_pictures(tree: &Tree) -> Vec<String> {
    let mut pictures = Pictures::default();
    let found = (0..tree.len()).filter(|&at| pictures.extension(tree, at).is_some());
    found.map(|at| tree.name(at).to_owned()).collect()
}

/// Looks for images among files with unknown extensions.
#[derive(Default)]
struct Pictures {
    /// Number of opened files that are not images, by extension.
    others: HashMap<Option<String>, usize>,
}

impl Pictures {
    /// The usual extension of the image in a file; None if it is not an image.
    fn extension(&mut self, tree: &Tree, at: usize) -> Option<&'static str> {
        let extension = extension(tree.name(at));
        if extension.as_deref().is_some_and(|extension| PLAIN.contains(&extension)) {
            return None;
        }
        let others = self.others.entry(extension).or_default();
        if *others >= SNIFFED {
            return None;
        }
        let format = image::guess_format(&tree.head(at, 64)).ok();
        let usual = format.and_then(|format| format.extensions_str().first().copied());
        *others += usize::from(usual.is_none());
        usual
    }
}
