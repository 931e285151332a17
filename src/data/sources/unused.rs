//! Files that a source contains but that are not used, so that nothing is lost silently.

use std::collections::{BTreeSet, HashSet};

use super::captions::is_caption_file;
use super::listing::Listing;
use super::split_names;
use super::tables;
use super::tree::{Tree, file_name, stem};
use crate::data::formats::{self, Unnamed, extension};
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
/// Number of files of a source that are opened to see whether they are images.
const SNIFFED: usize = 100_000;

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
        if let Some(found) = pictures.find(tree, at) {
            listing.skip(name, found.reason());
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
    pictures.remark(listing);
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
    let mut pictures = Pictures::default();
    for at in (0..tree.len()).filter(|at| !used.contains(at)) {
        let name = tree.name(at);
        let named = formats::is_image_name(name)
            || formats::unreadable_format(name).is_some()
            || name.starts_with("../");
        if let Some(found) = (!named).then(|| pictures.find(tree, at)).flatten() {
            listing.skip(name, found.reason());
        }
    }
    pictures.remark(listing);
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
#[derive(Default)]
pub(super) struct UnnamedPictures {
    /// Those that can be read.
    pub readable: Vec<String>,
    /// Those of formats that cannot be read.
    pub unreadable: Vec<String>,
    /// Number of files that were not opened, because there are too many.
    pub unopened: usize,
}

impl UnnamedPictures {
    /// Looks at all files of a tree whose names are not those of images.
    pub fn of(tree: &Tree) -> Self {
        let (mut found, mut pictures) = (Self::default(), Pictures::default());
        let unknown = |at: &usize| formats::unreadable_format(tree.name(*at)).is_none();
        for at in (0..tree.len()).filter(unknown) {
            match pictures.find(tree, at) {
                Some(Unnamed::Readable(_)) => found.readable.push(tree.name(at).to_owned()),
                Some(Unnamed::Unreadable(_)) => found.unreadable.push(tree.name(at).to_owned()),
                None => {}
            }
        }
        found.unopened = pictures.unopened.len();
        found
    }
}

/// Looks for images among files whose names are not those of images.
#[derive(Default)]
struct Pictures {
    /// Number of files that were opened.
    opened: usize,
    /// Names of files that were not opened, because there are too many.
    unopened: Vec<String>,
}

impl Pictures {
    /// The image in a file; None if it is something else.
    fn find(&mut self, tree: &Tree, at: usize) -> Option<Unnamed> {
        if self.opened >= SNIFFED {
            self.unopened.push(tree.name(at).to_owned());
            return None;
        }
        self.opened += 1;
        formats::unnamed(&tree.head(at, formats::UNNAMED_HEAD))
    }

    /// Adds the remark about files that were not opened.
    fn remark(&self, listing: &mut Listing) {
        listing.remark(
            &format!("not opened after {SNIFFED} others, so images among them are not noticed"),
            &self.unopened,
            "",
        );
    }
}
