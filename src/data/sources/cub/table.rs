//! The index files of CUB-200-2011: lines of an id and what it has.

use std::collections::{HashMap, HashSet};

use super::places::below;
use crate::data::sources::tree::Tree;
use crate::data::text;
use crate::error::Result;

/// A file of lines `<id> <fields>`.
pub(super) struct Table {
    name: String,
    rows: HashMap<String, Fields>,
    /// The lines that have no fields, from 1.
    bare: Vec<u64>,
}

/// The fields of an id in a table.
pub(super) struct Fields {
    pub text: String,
    /// The line, from 1.
    pub line: u64,
    /// The first line that states something else.
    pub contradiction: Option<(String, u64)>,
}

impl Table {
    /// Reads the file `name` in the folder `root`; None if there is no such file.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn read(tree: &Tree, root: &str, name: &str) -> Result<Option<Self>> {
        let name = below(root, name);
        let Some(at) = tree.get(&name) else { return Ok(None) };
        let content = tree.read_index(at)?;
        let mut rows: HashMap<String, Fields> = HashMap::new();
        let mut bare = Vec::new();
        for (line, number) in text::lines(&content).zip(1..) {
            let Some((id, fields)) = line.trim().split_once(char::is_whitespace) else {
                bare.extend((!line.trim().is_empty()).then_some(number));
                continue;
            };
            let fields = fields.split_whitespace().collect::<Vec<_>>().join(" ");
            match rows.get_mut(id) {
                Some(first) if first.text != fields => {
                    first.contradiction.get_or_insert((fields, number));
                }
                Some(_) => {}
                None => {
                    let fields = Fields { text: fields, line: number, contradiction: None };
                    rows.insert(id.to_owned(), fields);
                }
            }
        }
        Ok(Some(Self { name, rows, bare }))
    }

    /// The name of the file, relative to the source.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The fields of an id.
    pub fn get(&self, id: &str) -> Option<&Fields> {
        self.rows.get(id)
    }

    /// All ids, in no order, and what they have.
    pub fn rows(&self) -> impl Iterator<Item = (&str, &Fields)> {
        self.rows.iter().map(|(id, fields)| (id.as_str(), fields))
    }

    /// The lines that say nothing about the images with these ids, as [`place`](Self::place) names them.
    pub fn unused(&self, ids: &HashSet<&str>) -> Vec<String> {
        let others = self.rows().filter(|(id, _)| !ids.contains(id)).map(|(_, row)| row.line);
        let mut lines: Vec<u64> = others.chain(self.bare.iter().copied()).collect();
        lines.sort_unstable();
        lines.into_iter().map(|line| self.place(line)).collect()
    }

    /// A line, for messages: `train_test_split.txt:3`.
    pub fn place(&self, line: u64) -> String {
        format!("{}:{line}", self.name)
    }
}
