//! CUB-200-2011 (Wah et al., 2011) in the layout of text-to-image work:
//! `CUB_200_2011/{images/, images.txt, bounding_boxes.txt, …}` and, beside it,
//! `text/<class>/<name>.txt` with ten captions per file ("Learning Deep Representations of
//! Fine-Grained Visual Descriptions", Reed et al., 2016).

mod classes;
mod places;
mod split;
mod table;
mod texts;

use std::collections::{BTreeSet, HashMap, HashSet};

use classes::Classes;
use places::{Places, below};
use split::SplitRule;
use table::Table;
use texts::Texts;

use super::attributes;
use super::listing::{CaptionSource, CubSplit, Format, Listing, Picture, SourceItem};
use super::tree::{Found, Tree};
use super::unused;
use crate::data::crop::BoundingBox;
use crate::data::text;
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
    let boxes = Table::read(&tree, root, "bounding_boxes.txt")?;
    let mut classes = Classes::read(&tree, root)?;
    let split = SplitRule::read(&tree, &places, rule)?;
    let mut listing = Listing::new(Format::Cub, split.name());
    listing.notes.append(&mut classes.notes);
    let rows = index(&tree, root)?;
    let ambiguous = ambiguous(&rows, &below(root, INDEX), &split);
    let images = images_folder(&tree, root).unwrap_or_else(|| below(root, "images"));
    let mut texts = Texts::of(&tree, &places, captions)?;
    let mut seen = BTreeSet::new();
    let mut used = BTreeSet::new();
    for row in &rows {
        let (id, file) = (&row.id, &row.file);
        let Some(picture) = picture(&tree, &images, file) else {
            listing.skip(file, "is outside the folder of images");
            continue;
        };
        if let Picture::Entry(at) = picture {
            used.insert(at);
        }
        let stem = row.stem();
        if !seen.insert(stem) {
            listing.skip(file, "listed twice");
            continue;
        }
        let part = match ambiguous.get(stem) {
            Some(reason) => Err(reason.clone()),
            None => split.of(id, stem),
        };
        let part = match part {
            Ok(part) => part,
            Err(reason) => {
                listing.skip(file, reason);
                continue;
            }
        };
        let mut item = SourceItem::new(stem, file, picture);
        item.split = part;
        item.label = classes.of(id, stem, file, &mut listing.skipped);
        item.bounding_box = boxes.as_ref().map(|boxes| bounding_box(boxes, id));
        texts.describe(&mut item, id, &mut listing)?;
        listing.items.push(item);
    }
    listing.class_names = classes.names;
    if listing.items.is_empty() && listing.skipped.is_empty() {
        return Err(Error::user(format!("{}: lists no images", tree.shown(&below(root, INDEX))))
            .hint(
                "download the dataset again, or read SRC as a plain folder with --format folder",
            ));
    }
    let known: HashSet<&str> = rows.iter().map(|row| row.id.as_str()).collect();
    for table in [split.table(), boxes.as_ref()].into_iter().flatten() {
        let what = format!("lines of {} that belong to no image of {INDEX}", table.name());
        listing.remark(&what, &table.unused(&known), "");
    }
    texts.remark(&seen, &mut listing);
    listing.skipped.extend(tree.problems.iter().cloned());
    unused::report_pictures(&tree, &used, &mut listing);
    listing.tree = Some(tree);
    Ok(listing)
}

/// The file of an image in the folder `images`; None if its name leads out of this folder.
fn picture(tree: &Tree, images: &str, file: &str) -> Option<Picture> {
    match tree.find(images, file) {
        Found::File(at) if tree.name(at).starts_with(&format!("{images}/")) => {
            Some(Picture::Entry(at))
        }
        Found::Missing if !file.starts_with("../") => Some(Picture::Missing),
        _ => None,
    }
}

/// A line of `images.txt`.
struct Row {
    id: String,
    file: String,
    line: u64,
}

impl Row {
    /// The path of the image without its extension: the id of the image in an archive.
    fn stem(&self) -> &str {
        self.file.rsplit_once('.').map_or(&self.file, |(stem, _)| stem)
    }
}

/// Reads `images.txt`: the id of each image and its file.
fn index(tree: &Tree, root: &str) -> Result<Vec<Row>> {
    let index = below(root, INDEX);
    let Some(at) = tree.get(&index) else {
        return Err(Error::user(format!("{}: missing", tree.shown(&index)))
            .hint("unpack CUB-200-2011 again, or give another --format"));
    };
    let mut rows = Vec::new();
    for (line, number) in text::lines(&tree.read_index(at)?).zip(1..) {
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
        let file = file.trim().replace('\\', "/");
        rows.push(Row { id: id.to_owned(), file, line: number });
    }
    Ok(rows)
}

/// The images whose lines in the other files are not certain, by their path without the extension:
/// those that share an id, and those that have several ids in different parts of the split.
fn ambiguous(rows: &[Row], index: &str, split: &SplitRule) -> HashMap<String, String> {
    let mut reasons = HashMap::new();
    let mut by_id: HashMap<&str, &Row> = HashMap::new();
    let mut by_stem: HashMap<&str, &Row> = HashMap::new();
    for row in rows {
        let first = by_id.entry(&row.id).or_insert(row);
        if first.stem() != row.stem() {
            for (one, other) in [(row, *first), (*first, row)] {
                let (id, file, line) = (&one.id, &other.file, other.line);
                let reason = format!("its id {id} is that of {file} too, in {index}:{line}");
                reasons.entry(one.stem().to_owned()).or_insert(reason);
            }
        }
        let first = by_stem.entry(row.stem()).or_insert(row);
        let parts = [*first, row].map(|row| split.of(&row.id, row.stem()).ok());
        if let [Some(one), Some(other)] = parts
            && one != other
        {
            let lines = format!("{index}:{} and {}", first.line, row.line);
            let reason = format!("listed twice, as {one} and as {other}, in {lines}");
            reasons.entry(row.stem().to_owned()).or_insert(reason);
        }
    }
    reasons
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

/// The box of an image in `bounding_boxes.txt`.
fn bounding_box(boxes: &Table, id: &str) -> Result<BoundingBox, String> {
    let Some(stated) = boxes.get(id) else { return Err("has no bounding box".into()) };
    if let Some((_, line)) = stated.contradiction {
        let (first, second) = (boxes.place(stated.line), boxes.place(line));
        return Err(format!("has different bounding boxes in {first} and {second}"));
    }
    let fields = &stated.text;
    let numbers: Vec<f64> = fields.split_whitespace().filter_map(|f| f.parse().ok()).collect();
    match numbers[..] {
        [x, y, width, height] if fields.split_whitespace().count() == 4 => {
            Ok(BoundingBox { x, y, width, height })
        }
        _ => Err(format!("bounding box {fields:?} is not four numbers")),
    }
}
