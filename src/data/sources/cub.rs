//! CUB-200-2011 (Wah et al., 2011) in the layout of text-to-image work:
//! `CUB_200_2011/{images/, images.txt, bounding_boxes.txt, …}` and, beside it,
//! `text/<class>/<name>.txt` with ten captions per file ("Learning Deep Representations of
//! Fine-Grained Visual Descriptions", Reed et al., 2016).

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io::BufReader;

use super::attributes::{self, Attributes};
use super::captions;
use super::listing::{CaptionSource, CubSplit, Format, Listing, Picture, SourceItem};
use super::pickle;
use super::tree::{Found, Tree, parent};
use super::unused;
use super::wording;
use crate::data::crop::BoundingBox;
use crate::data::manifest::MAX_CLASSES;
use crate::data::record::Split;
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
    let images = images_folder(&tree, root).unwrap_or_else(|| below(root, "images"));
    let text = places.text_folder(&tree, rows.iter().map(|(_, file)| file.as_str()));
    let attributes = match captions {
        CaptionSource::Human => None,
        CaptionSource::Attributes | CaptionSource::Both => {
            Some(places.attributes(&tree, captions)?)
        }
    };
    let mut count = 0;
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
        let read = captions != CaptionSource::Attributes;
        if let Some(at) =
            text.as_ref().filter(|_| read).and_then(|text| tree.get(&format!("{text}/{stem}.txt")))
        {
            match captions::read(&tree, at) {
                Ok(captions) => item.captions = captions,
                Err(reason) => listing.skip(format!("text/{stem}.txt"), reason),
            }
        }
        if let Some(attributes) = attributes.as_ref().filter(|_| item.captions.is_empty()) {
            item.captions = wording::sentences(stem, &attributes.of(id, item.label));
            item.derived = !item.captions.is_empty();
        }
        count += item.captions.len();
        captions::check_total(&tree, count)?;
        listing.items.push(item);
    }
    if attributes.is_some() {
        let derived = listing.items.iter().filter(|item| item.derived).count();
        listing.notes.push(format!("sentences written from attributes for {derived} images"));
    }
    if listing.items.is_empty() && listing.skipped.is_empty() {
        return Err(Error::user(format!("{}: lists no images", tree.shown(&index))).hint(
            "download the dataset again, or read SRC as a plain folder with --format folder",
        ));
    }
    match &text {
        _ if captions == CaptionSource::Attributes => {}
        Some(text) => listing.notes.push(format!("captions from {text}/")),
        None => listing.notes.push(
            "no captions: there is no folder `text` or `text_c10` with <class>/<name>.txt in or \
             beside SRC"
                .into(),
        ),
    }
    listing.skipped.extend(tree.problems.iter().cloned());
    unused::report_pictures(&tree, &used, &mut listing);
    listing.tree = Some(tree);
    Ok(listing)
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

/// The name of a file in the folder `root`.
fn below(root: &str, name: &str) -> String {
    if root.is_empty() { name.to_owned() } else { format!("{root}/{name}") }
}

/// The folders that may contain the parts of the dataset, the nearest first.
struct Places(Vec<String>);

impl Places {
    fn new(tree: &Tree, root: &str) -> Self {
        let mut folders = vec![root.to_owned()];
        match root {
            "" => folders.push("..".into()),
            root => {
                folders.push(parent(root).to_owned());
                folders.push(String::new());
            }
        }
        // Kaggle has the captions in a folder of their own beside that of the images.
        let near = parent(root).to_owned();
        for at in tree.below(&near) {
            let name = tree.name(at);
            let inner = name[near.len()..].trim_start_matches('/').split('/').next();
            let folder = below(&near, inner.unwrap_or_default());
            if folder != name && folders.last() != Some(&folder) {
                folders.push(folder);
            }
        }
        folders.dedup();
        Self(folders)
    }

    /// The folder of the captions: one that has a file for an image.
    fn text_folder<'a>(
        &self,
        tree: &Tree,
        files: impl Iterator<Item = &'a str> + Clone,
    ) -> Option<String> {
        self.0
            .iter()
            .flat_map(|folder| [below(folder, "text"), below(folder, "text_c10")])
            .filter(|folder| tree.has_folder(folder))
            .find(|folder| {
                files.clone().any(|file| {
                    let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
                    tree.get(&format!("{folder}/{stem}.txt")).is_some()
                })
            })
    }
}

impl Places {
    /// The attributes of species and, if the file is there, of images.
    fn attributes(&self, tree: &Tree, captions: CaptionSource) -> Result<Attributes> {
        let find = |name: &str| {
            let folders = self.0.iter().flat_map(|f| [f.clone(), below(f, "attributes")]);
            folders.into_iter().find_map(|folder| tree.get(&below(&folder, name)))
        };
        let broken = |at: usize, reason: String| {
            Error::user(format!("{}: {reason}", tree.shown(tree.name(at))))
                .hint("download the dataset again, or omit --captions")
        };
        let (classes, images) = (find(attributes::CLASSES), find(attributes::IMAGES));
        let Some(names) = find(attributes::NAMES).filter(|_| classes.or(images).is_some()) else {
            return Err(Error::user(format!(
                "--captions {}: {} and {} or {} are not in or beside {}",
                captions.name(),
                attributes::NAMES,
                attributes::CLASSES,
                attributes::IMAGES,
                tree.src().display()
            ))
            .hint("they are part of CUB_200_2011.tgz; or omit --captions"));
        };
        let mut attributes =
            Attributes::names(&tree.read_index(names)?).map_err(|e| broken(names, e))?;
        if let Some(at) = classes {
            attributes.add_classes(&tree.read_index(at)?).map_err(|e| broken(at, e))?;
        }
        if let Some(at) = images {
            if tree.size(at) > attributes::MAX_BYTES {
                return Err(broken(at, "is too large to be the file of the dataset".into()));
            }
            tree.stream(at, |reader| attributes.add_images(BufReader::new(reader)))
                .and_then(|added| added)
                .map_err(|e| broken(at, e))?;
        }
        Ok(attributes)
    }
}

/// Reads a file of lines `<id> <fields>`; None if there is no such file.
fn table(tree: &Tree, root: &str, name: &str) -> Result<Option<HashMap<String, String>>> {
    let Some(at) = tree.get(&below(root, name)) else { return Ok(None) };
    let text = tree.read_index(at)?;
    let rows = text.lines().filter_map(|line| line.trim().split_once(char::is_whitespace));
    Ok(Some(rows.map(|(id, fields)| (id.to_owned(), fields.trim().to_owned())).collect()))
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

/// The rule that assigns images to training and test.
enum SplitRule {
    /// `train_test_split.txt`: id → `1` for training, `0` for test.
    Image(HashMap<String, String>),
    /// The ids `<class>/<name>` of each part.
    Files { train: HashSet<String>, test: HashSet<String> },
    /// The class names of each part.
    Classes { train: HashSet<String>, test: HashSet<String> },
}

impl SplitRule {
    /// Reads the files of the split.
    fn read(tree: &Tree, places: &Places, rule: CubSplit) -> Result<Self> {
        let root = &places.0[0];
        if rule == CubSplit::Image {
            let name = "train_test_split.txt";
            return table(tree, root, name)?.map(SplitRule::Image).ok_or_else(|| {
                Error::user(format!("{}: missing", tree.shown(&below(root, name)))).hint(
                    "add the file, use the split by class with --cub-split class, or read SRC as a \
                     plain folder with --format folder",
                )
            });
        }
        let both = |train: &str, test: &str| {
            places.0.iter().find_map(|folder| {
                Some((tree.get(&below(folder, train))?, tree.get(&below(folder, test))?))
            })
        };
        if let Some((train, test)) = both("train/filenames.pickle", "test/filenames.pickle") {
            let (train, test) = (pickled_names(tree, train)?, pickled_names(tree, test)?);
            return Ok(SplitRule::Files { train, test });
        }
        if let Some((train, test)) = both("trainvalclasses.txt", "testclasses.txt") {
            let names = |at: usize| {
                tree.read_index(at).map(|t| t.split_whitespace().map(str::to_owned).collect())
            };
            return Ok(SplitRule::Classes { train: names(train)?, test: names(test)? });
        }
        Err(Error::user(format!(
            "--cub-split class: neither train/filenames.pickle and test/filenames.pickle nor \
             trainvalclasses.txt and testclasses.txt are in or beside {}",
            tree.shown(root)
        ))
        .hint("add these files, or use the split by image: --cub-split image"))
    }

    /// The name of the rule in the archive.
    fn name(&self) -> &'static str {
        match self {
            SplitRule::Image(_) => "cub image",
            SplitRule::Files { .. } | SplitRule::Classes { .. } => "cub class",
        }
    }

    /// The part that an image belongs to; None if neither part lists it.
    fn of(&self, id: &str, stem: &str) -> Option<Split> {
        let (train, test) = match self {
            SplitRule::Image(rows) => {
                let part = rows.get(id).map(String::as_str);
                (part == Some("1"), part == Some("0"))
            }
            SplitRule::Files { train, test } => (train.contains(stem), test.contains(stem)),
            SplitRule::Classes { train, test } => {
                let class = stem.split('/').next().unwrap_or_default();
                (train.contains(class), test.contains(class))
            }
        };
        match (train, test) {
            (true, _) => Some(Split::Train),
            (_, true) => Some(Split::Test),
            _ => None,
        }
    }
}

/// Reads a pickled list of names.
fn pickled_names(tree: &Tree, at: usize) -> Result<HashSet<String>> {
    tree.read(at, pickle::MAX_BYTES).and_then(|bytes| pickle::names(&bytes)).map_err(|found| {
        Error::user(format!("{}: {found}", tree.shown(tree.name(at))))
            .hint("expected a pickled list of `<class>/<name>`")
    })
}
