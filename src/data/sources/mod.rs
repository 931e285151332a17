//! The layouts in which captioned images are found, all listed as [`SourceItem`]s.
//!
//! Listing reads indices and captions only; pictures are read when they are prepared.

mod cub;
mod folder;
pub(crate) mod official_zip;
mod recipe1m;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path, PathBuf};

use zip::ZipArchive;

use super::archive::{SharedFile, open_zip, read_entry};
use super::crop::BoundingBox;
use super::decode;
use super::record::{Skipped, Split};
use crate::error::{Error, Result};

/// `--format`: the layout of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// Told by what lies in the folder.
    #[default]
    Auto,
    /// CUB-200-2011: `images.txt`, `bounding_boxes.txt`, … and `text/`.
    Cub,
    /// Recipe1M or Recipe1M+: `layer1.json`, `layer2.json`, `det_ingrs.json`.
    Recipe1m,
    /// Any folder of images; captions in `metadata.jsonl`, `metadata.csv` or `NAME.txt`.
    Folder,
    /// A zip of images, such as the official StyleGAN2 dataset tool's or our own.
    Zip,
}

impl Format {
    /// The name used by `--format` and in the archive.
    pub fn name(self) -> &'static str {
        match self {
            Format::Auto => "auto",
            Format::Cub => "cub",
            Format::Recipe1m => "recipe1m",
            Format::Folder => "folder",
            Format::Zip => "zip",
        }
    }

    /// Tells the layout of `src`.
    ///
    /// # Errors
    /// A user error that lists what was looked for.
    pub fn detect(src: &Path) -> Result<Format> {
        if src.is_file() {
            return Ok(Format::Zip);
        }
        if !src.exists() {
            return Err(Error::user(format!("{}: no such file or folder", src.display()))
                .hint("check the path of SRC"));
        }
        if cub::root(src).is_some() {
            Ok(Format::Cub)
        } else if recipe1m::root(src).is_some() {
            Ok(Format::Recipe1m)
        } else if folder::holds_images(src)? {
            Ok(Format::Folder)
        } else {
            Err(Error::user(format!(
                "{}: no known layout; looked for images.txt or CUB_200_2011/images.txt (cub), \
                 layer1.json (recipe1m), metadata.jsonl, metadata.csv or image files ({}) at any \
                 depth (folder), and a zip",
                src.display(),
                IMAGE_EXTENSIONS.join(", ")
            ))
            .hint("check the path of SRC, or say which layout it is with --format"))
        }
    }
}

/// `--cub-split`: which of the two splits in use for CUB is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum CubSplit {
    /// By image, `train_test_split.txt`: 5,994 and 5,794.
    #[default]
    Image,
    /// By class, as text-to-image papers do: 150 classes (8,855) and 50 (2,933); from
    /// `{train,test}/filenames.pickle` or `trainvalclasses.txt` and `testclasses.txt`.
    Class,
}

/// Where the bytes of a picture are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Picture {
    File(PathBuf),
    /// Entry number of the source's zip.
    ZipEntry(usize),
}

/// One image of a source.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceItem {
    /// Unique within the source and stable.
    pub id: String,
    /// What the file is called in messages: its path relative to the source.
    pub name: String,
    pub picture: Picture,
    /// The bounding box, or why it cannot be used. None where the source has no boxes.
    pub bounding_box: Option<Result<BoundingBox, String>>,
    pub split: Split,
    /// Class number, from 0.
    pub label: Option<u32>,
    pub captions: Vec<String>,
    pub phrases: Option<Vec<String>>,
    pub attributes: BTreeMap<String, String>,
}

impl SourceItem {
    fn new(id: impl Into<String>, name: impl Into<String>, picture: Picture) -> Self {
        Self {
            id: id.into(),
            name: name.into(),
            picture,
            bounding_box: None,
            split: Split::Train,
            label: None,
            captions: Vec::new(),
            phrases: None,
            attributes: BTreeMap::new(),
        }
    }
}

/// What a source holds, in a deterministic order.
#[derive(Debug)]
pub struct Listing {
    /// Never [`Format::Auto`].
    pub format: Format,
    /// Which rule made the split, for the archive's description.
    pub split_rule: &'static str,
    pub items: Vec<SourceItem>,
    pub class_names: Vec<String>,
    /// Files and captions already found unusable.
    pub skipped: Vec<Skipped>,
    zip: Option<(PathBuf, ZipArchive<SharedFile>)>,
}

impl Listing {
    fn new(format: Format, split_rule: &'static str) -> Self {
        Self {
            format,
            split_rule,
            items: Vec::new(),
            class_names: Vec::new(),
            skipped: Vec::new(),
            zip: None,
        }
    }

    fn skip(&mut self, file: impl Into<String>, reason: impl Into<String>) {
        self.skipped.push(Skipped::new(file, reason));
    }

    /// Whether the source comes with bounding boxes.
    pub fn has_boxes(&self) -> bool {
        self.items.iter().any(|item| item.bounding_box.is_some())
    }

    /// Reads the bytes of an item's picture.
    ///
    /// # Errors
    /// Why it cannot be read, as a phrase for the list of what was skipped.
    pub fn read(&self, item: &SourceItem) -> Result<Vec<u8>, String> {
        match &item.picture {
            Picture::File(path) => {
                let failed = |e: std::io::Error| match e.kind() {
                    std::io::ErrorKind::NotFound => "listed, but there is no such file".to_owned(),
                    _ => format!("cannot be read: {e}"),
                };
                let info = fs::metadata(path).map_err(failed)?;
                if !info.is_file() {
                    return Err("not a file".into());
                }
                if info.len() > decode::MAX_FILE_BYTES {
                    return Err(format!("{} bytes are too many", info.len()));
                }
                fs::read(path).map_err(failed)
            }
            Picture::ZipEntry(entry) => match &self.zip {
                Some((path, zip)) => {
                    read_entry(&mut zip.clone(), path, *entry).map_err(|e| e.message)
                }
                None => Err("not in a zip".into()),
            },
        }
    }
}

/// Lists a source; [`Format::Auto`] is told by [`Format::detect`].
///
/// # Errors
/// A user error when the layout is not there or one of its index files is broken.
pub fn list(src: &Path, format: Format, cub_split: CubSplit) -> Result<Listing> {
    match format {
        Format::Auto => list(src, Format::detect(src)?, cub_split),
        Format::Cub => cub::list(src, cub_split),
        Format::Recipe1m => recipe1m::list(src),
        Format::Folder => folder::list(src),
        Format::Zip => {
            let mut zip = open_zip(src)?;
            let manifest = official_zip::manifest_of(src, &mut zip)?;
            let mut listing = official_zip::list(src, &zip, manifest)?;
            listing.zip = Some((src.to_owned(), zip));
            Ok(listing)
        }
    }
}

/// File name endings that are taken for images, in lower case.
const IMAGE_EXTENSIONS: [&str; 8] = ["jpg", "jpeg", "png", "gif", "webp", "bmp", "tif", "tiff"];

fn is_image_name(name: &str) -> bool {
    let name = Path::new(name);
    // "._photo.jpg" is what macOS leaves beside photo.jpg.
    let hidden = name.file_name().is_none_or(|n| n.to_string_lossy().starts_with('.'));
    let extension = name.extension().map(|e| e.to_string_lossy().to_ascii_lowercase());
    !hidden && extension.is_some_and(|e| IMAGE_EXTENSIONS.contains(&e.as_str()))
}

/// Joins a path out of a data file to its folder; None where it would lead out of there.
fn join_below(folder: &Path, relative: &str) -> Option<PathBuf> {
    let relative = Path::new(relative);
    let below =
        relative.components().all(|c| matches!(c, Component::Normal(_) | Component::CurDir));
    (below && relative.file_name().is_some()).then(|| folder.join(relative))
}

/// Reads an index file.
fn read_text(path: &Path) -> Result<String> {
    let bytes = fs::read(path).map_err(|e| Error::io(path, "read", e))?;
    let text = String::from_utf8(bytes)
        .map_err(|e| Error::user(format!("{}: is not UTF-8 ({e})", path.display())))?;
    Ok(text.trim_start_matches('\u{feff}').to_owned())
}

/// The captions of a file of one a line: None where there is no such file.
///
/// # Errors
/// Why there is a file and its captions cannot be had.
fn caption_file(path: &Path) -> Result<Option<Vec<String>>, String> {
    match fs::read(path) {
        Ok(bytes) => match String::from_utf8(bytes) {
            Ok(text) => Ok(Some(text.lines().filter_map(clean_caption).collect())),
            Err(_) => Err("captions are not UTF-8; the image is kept without them".into()),
        },
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(format!("captions cannot be read ({e}); the image is kept without them")),
    }
}

/// A caption with single spaces and neither control nor replacement characters (CUB's captions
/// have some of the latter); None when nothing is left.
fn clean_caption(line: &str) -> Option<String> {
    let odd = |c: char| c.is_control() || c == '\u{fffd}' || c == '\u{feff}';
    let spaced = line.replace(odd, " ");
    let caption = spaced.split_whitespace().collect::<Vec<_>>().join(" ");
    (!caption.is_empty()).then_some(caption)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn captions_are_tidied() {
        assert_eq!(
            clean_caption("\u{feff}a  red\u{fffd}\u{fffd}bird\t\r"),
            Some("a red bird".into())
        );
        assert_eq!(clean_caption(" \t"), None);
    }

    #[test]
    fn paths_stay_below() {
        let below = Path::new("root");
        assert_eq!(join_below(below, "a/b.jpg"), Some("root/a/b.jpg".into()));
        for bad in ["../b.jpg", "/etc/passwd", "a/../../b.jpg", "", "."] {
            assert_eq!(join_below(below, bad), None, "{bad}");
        }
    }

    #[test]
    fn image_names() {
        assert!(is_image_name("a/b.JPG") && is_image_name("b.webp"));
        assert!(!is_image_name("a/._b.jpg") && !is_image_name("b.txt") && !is_image_name("jpg"));
    }
}
