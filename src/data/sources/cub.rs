//! CUB-200-2011 (Wah et al., 2011) in the layout of text-to-image work:
//! `CUB_200_2011/{images/, images.txt, bounding_boxes.txt, …}` and, beside it,
//! `text/<class>/<name>.txt` with ten captions per file ("Learning Deep Representations of
//! Fine-Grained Visual Descriptions", Reed et al., 2016).

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use serde_pickle::{DeOptions, Value};

use super::files::{caption_file, join_below, read_text};
use super::listing::{CubSplit, Format, Listing, Picture, SourceItem};
use crate::data::crop::BoundingBox;
use crate::data::record::Split;
use crate::error::{Error, Result};

/// The folder that contains `images.txt`: the source itself or its `CUB_200_2011`.
pub(super) fn root(src: &Path) -> Option<PathBuf> {
    let candidates = [src.to_owned(), src.join("CUB_200_2011")];
    candidates.into_iter().find(|folder| folder.join("images.txt").is_file())
}

/// Lists the images of `images.txt`, in its order. The id of an image is `<class>/<name>`, as in
/// the `filenames.pickle` that text-to-image work uses.
pub(super) fn list(src: &Path, rule: CubSplit) -> Result<Listing> {
    let Some(root) = root(src) else {
        return Err(Error::user(format!(
            "{}: has neither images.txt nor CUB_200_2011/images.txt",
            src.display()
        ))
        .hint("give the folder `birds` or `birds/CUB_200_2011`"));
    };
    // `text` and the pickles may be in or beside CUB_200_2011. If `src` is a link, `src/..` is not
    // the folder that contains it, hence three candidates.
    let around = [root.clone(), root.join(".."), src.to_owned()];
    let text = around
        .iter()
        .flat_map(|folder| [folder.join("text"), folder.join("text_c10")])
        .find(|folder| folder.is_dir());

    let boxes = table(&root.join("bounding_boxes.txt"))?;
    let classes = table(&root.join("image_class_labels.txt"))?;
    let split = SplitRule::read(&root, &around, rule)?;
    let mut listing = Listing::new(Format::Cub, split.name());
    listing.class_names = class_names(&root.join("classes.txt"))?;

    let mut seen = HashSet::new();
    let index = root.join("images.txt");
    for (number, line) in read_text(&index)?.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let Some((id, file)) = line.trim().split_once(char::is_whitespace) else {
            return Err(Error::user(format!(
                "{}:{}: {line:?} is not `<id> <class>/<name>.jpg`",
                index.display(),
                number + 1
            )));
        };
        let file = file.trim();
        let Some(path) = join_below(&root.join("images"), file) else {
            listing.skip(file, "is outside the folder of images");
            continue;
        };
        let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
        if !seen.insert(stem.to_owned()) {
            listing.skip(file, "listed twice");
            continue;
        }
        let Some(part) = split.of(id, stem) else {
            listing.skip(file, format!("not in the split ({})", split.name()));
            continue;
        };
        let mut item = SourceItem::new(stem, file, Picture::File(path));
        item.split = part;
        item.label = label(id, stem, classes.as_ref(), &listing.class_names);
        item.bounding_box = boxes.as_ref().map(|boxes| match boxes.get(id) {
            Some(fields) => bounding_box(fields),
            None => Err("has no bounding box".into()),
        });
        let captions = text.as_ref().and_then(|text| join_below(text, &format!("{stem}.txt")));
        if let Some(path) = captions {
            match caption_file(&path) {
                Ok(captions) => item.captions = captions.unwrap_or_default(),
                Err(reason) => listing.skip(format!("text/{stem}.txt"), reason),
            }
        }
        listing.items.push(item);
    }
    if listing.items.is_empty() && listing.skipped.is_empty() {
        return Err(Error::user(format!("{}: lists no images", index.display())));
    }
    Ok(listing)
}

/// Reads a file of lines `<id> <fields>`; None if there is no such file.
fn table(path: &Path) -> Result<Option<HashMap<String, String>>> {
    if !path.exists() {
        return Ok(None);
    }
    let text = read_text(path)?;
    let rows = text.lines().filter_map(|line| line.trim().split_once(char::is_whitespace));
    Ok(Some(rows.map(|(id, fields)| (id.to_owned(), fields.trim().to_owned())).collect()))
}

/// Reads `classes.txt`: the names of the classes, which it numbers from 1.
fn class_names(path: &Path) -> Result<Vec<String>> {
    let Some(rows) = table(path)? else { return Ok(Vec::new()) };
    let mut rows: Vec<(u32, String)> = rows
        .into_iter()
        .map(|(number, name)| match number.parse::<u32>() {
            Ok(number) if number > 0 => Ok((number, name)),
            _ => Err(Error::user(format!("{}: {number:?} is not a class number", path.display()))),
        })
        .collect::<Result<_>>()?;
    rows.sort();
    match rows.iter().zip(1..).find(|((number, _), expected)| number != expected) {
        Some((_, missing)) => {
            Err(Error::user(format!("{}: class {missing} is missing", path.display())))
        }
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
    let stated = classes.and_then(|c| c.get(id)?.parse::<u32>().ok()?.checked_sub(1));
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
    /// Reads the files of the split; `around` are the folders that may contain those of the split
    /// by class.
    fn read(root: &Path, around: &[PathBuf], rule: CubSplit) -> Result<Self> {
        if rule == CubSplit::Image {
            let path = root.join("train_test_split.txt");
            return table(&path)?.map(SplitRule::Image).ok_or_else(|| {
                Error::user(format!("{}: missing", path.display()))
                    .hint("use the split by class: --cub-split class")
            });
        }
        let both = |train: &str, test: &str| {
            around
                .iter()
                .map(|folder| (folder.join(train), folder.join(test)))
                .find(|(train, test)| train.is_file() && test.is_file())
        };
        if let Some((train, test)) = both("train/filenames.pickle", "test/filenames.pickle") {
            let (train, test) = (pickled_names(&train)?, pickled_names(&test)?);
            return Ok(SplitRule::Files { train, test });
        }
        if let Some((train, test)) = both("trainvalclasses.txt", "testclasses.txt") {
            let names = |path: &Path| {
                read_text(path).map(|t| t.split_whitespace().map(str::to_owned).collect())
            };
            return Ok(SplitRule::Classes { train: names(&train)?, test: names(&test)? });
        }
        Err(Error::user(format!(
            "--cub-split class: neither train/filenames.pickle and test/filenames.pickle nor \
             trainvalclasses.txt and testclasses.txt are in or beside {}",
            root.display()
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

/// Reads a pickled list of strings. `serde_pickle` reads data only: a pickle that refers to code
/// is an error.
fn pickled_names(path: &Path) -> Result<HashSet<String>> {
    let broken = |found: String| {
        Error::user(format!("{}: {found}", path.display()))
            .hint("expected a pickled list of `<class>/<name>`")
    };
    let file = File::open(path).map_err(|e| Error::io(path, "open", e))?;
    // Python 2 wrote these lists; its strings are bytes.
    let options = DeOptions::new().decode_strings();
    let value = serde_pickle::value_from_reader(BufReader::new(file), options)
        .map_err(|e| broken(format!("cannot be read: {e}")))?;
    let (Value::List(rows) | Value::Tuple(rows)) = value else {
        return Err(broken("is not a list".into()));
    };
    rows.into_iter()
        .map(|row| match row {
            Value::String(name) => Ok(name),
            Value::Bytes(name) => String::from_utf8(name)
                .map_err(|_| broken("contains a name that is not UTF-8".into())),
            other => Err(broken(format!("contains {other}, which is not a name"))),
        })
        .collect()
}
