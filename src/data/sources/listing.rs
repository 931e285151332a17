//! What a source consists of, whatever its layout.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use crate::data::crop::BoundingBox;
use crate::data::decode;
use crate::data::record::{Skipped, Split};
use crate::data::zip_file::{self, Zip};
use crate::error::Result;

/// `--format`: the layout of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// Detect the layout from the files in the folder.
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
}

/// `--cub-split`: which of the two common splits of CUB to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum CubSplit {
    /// By image, `train_test_split.txt`: 5,994 and 5,794.
    #[default]
    Image,
    /// By class, as text-to-image papers do: 150 classes (8,855) and 50 (2,933); from
    /// `{train,test}/filenames.pickle` or `trainvalclasses.txt` and `testclasses.txt`.
    Class,
}

/// Where the bytes of an image file are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Picture {
    /// A file on the disk.
    File(PathBuf),
    /// Entry number of the source's zip.
    ZipEntry(usize),
}

/// One image of a source.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceItem {
    /// Unique within the source and stable.
    pub id: String,
    /// Path relative to the source, for messages.
    pub name: String,
    /// Where the image file is.
    pub picture: Picture,
    /// The bounding box, or why it cannot be used. None if the source has no boxes.
    pub bounding_box: Option<Result<BoundingBox, String>>,
    /// The part of the data set that it belongs to.
    pub split: Split,
    /// Class number, from 0.
    pub label: Option<u32>,
    /// See [`ImageRecord::captions`](crate::data::ImageRecord::captions).
    pub captions: Vec<String>,
    /// See [`ImageRecord::phrases`](crate::data::ImageRecord::phrases).
    pub phrases: Option<Vec<String>>,
    /// See [`ImageRecord::attributes`](crate::data::ImageRecord::attributes).
    pub attributes: BTreeMap<String, String>,
}

impl SourceItem {
    /// A training image without box, label and captions.
    pub(super) fn new(id: impl Into<String>, name: impl Into<String>, picture: Picture) -> Self {
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

/// The images of a source, in a deterministic order.
#[derive(Debug)]
pub struct Listing {
    /// The layout; never [`Format::Auto`].
    pub format: Format,
    /// How the images were split; see [`Provenance::split`](crate::data::Provenance::split).
    pub split_rule: &'static str,
    /// The images.
    pub items: Vec<SourceItem>,
    /// Name of class number `i`.
    pub class_names: Vec<String>,
    /// Files and captions that cannot be used.
    pub skipped: Vec<Skipped>,
    /// The zip of [`Picture::ZipEntry`], and its path.
    pub(super) zip: Option<(PathBuf, Zip)>,
}

impl Listing {
    /// An empty listing.
    pub(super) fn new(format: Format, split_rule: &'static str) -> Self {
        Self {
            format,
            split_rule,
            items: Vec::new(),
            class_names: Vec::new(),
            skipped: Vec::new(),
            zip: None,
        }
    }

    /// Notes that a file cannot be used.
    pub(super) fn skip(&mut self, file: impl Into<String>, reason: impl Into<String>) {
        self.skipped.push(Skipped::new(file, reason));
    }

    /// Whether the source comes with bounding boxes.
    pub fn has_boxes(&self) -> bool {
        self.items.iter().any(|item| item.bounding_box.is_some())
    }

    /// Reads the image file of an item.
    ///
    /// # Errors
    /// Why it cannot be read, as a phrase for [`Skipped::reason`].
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
                    let limit = decode::MAX_FILE_BYTES;
                    return Err(format!("has {} bytes; the limit is {limit}", info.len()));
                }
                fs::read(path).map_err(failed)
            }
            Picture::ZipEntry(entry) => match &self.zip {
                Some((path, zip)) => {
                    zip_file::read_entry(&mut zip.clone(), path, *entry, decode::MAX_FILE_BYTES)
                        .map_err(|e| e.message)
                }
                None => Err("not in a zip".into()),
            },
        }
    }
}
