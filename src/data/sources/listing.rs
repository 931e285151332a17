//! The content of a source of any layout.

use std::collections::BTreeMap;

use super::tree::Tree;
use crate::data::crop::BoundingBox;
use crate::data::decode;
use crate::data::name_lists;
use crate::data::record::{Skipped, Split};

/// `--format`: the layout of a source. [`about`](Self::about) describes the values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    #[default]
    Auto,
    Cub,
    Recipe1m,
    Folder,
    Zip,
}

impl Format {
    /// All values, in the order of the help.
    pub const ALL: [Format; 5] =
        [Format::Auto, Format::Cub, Format::Recipe1m, Format::Folder, Format::Zip];

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

    /// Its help text.
    pub fn about(self) -> &'static str {
        match self {
            Format::Auto => "Detect the layout from the files in the folder",
            Format::Cub => "CUB-200-2011: `images.txt`, `bounding_boxes.txt`, … and `text/`",
            Format::Recipe1m => {
                "Recipe1M or Recipe1M+: `layer1.json`, `layer2.json`, `det_ingrs.json`"
            }
            Format::Folder => {
                "Images at any depth; captions in `metadata.jsonl`, `metadata.csv` or `NAME.txt`, \
                 classes in `dataset.json`"
            }
            Format::Zip => {
                "The same in a zip, such as one from the official StyleGAN2 dataset tool, or an \
                 archive of cigan"
            }
        }
    }
}

/// `--cub-split`: which of the two common splits of CUB to use. [`about`](Self::about) describes
/// them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CubSplit {
    #[default]
    Image,
    Class,
}

impl CubSplit {
    /// All values, in the order of the help.
    pub const ALL: [CubSplit; 2] = [CubSplit::Image, CubSplit::Class];

    /// The name used by `--cub-split`.
    pub fn name(self) -> &'static str {
        match self {
            CubSplit::Image => "image",
            CubSplit::Class => "class",
        }
    }

    /// Its help text.
    pub fn about(self) -> &'static str {
        match self {
            CubSplit::Image => "By image, `train_test_split.txt`: 5,994 and 5,794",
            CubSplit::Class => {
                "By class, as text-to-image papers do: 150 classes (8,855) and 50 (2,933); from \
                 `{train,test}/filenames.pickle` or `trainvalclasses.txt` and `testclasses.txt`"
            }
        }
    }
}

/// `--captions`: where the captions come from. [`about`](Self::about) describes the values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CaptionSource {
    #[default]
    Human,
    Attributes,
    Both,
}

impl CaptionSource {
    /// All values, in the order of the help.
    pub const ALL: [CaptionSource; 3] =
        [CaptionSource::Human, CaptionSource::Attributes, CaptionSource::Both];

    /// The name used by `--captions`.
    pub fn name(self) -> &'static str {
        match self {
            CaptionSource::Human => "human",
            CaptionSource::Attributes => "attributes",
            CaptionSource::Both => "both",
        }
    }

    /// Its help text.
    pub fn about(self) -> &'static str {
        match self {
            CaptionSource::Human => "Captions written by people, from the files of the source",
            CaptionSource::Attributes => {
                "Sentences that are written from the attributes of CUB-200-2011, for every image"
            }
            CaptionSource::Both => {
                "Captions written by people, and sentences from attributes for images that have \
                 none"
            }
        }
    }
}

/// The file of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Picture {
    /// Number of the file in the tree of the source.
    Entry(usize),
    /// The source lists the image, but has no such file.
    Missing,
}

/// One image of a source.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceItem {
    /// Unique within the source and stable.
    pub id: String,
    /// Path relative to the source, for messages.
    pub name: String,
    /// The image file.
    pub picture: Picture,
    /// The bounding box, or why it cannot be used. None if the source has no boxes.
    pub bounding_box: Option<Result<BoundingBox, String>>,
    /// The part of the dataset that it belongs to.
    pub split: Split,
    /// Class number, from 0.
    pub label: Option<u32>,
    /// See [`ImageRecord::captions`](crate::data::ImageRecord::captions).
    pub captions: Vec<String>,
    /// See [`ImageRecord::phrases`](crate::data::ImageRecord::phrases).
    pub phrases: Option<Vec<String>>,
    /// See [`ImageRecord::derived`](crate::data::ImageRecord::derived).
    pub derived: bool,
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
            derived: false,
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
    /// How the source was read, and files that were not used, one remark per line.
    pub notes: Vec<String>,
    /// All names of the remarks that do not state all of them, each with the remark.
    pub listed: Vec<Skipped>,
    /// The files of the source.
    pub(super) tree: Option<Tree>,
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
            notes: Vec::new(),
            listed: Vec::new(),
            tree: None,
        }
    }

    /// Leaves out images whose ids are not their own: all of them if their splits differ, or else
    /// those after the first.
    pub(super) fn leave_out_repeated(&mut self) {
        let mut order: Vec<usize> = (0..self.items.len()).collect();
        order.sort_by_key(|&at| (&self.items[at].id, at));
        let mut reasons: BTreeMap<usize, String> = BTreeMap::new();
        for group in order.chunk_by(|&a, &b| self.items[a].id == self.items[b].id) {
            let first = &self.items[group[0]];
            let other = group.iter().map(|&at| &self.items[at]).find(|i| i.split != first.split);
            let (from, reason) = match other {
                Some(other) => {
                    (0, format!("is listed twice, in {} and in {}", first.split, other.split))
                }
                None => (1, "is listed twice; the first one is used".to_owned()),
            };
            if group.len() > 1 {
                reasons.extend(group[from..].iter().map(|&at| (at, reason.clone())));
            }
        }
        if reasons.is_empty() {
            return;
        }
        let mut at = 0..;
        let (items, skipped) = (&mut self.items, &mut self.skipped);
        items.retain(|item| match at.next().and_then(|at| reasons.remove(&at)) {
            Some(reason) => {
                skipped.push(Skipped::new(&item.name, reason));
                false
            }
            None => true,
        });
    }

    /// Notes that a file cannot be used.
    pub(super) fn skip(&mut self, file: impl Into<String>, reason: impl Into<String>) {
        self.skipped.push(Skipped::new(file, reason));
    }

    /// Adds a remark about files, if there are any: `what` is true of them, and `advice` may follow
    /// their names.
    pub(crate) fn remark(&mut self, what: &str, names: &[String], advice: &str) {
        if names.is_empty() {
            return;
        }
        let few = name_lists::few(names, names.len());
        self.notes.push(match advice {
            "" => format!("{what}: {few}"),
            advice => format!("{what}: {few}; {advice}"),
        });
        name_lists::list(&mut self.listed, what, names);
    }

    /// The hint about links that were not followed because they lead out of the source, if any.
    pub(crate) fn link_hint(&self) -> Option<String> {
        let tree = self.tree.as_ref()?;
        let both = tree.around_links.as_deref()?;
        // Nobody wants a whole disk, or the home of every user, as a source.
        Some(match both.components().count() > 2 {
            true => format!(
                "links in SRC lead to files outside of it; give {} as SRC, which contains both",
                both.display()
            ),
            false => {
                "links in SRC lead to files outside of it; copy the files themselves into SRC \
                      (`cp -rL`)"
                    .to_owned()
            }
        })
    }

    /// Whether the source comes with bounding boxes.
    pub fn has_boxes(&self) -> bool {
        self.items.iter().any(|item| item.bounding_box.is_some())
    }

    /// Size of the image file of an item in bytes; 0 if it is not known.
    pub(crate) fn size(&self, item: &SourceItem) -> u64 {
        match (item.picture, &self.tree) {
            (Picture::Entry(at), Some(tree)) => tree.size(at),
            _ => 0,
        }
    }

    /// Reads the image file of an item.
    ///
    /// # Errors
    /// Why it cannot be read, as a phrase for [`Skipped::reason`].
    pub fn read(&self, item: &SourceItem) -> Result<Vec<u8>, String> {
        match (item.picture, &self.tree) {
            (Picture::Entry(at), Some(tree)) => tree.read(at, decode::MAX_FILE_BYTES),
            _ => Err("listed, but there is no such file".into()),
        }
    }
}
