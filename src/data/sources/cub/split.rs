//! The division of CUB-200-2011 into training and test data.

use std::collections::HashSet;

use super::places::{Places, below};
use super::table::Table;
use crate::data::record::Split;
use crate::data::sources::listing::CubSplit;
use crate::data::sources::pickle;
use crate::data::sources::tree::Tree;
use crate::error::{Error, Result};

/// The rule that assigns images to training and test.
pub(super) enum SplitRule {
    /// `train_test_split.txt`: id → `1` for training, `0` for test.
    Image(Table),
    /// The ids `<class>/<name>` of each part.
    Files { train: HashSet<String>, test: HashSet<String> },
    /// The class names of each part.
    Classes { train: HashSet<String>, test: HashSet<String> },
}

impl SplitRule {
    /// Reads the files of the split.
    ///
    /// # Errors
    /// If they are missing or cannot be used.
    pub fn read(tree: &Tree, places: &Places, rule: CubSplit) -> Result<Self> {
        let root = places.root();
        if rule == CubSplit::Image {
            let name = "train_test_split.txt";
            return Table::read(tree, root, name)?.map(SplitRule::Image).ok_or_else(|| {
                Error::user(format!("{}: missing", tree.shown(&below(root, name)))).hint(
                    "add the file, use the split by class with --cub-split class, or read SRC as a \
                     plain folder with --format folder",
                )
            });
        }
        let both = |train: &str, test: &str| {
            places.folders().find_map(|folder| {
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

    /// The table of the split by image.
    pub fn table(&self) -> Option<&Table> {
        match self {
            SplitRule::Image(table) => Some(table),
            SplitRule::Files { .. } | SplitRule::Classes { .. } => None,
        }
    }

    /// The name of the rule in the archive.
    pub fn name(&self) -> &'static str {
        match self {
            SplitRule::Image(_) => "cub image",
            SplitRule::Files { .. } | SplitRule::Classes { .. } => "cub class",
        }
    }

    /// The part that an image belongs to.
    ///
    /// # Errors
    /// Why it cannot be used: neither part lists it, or both do.
    pub fn of(&self, id: &str, stem: &str) -> Result<Split, String> {
        let absent = || format!("not in the split ({})", self.name());
        let (train, test) = match self {
            SplitRule::Image(rows) => {
                let stated = rows.get(id).ok_or_else(absent)?;
                let part = |text: &str, line: u64| match text {
                    "1" => Ok(Split::Train),
                    "0" => Ok(Split::Test),
                    _ => Err(format!(
                        "{} states {text:?}, which is neither 1 (train) nor 0 (test)",
                        rows.place(line)
                    )),
                };
                let first = part(&stated.text, stated.line)?;
                return match &stated.contradiction {
                    None => Ok(first),
                    Some((text, line)) => Err(format!(
                        "is in {first} by {}, but in {} by {}",
                        rows.place(stated.line),
                        part(text, *line)?,
                        rows.place(*line)
                    )),
                };
            }
            SplitRule::Files { train, test } => (train.contains(stem), test.contains(stem)),
            SplitRule::Classes { train, test } => {
                let class = stem.split('/').next().unwrap_or_default();
                (train.contains(class), test.contains(class))
            }
        };
        match (train, test) {
            (true, false) => Ok(Split::Train),
            (false, true) => Ok(Split::Test),
            (true, true) => Err(format!("is in both parts of the split ({})", self.name())),
            (false, false) => Err(absent()),
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
