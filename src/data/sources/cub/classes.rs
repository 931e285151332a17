//! The classes of CUB-200-2011: `classes.txt` names and numbers them, and
//! `image_class_labels.txt` gives each image one.

use super::table::Table;
use crate::data::manifest::MAX_CLASSES;
use crate::data::record::Skipped;
use crate::data::sources::tree::Tree;
use crate::error::{Error, Result};

/// The classes of the dataset.
pub(super) struct Classes {
    /// Name of class number `i`.
    pub names: Vec<String>,
    /// The number of the first class in the labels.
    base: u32,
    labels: Option<Table>,
    /// Remarks for the user.
    pub notes: Vec<String>,
}

impl Classes {
    /// Reads the files in the folder `root`; either may be missing.
    ///
    /// # Errors
    /// If the numbers in `classes.txt` are not those of classes.
    pub fn read(tree: &Tree, root: &str) -> Result<Self> {
        let table = Table::read(tree, root, "classes.txt")?;
        let (names, named_from) = match &table {
            Some(table) => names(tree, table)?,
            None => (Vec::new(), 1),
        };
        let labels = Table::read(tree, root, "image_class_labels.txt")?;
        let mut classes = Self { names, base: named_from, labels, notes: Vec::new() };
        let Some(labels) = &classes.labels else { return Ok(classes) };
        let numbers = || labels.rows().filter_map(|(_, fields)| fields.text.parse::<u64>().ok());
        let from_zero = numbers().min() == Some(0);
        let fits =
            classes.names.is_empty() || numbers().max().unwrap_or(0) < classes.names.len() as u64;
        if named_from == 1 && from_zero && fits {
            classes.base = 0;
            let other = match table.filter(|_| !classes.names.is_empty()) {
                Some(table) => format!(", {} from 1", table.name()),
                None => String::new(),
            };
            classes.notes.push(format!("{} counts classes from 0{other}", labels.name()));
        }
        Ok(classes)
    }

    /// The class of an image: from `image_class_labels.txt`, else from the name of its folder. A
    /// statement that cannot be used is added to `skipped`.
    pub fn of(&self, id: &str, stem: &str, file: &str, skipped: &mut Vec<Skipped>) -> Option<u32> {
        let folder = stem.split('/').next()?;
        let by_folder = || self.names.iter().position(|name| name == folder).map(|at| at as u32);
        let Some(labels) = &self.labels else { return by_folder() };
        let Some(stated) = labels.get(id) else { return by_folder() };
        let mut refuse = |line: u64, reason: String| {
            skipped.push(Skipped::new(format!("{} ({file})", labels.place(line)), reason));
        };
        if let Some((_, line)) = stated.contradiction {
            let first = labels.place(stated.line);
            refuse(line, format!("its class differs from that in {first}, which is kept"));
        }
        let limit = if self.names.is_empty() { MAX_CLASSES } else { self.names.len() as u64 };
        let number = stated.text.parse::<u32>().ok();
        let number = number.and_then(|number| number.checked_sub(self.base));
        match number.filter(|&number| (number as u64) < limit) {
            Some(number) => Some(number),
            None => {
                let class = by_folder();
                let then =
                    if class.is_some() { "its folder names the class" } else { "it has none" };
                refuse(
                    stated.line,
                    format!("{:?} is not the number of a class; {then}", stated.text),
                );
                class
            }
        }
    }
}

/// The names of the classes, which `classes.txt` numbers from 1 or from 0, and the first number.
fn names(tree: &Tree, table: &Table) -> Result<(Vec<String>, u32)> {
    let shown = |line: u64| format!("{}:{line}", tree.shown(table.name()));
    let hint = "each line must be a number, counted from 1, and a name; or read SRC as a plain \
                folder with --format folder";
    let mut rows: Vec<(u32, &str, u64)> = Vec::new();
    for (number, fields) in table.rows() {
        let line = fields.line;
        let Ok(parsed) = number.parse::<u32>() else {
            return Err(Error::user(format!("{}: {number:?} is not a class number", shown(line)))
                .hint(hint));
        };
        if let Some((name, line)) = &fields.contradiction {
            return Err(Error::user(format!(
                "{}: class {number} is {name:?}, but {:?} in line {}",
                shown(*line),
                fields.text,
                fields.line
            ))
            .hint(hint));
        }
        rows.push((parsed, &fields.text, line));
    }
    rows.sort();
    let base = rows.first().map_or(1, |&(number, _, _)| number.min(1));
    match rows.iter().zip(base..).find(|((number, _, _), expected)| number != expected) {
        Some((_, missing)) => Err(Error::user(format!(
            "{}: class {missing} is missing",
            tree.shown(table.name())
        ))
        .hint(
            "number the classes from 1 on, without gaps, or read SRC as a plain folder with \
                     --format folder",
        )),
        None => Ok((rows.into_iter().map(|(_, name, _)| name.to_owned()).collect(), base)),
    }
}
