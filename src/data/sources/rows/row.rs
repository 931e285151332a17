//! A row of a metadata file: as it is there, and what it means.

use std::sync::Arc;

use serde_json::Value;

use crate::data::record::Split;

/// A row as it is in the file.
#[derive(Debug)]
pub(super) struct Record {
    pub number: u64,
    /// Numbers of columns and what they contain.
    pub fields: Vec<(usize, Field)>,
}

/// The content of a field.
#[derive(Debug, PartialEq)]
pub(super) enum Field {
    /// A single value, or a list. Objects are empty, and lists of lists are too.
    Value(Value),
    NotUtf8,
}

impl Field {
    /// The value, if it is a text.
    pub fn value(&self) -> Option<&Value> {
        match self {
            Self::Value(value) => Some(value),
            Self::NotUtf8 => None,
        }
    }
}

/// The rows of COCO's list `images` have numbers from here, those of `annotations` smaller ones.
pub(super) const IMAGES: u64 = 1 << 48;

/// The meaning of a row.
#[derive(Debug)]
pub(in crate::data::sources) struct Row {
    pub number: u64,
    /// Rows about one file share its name.
    pub file: Arc<str>,
    pub captions: Vec<String>,
    pub label: Option<Label>,
    pub split: Option<Split>,
    pub stated: Stated,
}

/// A row that cannot be used.
#[derive(Debug, Clone)]
pub(in crate::data::sources) struct BadRow {
    pub number: u64,
    pub reason: String,
    /// The image that it describes, if that is known.
    pub file: Option<Arc<str>>,
    /// The split that it states.
    pub split: Option<Split>,
    /// Whether the row states a split that is not understood. Such an image must not be used for
    /// training.
    pub split_unknown: bool,
    /// Whether it is unclear which field is which.
    pub unclear: bool,
    pub stated: Stated,
}

impl BadRow {
    pub fn new(number: u64, reason: String) -> Self {
        Self {
            number,
            reason,
            file: None,
            split: None,
            split_unknown: false,
            unclear: false,
            stated: Stated::default(),
        }
    }
}

/// A class as written in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::data::sources) enum Label {
    Number(u64),
    Name(String),
}

/// The statements about a row of the columns that may contain the split: two bits for each of at
/// most [`Stated::COLUMNS`] columns.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::data::sources) struct Stated(u64);

impl Stated {
    /// Largest number of columns.
    pub const COLUMNS: usize = 32;

    pub fn get(self, at: usize) -> Option<Split> {
        match self.0 >> (2 * at) & 3 {
            0 => None,
            number => Some(Split::ALL[number as usize - 1]),
        }
    }

    pub fn set(&mut self, at: usize, split: Split) {
        let number = 1 + Split::ALL.iter().position(|one| *one == split).unwrap_or(0) as u64;
        self.0 = self.0 & !(3 << (2 * at)) | number << (2 * at);
    }
}

/// How the rows of a file are arranged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::data::sources) enum Form {
    /// One row a line.
    #[default]
    Lines,
    /// Items of lists or objects.
    Items,
    /// Items that each name the folder of their file and their split, as those of Karpathy do: the
    /// folder is only a place.
    Placed,
    /// The captions of COCO.
    Coco,
    /// Objects in images, in the format of COCO. There are no rows.
    Objects,
}

/// A single value as a text; None if it is a list or an object. CSV cannot tell a number from a
/// text, so JSON does not either.
pub(super) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::Null => Some(String::new()),
        Value::String(text) => Some(text.trim().to_owned()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Array(_) | Value::Object(_) => None,
    }
}

/// Whether a value is an object or a list of objects.
pub(super) fn is_nested(value: &Value) -> bool {
    value.is_object() || value.as_array().is_some_and(|list| list.iter().any(Value::is_object))
}

/// The name of a value that is not a single one.
pub(super) fn kind(value: &Value) -> &'static str {
    if value.is_array() { "a list" } else { "an object" }
}
