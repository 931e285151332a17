//! CUB-200-2011 (Wah et al., 2011) in the layout of text-to-image work:
//! `CUB_200_2011/{images/, images.txt, bounding_boxes.txt, …}` and, beside it,
//! `text/<class>/<name>.txt` with ten captions per file ("Learning Deep Representations of
//! Fine-Grained Visual Descriptions", Reed et al., 2016).

mod places;
mod split;

use std::collections::{BTreeSet, HashMap, HashSet};

use places::{Places, below, table};
use split::SplitRule;

use super::attributes::{self, Attributes};
use super::captions;
use super::listing::{CaptionSource, CubSplit, Format, Listing, Picture, SourceItem};
use super::tree::{Found, Tree};
use super::unused;
use super::wording;
use crate::data::crop::BoundingBox;
use crate::data::manifest::MAX_CLASSES;
use crate::error::{Error, Result};

/// The list of the images.
pub(super) const INDEX: &str = "images.txt";
/// Other files of the dataset, one of which must be beside [`INDEX`]: a list of files may be called
/// `images.txt` anywhere.
pub(super) const OTHERS: &[&str] =
    &["train_test_split.txt", "image_class_labels.txt", "bounding_boxes.txt"];

/// Lists the images of `images.txt` in the folder `root`, in its order. The id of an image is
/// `<class>/<name>`, as in the `filenames.pickle` that text-to-image work uses.
pub(super) fn list(
    mut tree: Tree,
    root: &str,
    rule: CubSplit,
    captions: CaptionSource,
) -> Result<Listing> {
    if root.is_empty() {
        attach_neighbours(&mut tree);
    }
    let tree = tree;
    let places = Places::new(&tree, root);
    let boxes = table(&tree, root, "bounding_boxes.txt")?;
    let classes = table(&tree, root, "image_class_labels.txt")?;
    let split = SplitRule::read(&tree, &places, rule)?;
    let mut listing = Listing::new(Format::Cub, split.name());
    listing.class_names = class_names(&tree, root)?;
    let rows = index(&tree, root)?;
    let images = images_folder(&tree, root).unwrap_or_else(|| below(root, "images"));
    let mut texts = Texts::of(&tree, &places, &rows, captions)?;
    let mut seen = HashSet::new();
    let mut used = BTreeSet::new();
    for (id, file) in &rows {
        let picture = match tree.find(&images, file) {
            Found::File(at) if tree.name(at).starts_with(&format!("{images}/")) => {
                Picture::Entry(at)
            }
            Found::Missing if !file.starts_with("../") => Picture::Missing,
            _ => {
                listing.skip(file, "is outside the folder of images");
                continue;
            }
        };
        if let Picture::Entry(at) = picture {
            used.insert(at);
        }
        let stem = file.rsplit_once('.').map_or(file.as_str(), |(stem, _)| stem);
        if !seen.insert(stem.to_owned()) {
            listing.skip(file, "listed twice");
            continue;
        }
        let Some(part) = split.of(id, stem) else {
            listing.skip(file, format!("not in the split ({})", split.name()));
            continue;
        };
        let mut item = SourceItem::new(stem, file, picture);
        item.split = part;
        item.label = label(id, stem, classes.as_ref(), &listing.class_names);
        item.bounding_box = boxes.as_ref().map(|boxes| match boxes.get(id) {
            Some(fields) => bounding_box(fields),
            None => Err("has no bounding box".into()),
        });
        texts.describe(&mut item, id, stem, &mut listing)?;
        listing.items.push(item);
    }
    if listing.items.is_empty() && listing.skipped.is_empty() {
        return Err(Error::user(format!("{}: lists no images", tree.shown(&below(root, INDEX))))
            .hint(
                "download the dataset again, or read SRC as a plain folder with --format folder",
            ));
    }
    texts.remark(&mut listing);
    listing.skipped.extend(tree.problems.iter().cloned());
    unused::report_pictures(&tree, &used, &mut listing);
    listing.tree = Some(tree);
    Ok(listing)
}

/// Reads `images.txt`: the id of each image and its file.
fn index(tree: &Tree, root: &str) -> Result<Vec<(String, String)>> {
    let index = below(root, INDEX);
    let Some(at) = tree.get(&index) else {
        return Err(Error::user(format!("{}: missing", tree.shown(&index)))
            .hint("unpack CUB-200-2011 again, or give another --format"));
    };
    let mut rows = Vec::new();
    for (line, number) in tree.read_index(at)?.lines().zip(1..) {
        if line.trim().is_empty() {
            continue;
        }
        let Some((id, file)) = line.trim().split_once(char::is_whitespace) else {
            return Err(Error::user(format!(
                "{}:{number}: {line:?} is not `<id> <class>/<name>.jpg`",
                tree.shown(&index)
            ))
            .hint("correct the line, or read SRC as a plain folder with --format folder"));
        };
        rows.push((id.to_owned(), file.trim().replace('\\', "/")));
    }
    Ok(rows)
}

/// Where the captions of the images come from.
struct Texts<'a> {
    tree: &'a Tree,
    source: CaptionSource,
    /// The folder of the captions that people wrote.
    folder: Option<String>,
    /// The attributes from which sentences are written.
    attributes: Option<Attributes>,
    /// Number of captions of all images.
    count: usize,
}

impl<'a> Texts<'a> {
    /// Finds the captions of the images in `rows`.
    fn of(
        tree: &'a Tree,
        places: &Places,
        rows: &[(String, String)],
        source: CaptionSource,
    ) -> Result<Self> {
        let folder = places.text_folder(tree, rows.iter().map(|(_, file)| file.as_str()));
        let attributes = match source {
            CaptionSource::Human => None,
            CaptionSource::Attributes | CaptionSource::Both => {
                Some(places.attributes(tree, source)?)
            }
        };
        Ok(Self { tree, source, folder, attributes, count: 0 })
    }

    /// Adds the captions of an image.
    ///
    /// # Errors
    /// If there are too many captions in all.
    fn describe(
        &mut self,
        item: &mut SourceItem,
        id: &str,
        stem: &str,
        listing: &mut Listing,
    ) -> Result<()> {
        let folder = self.folder.as_ref().filter(|_| self.source != CaptionSource::Attributes);
        if let Some(at) = folder.and_then(|text| self.tree.get(&format!("{text}/{stem}.txt"))) {
            match captions::read(self.tree, at) {
                Ok(captions) => item.captions = captions,
                Err(reason) => listing.skip(format!("text/{stem}.txt"), reason),
            }
        }
        if let Some(attributes) = self.attributes.as_ref().filter(|_| item.captions.is_empty()) {
            item.captions = wording::sentences(stem, &attributes.of(id, item.label));
            item.derived = !item.captions.is_empty();
        }
        self.count += item.captions.len();
        captions::check_total(self.tree, self.count)
    }

    /// Tells where the captions come from.
    fn remark(&self, listing: &mut Listing) {
        if self.attributes.is_some() {
            let derived = listing.items.iter().filter(|item| item.derived).count();
            listing.notes.push(format!("sentences written from attributes for {derived} images"));
        }
        match &self.folder {
            _ if self.source == CaptionSource::Attributes => {}
            Some(text) => listing.notes.push(format!("captions from {text}/")),
            None => listing.notes.push(
                "no captions: there is no folder `text` or `text_c10` with <class>/<name>.txt in \
                 or beside SRC"
                    .into(),
            ),
        }
    }
}

/// Captions and the split by class are often beside the folder of the images, so that they are not
/// below SRC if SRC is that folder.
fn attach_neighbours(tree: &mut Tree) {
    let src = tree.src().to_owned();
    // If `src` is a link, `src/..` is not the folder that contains it.
    let around = [Some(src.join("..")), src.parent().map(|folder| folder.to_owned())];
    for folder in around.into_iter().flatten() {
        for name in ["text", "text_c10"] {
            tree.attach(&folder.join(name), &format!("../{name}"));
        }
        for part in ["train", "test"] {
            tree.attach_file(
                &folder.join(part).join("filenames.pickle"),
                &format!("../{part}/filenames.pickle"),
            );
        }
        for name in ["trainvalclasses.txt", "testclasses.txt", attributes::NAMES] {
            tree.attach_file(&folder.join(name), &format!("../{name}"));
        }
    }
}

/// The folder of the images beside the index in `root`, whatever the case of its name.
pub(super) fn images_folder(tree: &Tree, root: &str) -> Option<String> {
    let names = ["images", "Images", "IMAGES"];
    names.iter().map(|name| below(root, name)).find(|folder| tree.has_folder(folder))
}

/// Reads `classes.txt`: the names of the classes, which it numbers from 1.
fn class_names(tree: &Tree, root: &str) -> Result<Vec<String>> {
    let Some(rows) = table(tree, root, "classes.txt")? else { return Ok(Vec::new()) };
    let shown = tree.shown(&below(root, "classes.txt"));
    let mut rows: Vec<(u32, String)> = rows
        .into_iter()
        .map(|(number, name)| match number.parse::<u32>() {
            Ok(number) if number > 0 => Ok((number, name)),
            _ => Err(Error::user(format!("{shown}: {number:?} is not a class number"))
                .hint("each line must be a number, counted from 1, and a name")),
        })
        .collect::<Result<_>>()?;
    rows.sort();
    match rows.iter().zip(1..).find(|((number, _), expected)| number != expected) {
        Some((_, missing)) => Err(Error::user(format!("{shown}: class {missing} is missing"))
            .hint("number the classes from 1 on, without gaps")),
        None => Ok(rows.into_iter().map(|(_, name)| name).collect()),
    }
}

/// The class of an image: from `image_class_labels.txt`, else from the name of its folder.
fn label(
    id: &str,
    stem: &str,
    classes: Option<&HashMap<String, String>>,
    names: &[String],
) -> Option<u32> {
    let stated = classes
        .and_then(|classes| classes.get(id)?.parse::<u32>().ok()?.checked_sub(1))
        .filter(|&class| (class as u64) < MAX_CLASSES);
    stated.or_else(|| {
        let folder = stem.split('/').next()?;
        names.iter().position(|name| name == folder).map(|at| at as u32)
    })
}

/// Parses a line of `bounding_boxes.txt`, without the id.
fn bounding_box(fields: &str) -> Result<BoundingBox, String> {
    let numbers: Vec<f64> = fields.split_whitespace().filter_map(|f| f.parse().ok()).collect();
    match numbers[..] {
        [x, y, width, height] if fields.split_whitespace().count() == 4 => {
            Ok(BoundingBox { x, y, width, height })
        }
        _ => Err(format!("bounding box {fields:?} is not four numbers")),
    }
}
