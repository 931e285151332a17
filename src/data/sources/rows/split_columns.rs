//! The columns that state the split of a row: by their names (`split`, `subset`), as flags
//! (`is_valid`), or only by their values. Which of them count is known once a file is read.

use std::collections::{BTreeSet, HashMap};

use super::row::{self, BadRow, Field, Row, Stated, scalar};
use crate::data::record::Split;
use crate::data::sources::captions::is_placeholder;
use crate::data::sources::split_names;

/// Names of the columns that contain the split, in the order in which they are looked for. Those
/// after the first are splits only if all their values are.
const NAMES: &[&str] = &[
    "split",
    "splits",
    "split_name",
    "dataset_split",
    "data_split",
    "image_set",
    "train_or_test",
    "train_test",
    "train_test_split",
    "train_val_test",
    "usage",
    "subset",
    "partition",
    "phase",
    "fold",
    "set",
];

/// Number of characters of a value that are looked at.
const LONGEST: usize = 200;

/// Names of columns that tell whether an image is in the split of this name, beside `is_test` and the
/// like, if there are such columns for two splits: a single `train` may be the class of that name,
/// and a column `valid` may be about anything.
const FLAGS: &[&str] = &["train", "training", "val", "validation", "test", "testing"];
/// Number of columns whose names do not tell what they contain, but whose values may be splits.
pub(super) const WATCHED: usize = 12;

/// How a column may state the split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// By its name, which is at this place of the list above.
    Named(usize),
    /// It tells whether an image is in this split.
    Flag(Split),
    /// So does this one, if a column tells the same of another split.
    Bare(Split),
    /// By its values alone.
    Watched,
}

impl Kind {
    /// The column that always states the split.
    pub const FIRST: Kind = Kind::Named(0);

    /// The kind of the column with this normal name, if the name tells.
    pub fn of(name: &str) -> Option<Self> {
        if let Some(at) = NAMES.iter().position(|known| *known == name) {
            return Some(Kind::Named(at));
        }
        if FLAGS.contains(&name) {
            return Split::from_name(name).map(Kind::Bare);
        }
        let rest = name.strip_prefix("is_").or_else(|| name.strip_prefix("in_"))?;
        split_names::named(rest).map(Kind::Flag)
    }

    /// The split that it is a flag for.
    fn flag(self) -> Option<Split> {
        match self {
            Kind::Flag(split) | Kind::Bare(split) => Some(split),
            Kind::Named(_) | Kind::Watched => None,
        }
    }
}

/// Facts about the values of a column.
#[derive(Debug)]
struct Column {
    name: String,
    kind: Kind,
    /// The splits that it states.
    seen: BTreeSet<Split>,
    /// The first value that is not a split.
    unknown: Option<String>,
}

impl Column {
    /// Whether all values are splits. A name may be that of a split by chance, so a column whose
    /// name does not tell must state two different ones.
    fn is_split(&self) -> bool {
        let least = if self.kind == Kind::Watched { 2 } else { 1 };
        self.unknown.is_none() && self.seen.len() >= least
    }

    /// Whether a value is a statement, not what follows from the lack of one.
    fn is_positive(&self, split: Split) -> bool {
        self.kind.flag().is_none_or(|own| own == split)
    }
}

/// The columns of a file that may state the split.
#[derive(Debug, Default)]
pub(super) struct SplitColumns {
    columns: Vec<Column>,
    by_number: HashMap<usize, usize>,
}

/// How the splits of a file were determined.
#[derive(Debug, Default)]
pub(in crate::data::sources) struct Chosen {
    /// The columns that were read, with the meaning of their values, unless it is `split`.
    pub from: Vec<String>,
    /// Columns that are not read as the split, and why.
    pub unused: Vec<(String, String)>,
    /// Numbers of the columns that this explains.
    pub explained: BTreeSet<usize>,
    /// Whether any column states splits.
    pub stated: bool,
}

impl SplitColumns {
    /// Notes what column number `number` states about the row that `bad` describes.
    pub fn state(
        &mut self,
        bad: &mut BadRow,
        (number, name, kind): (usize, &str, Kind),
        field: &Field,
    ) {
        let at = match self.by_number.get(&number) {
            Some(&at) => at,
            None if self.columns.len() == Stated::COLUMNS => return,
            None => {
                let (name, seen) = (name.to_owned(), BTreeSet::new());
                self.columns.push(Column { name, kind, seen, unknown: None });
                self.by_number.insert(number, self.columns.len() - 1);
                self.columns.len() - 1
            }
        };
        let column = &mut self.columns[at];
        if column.unknown.is_some() && kind != Kind::FIRST {
            return;
        }
        let text = match field {
            Field::Value(value) => scalar(value).unwrap_or_else(|| row::kind(value).to_owned()),
            Field::NotUtf8 => "\u{fffd}".to_owned(),
        };
        // Messages state the text.
        let text: String = text.chars().take(LONGEST).collect();
        if text.is_empty() || is_placeholder(&text) {
            return;
        }
        let found = match kind {
            Kind::Named(_) => split_names::named(&text),
            Kind::Flag(split) | Kind::Bare(split) => {
                flag(&text).map(|is| if is { split } else { other(split) })
            }
            Kind::Watched => Split::from_name(&text),
        };
        let contradicts = found.is_some() && bad.stated.get(at).is_some_and(|s| Some(s) != found);
        match found.filter(|_| !contradicts) {
            Some(split) => {
                column.seen.insert(split);
                bad.stated.set(at, split);
            }
            None => {
                if kind == Kind::FIRST {
                    bad.split_unknown = true;
                    bad.reason = match contradicts {
                        true => format!("`{name}` is there twice, with different values"),
                        false => format!("split {text:?} is not train, val or test"),
                    };
                }
                column.unknown.get_or_insert(text);
            }
        }
    }

    /// Decides which columns state the splits, and assigns these to the rows. Rows that contradict
    /// themselves become bad ones.
    pub fn assign(self, rows: &mut Vec<Row>, bad: &mut Vec<BadRow>) -> Chosen {
        let mut chosen = Chosen::default();
        let mut order: Vec<usize> = (0..self.columns.len()).collect();
        order.sort_by_key(|&at| self.columns[at].kind);
        let Some(best) = order.iter().copied().find(|&at| self.counts(at)) else {
            self.explain(None, &mut chosen);
            return chosen;
        };
        chosen.stated = true;
        // Flags state the split together.
        let kind = self.columns[best].kind;
        let flags = kind.flag().is_some();
        let main: Vec<usize> = match flags {
            true => order
                .iter()
                .copied()
                .filter(|&at| self.columns[at].kind.flag().is_some() && self.counts(at))
                .collect(),
            false => vec![best],
        };
        // Other columns may contradict these.
        let others: Vec<usize> = order
            .into_iter()
            .filter(|&at| self.columns[at].kind != Kind::Watched && self.counts(at))
            .filter(|at| !main.contains(at))
            .collect();
        let state = |stated: Stated| -> Result<Option<Split>, String> {
            let split = self.together(&main, stated)?;
            let Some((split, from)) = split else { return Ok(None) };
            for &at in &others {
                let column = &self.columns[at];
                let Some(other) = stated.get(at).filter(|&other| column.is_positive(other)) else {
                    continue;
                };
                // A validation split that is taken from the training images.
                if other != split && (split, other) != (Split::Val, Split::Train) {
                    return Err(contradiction(
                        &self.columns[from].name,
                        split,
                        &column.name,
                        other,
                    ));
                }
            }
            Ok(Some(split))
        };
        let (from_bad, mut contradicting) = (bad.len(), Vec::new());
        rows.retain_mut(|row| match state(row.stated) {
            Ok(split) => {
                row.split = split;
                true
            }
            Err(reason) => {
                contradicting.push(BadRow {
                    file: Some(row.file.clone()),
                    split_unknown: true,
                    ..BadRow::new(row.number, reason)
                });
                false
            }
        });
        for row in &mut bad[..from_bad] {
            row.split_unknown |= row.unclear;
            match state(row.stated) {
                Ok(split) => row.split = split.or(row.split),
                Err(_) => row.split_unknown = true,
            }
        }
        if !contradicting.is_empty() {
            bad.append(&mut contradicting);
            bad.sort_by_key(|row| row.number);
        }
        if kind != Kind::FIRST {
            chosen.from = main.iter().map(|&at| self.columns[at].meaning()).collect();
        }
        self.explain(Some((&main, &others)), &mut chosen);
        chosen
    }

    /// Whether a column states splits.
    fn counts(&self, at: usize) -> bool {
        let column = &self.columns[at];
        let stated = column.kind == Kind::FIRST && column.unknown.is_some();
        stated || column.is_split() && self.has_partner(at)
    }

    /// Whether a column may be a flag beside the others, if its name alone does not tell.
    fn has_partner(&self, at: usize) -> bool {
        let Kind::Bare(own) = self.columns[at].kind else { return true };
        let other = |column: &Column| column.kind.flag().is_some_and(|split| split != own);
        self.columns.iter().any(|column| other(column) && column.is_split())
    }

    /// The split that the columns `main` state together, and the column that states it.
    fn together(&self, main: &[usize], stated: Stated) -> Result<Option<(Split, usize)>, String> {
        let mut found: Option<(Split, usize)> = None;
        for &at in main {
            let Some(split) = stated.get(at) else { continue };
            let (first, from) = *found.get_or_insert((split, at));
            if first == split {
                continue;
            }
            let name = |at: usize| &self.columns[at].name;
            match (self.columns[from].is_positive(first), self.columns[at].is_positive(split)) {
                (true, true) => return Err(contradiction(name(from), first, name(at), split)),
                (false, true) => found = Some((split, at)),
                (true, false) => {}
                // Neither for training nor for validation.
                (false, false) => {
                    let not_train = if first == Split::Train { (split, at) } else { (first, from) };
                    found = Some(not_train);
                }
            }
        }
        Ok(found)
    }

    /// Reports the columns that were not read.
    fn explain(self, used: Option<(&[usize], &[usize])>, chosen: &mut Chosen) {
        let main = used.map_or(&[][..], |(main, _)| main);
        let compared = used.map_or(&[][..], |(_, others)| others);
        for (number, &at) in &self.by_number {
            if main.contains(&at) || compared.contains(&at) {
                chosen.explained.insert(*number);
            }
        }
        let numbers: HashMap<usize, usize> =
            self.by_number.iter().map(|(&number, &at)| (at, number)).collect();
        let alone: Vec<bool> = (0..self.columns.len()).map(|at| !self.has_partner(at)).collect();
        for (at, column) in self.columns.into_iter().enumerate() {
            if main.contains(&at) || compared.contains(&at) {
                continue;
            }
            let reason = match (column.kind, column.unknown) {
                (Kind::Bare(split), None) if alone[at] && used.is_none() => format!(
                    "no column tells which images are in another split; name it `is_{split}` if it \
                     is one"
                ),
                (Kind::Watched, None) if column.seen.len() > 1 => {
                    "another column is used".to_owned()
                }
                (Kind::Watched, None) if !column.seen.is_empty() && used.is_none() => {
                    let only = column.seen.iter().next().map_or("", |split| split.name());
                    format!("all its values are {only}; name the column `split` if it is one")
                }
                (Kind::Watched, _) | (_, None) => continue,
                _ if used.is_some() => "another column is used".to_owned(),
                (Kind::Flag(split) | Kind::Bare(split), Some(value)) => format!(
                    "{value:?} is neither true nor false; name the column `split`, with values such \
                     as {split}, if it is one"
                ),
                (_, Some(value)) => format!(
                    "{value:?} is not train, val or test; name the column `split` if it is one"
                ),
            };
            chosen.explained.extend(numbers.get(&at));
            chosen.unused.push((column.name, reason));
        }
    }
}

impl Column {
    /// The name, and for a flag what its values mean.
    fn meaning(&self) -> String {
        match self.kind {
            Kind::Flag(split) | Kind::Bare(split) => {
                format!("`{}` (true is {split}, false is {})", self.name, other(split))
            }
            _ => format!("`{}`", self.name),
        }
    }
}

fn contradiction(first: &str, split: Split, second: &str, other: Split) -> String {
    format!("is in {split} by `{first}`, but in {other} by `{second}`")
}

/// The split of an image that is not in `split`, unless another column tells: in
/// `is_training_image` of CUB and `is_valid` of fastai there are only two.
fn other(split: Split) -> Split {
    if split == Split::Train { Split::Test } else { Split::Train }
}

/// The value of a flag.
fn flag(text: &str) -> Option<bool> {
    match text.trim().to_lowercase().as_str() {
        "1" | "1.0" | "true" | "t" | "yes" | "y" => Some(true),
        "0" | "0.0" | "false" | "f" | "no" | "n" => Some(false),
        _ => None,
    }
}
