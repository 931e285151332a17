//! The columns of metadata files: what each one contains, by its name.
//!
//! The meaning of a column is looked up once per file, so that reading a row costs no more than its
//! fields.

use std::collections::HashMap;

use super::split_columns::{Kind, WATCHED};

/// Longest name of a file or of a column in bytes; that of a path in Linux.
pub(super) const MAX_NAME: usize = 4096;

/// Names of the column that contains the file name, in the order in which they are looked for.
pub(in crate::data::sources) const FILES: &[&str] = &[
    "file_name",
    "filename",
    "file",
    "file_path",
    "filepath",
    "image_file",
    "image_path",
    "image_name",
    "image",
    "img_path",
    "img",
    "path",
];

/// Names of the columns that contain captions, in the order in which they are looked for.
pub(in crate::data::sources) const CAPTIONS: &[&str] = &[
    "text",
    "caption",
    "captions",
    "texts",
    "prompt",
    "prompts",
    "description",
    "descriptions",
    "sentence",
    "sentences",
    "comment",
    "comments",
    "alt_text",
];

/// Names of the columns that contain the class, in the order in which they are looked for.
pub(super) const LABELS: &[&str] = &[
    "label",
    "labels",
    "class",
    "class_name",
    "class_label",
    "label_name",
    "category",
    "category_name",
    "species",
    "class_id",
    "category_id",
    "label_id",
];

/// Number of bytes of a key that a message states.
const SHOWN: usize = 200;

/// Largest number of different columns or keys of one file.
pub(super) const MAX: usize = 10_000;

/// The meaning of a column; the numbers are those in the lists above.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    File(usize),
    Caption(usize),
    Label(usize),
    Split(Kind),
    Other,
}

/// A column or key of a file.
#[derive(Debug)]
pub(super) struct Column {
    pub name: String,
    pub role: Role,
    /// Whether the user chose it for the captions.
    pub chosen: bool,
    /// Whether its values may show that it contains the split, though its name does not.
    pub watched: bool,
}

/// The columns of one file, numbered in the order in which they are met.
#[derive(Debug)]
pub(super) struct Columns {
    all: Vec<Column>,
    by_name: HashMap<String, usize>,
    /// The column of the captions, if the user chose one.
    pub chosen: Option<String>,
    watched: usize,
    /// Keys of a document that contain no rows.
    pub passed_over: Vec<String>,
}

impl Columns {
    /// No columns yet; `chosen` is the one for the captions, if the user chose one.
    pub fn new(chosen: Option<&str>) -> Self {
        let chosen = chosen.map(str::to_owned);
        let (all, by_name) = (Vec::new(), HashMap::new());
        Self { all, by_name, chosen, watched: 0, passed_over: Vec::new() }
    }

    /// The number of the column `name`.
    ///
    /// # Errors
    /// If the file has too many columns, as a phrase.
    pub fn number(&mut self, name: &str) -> Result<usize, String> {
        if let Some(&at) = self.by_name.get(name) {
            return Ok(at);
        }
        let at = self.all.len();
        if at >= MAX {
            return Err(format!("has more than {MAX} different columns"));
        }
        if name.len() > MAX_NAME {
            return Err(format!("the name of a column has {} bytes", name.len()));
        }
        let chosen = |chosen: &str| name == chosen || normal(name) == normal(chosen);
        let role = role(name);
        let chosen = self.chosen.as_deref().is_some_and(chosen);
        let watched = role == Role::Other && !chosen && self.watched < WATCHED;
        self.watched += usize::from(watched);
        self.all.push(Column { name: name.to_owned(), role, chosen, watched });
        self.by_name.insert(name.to_owned(), at);
        Ok(at)
    }

    /// Notes that a key of a document contains no rows.
    pub fn pass_over(&mut self, mut key: String) {
        if self.passed_over.len() < MAX {
            key.truncate(key.floor_char_boundary(SHOWN));
            self.passed_over.push(key);
        }
    }

    /// Column number `at`.
    pub fn get(&self, at: usize) -> &Column {
        &self.all[at]
    }

    /// Whether the content of a column matters.
    pub fn is_used(&self, at: usize) -> bool {
        let column = &self.all[at];
        column.chosen || column.watched || column.role != Role::Other
    }

    /// All columns.
    pub fn all(&self) -> &[Column] {
        &self.all
    }
}

/// The meaning of the column `name`.
pub(super) fn role(name: &str) -> Role {
    let name = normal(name);
    let among = |list: &[&str]| list.iter().position(|known| *known == name);
    if let Some(at) = among(FILES) {
        Role::File(at)
    } else if let Some(at) = CAPTIONS.iter().position(|base| is_numbered(&name, base)) {
        Role::Caption(at)
    } else if let Some(at) = among(LABELS) {
        Role::Label(at)
    } else if let Some(kind) = Kind::of(&name) {
        Role::Split(kind)
    } else {
        Role::Other
    }
}

/// Lower case, with `_` for spaces and hyphens.
fn normal(column: &str) -> String {
    column.trim().to_lowercase().replace([' ', '-'], "_")
}

/// Whether a normal name is `base` or one of `base_1`, `base2`, ….
fn is_numbered(column: &str, base: &str) -> bool {
    column.strip_prefix(base).is_some_and(|rest| {
        rest.is_empty()
            || (rest.trim_start_matches('_').chars().all(|c| c.is_ascii_digit())
                && rest.chars().any(|c| c.is_ascii_digit()))
    })
}
