//! Rows of metadata files: which image they describe, with which captions, class and split.
//!
//! CSV, TSV, JSON Lines and JSON become [`Record`]s, and one function interprets these, so that the
//! formats agree. A row that cannot be understood is reported with its line; it is never used in
//! part.

mod csv;
mod json;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::captions::clean_caption;
use crate::data::formats::extension;
use crate::data::record::Split;

/// Names of the column that contains the file name, in the order in which they are looked for.
pub(super) const FILE_COLUMNS: &[&str] = &[
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
pub(super) const CAPTION_COLUMNS: &[&str] = &[
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

/// A row as it is in the file.
#[derive(Debug)]
struct Record {
    number: u64,
    fields: Vec<(String, Value)>,
    /// Columns whose text is not UTF-8.
    not_utf8: Vec<String>,
}

/// The meaning of a row.
#[derive(Debug)]
pub(super) struct Row {
    pub number: u64,
    pub file: String,
    pub captions: Vec<String>,
    pub label: Option<Label>,
    pub split: Option<Split>,
}

/// A row that cannot be used.
#[derive(Debug, Clone)]
pub(super) struct BadRow {
    pub number: u64,
    pub reason: String,
    /// The image that it describes, if that is known.
    pub file: Option<String>,
    /// The split that it states.
    pub split: Option<Split>,
    /// Whether the row states a split that is not understood. Such an image must not be used for
    /// training.
    pub split_unknown: bool,
}

impl BadRow {
    fn new(number: u64, reason: String) -> Self {
        Self { number, reason, file: None, split: None, split_unknown: false }
    }
}

/// A class as written in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Label {
    Number(u64),
    Name(String),
}

/// The content of a metadata file.
#[derive(Debug, Default)]
pub(super) struct Rows {
    pub rows: Vec<Row>,
    pub bad: Vec<BadRow>,
    /// All columns or keys.
    pub columns: BTreeSet<String>,
    /// The columns that captions were read from, with the number of rows.
    pub captions_from: BTreeMap<String, usize>,
    /// Columns that contain captions by their names, but were not read.
    pub captions_unused: BTreeSet<String>,
    /// Number of captions that are placeholders for missing values: `nan`, `NULL`.
    pub placeholders: usize,
    /// Whether rows are numbered as items of an array, not as lines.
    items: bool,
}

impl Rows {
    /// A file and the number of a row, for messages: `metadata.csv:3`.
    pub fn place(&self, file: &str, number: u64) -> String {
        if self.items { format!("{file}: item {number}") } else { format!("{file}:{number}") }
    }
}

/// Reads a metadata file. `caption_column` names the column of the captions, if the user chose one.
///
/// # Errors
/// Why the file as a whole cannot be used: a number of a line and a phrase.
pub(super) fn read(
    name: &str,
    bytes: &[u8],
    caption_column: Option<&str>,
) -> Result<Rows, (u64, String)> {
    let mut rows = Rows::default();
    let take = |rows: &mut Rows, record: Result<Record, BadRow>| match record
        .and_then(|record| interpret(rows, record, caption_column))
    {
        Ok(row) => rows.rows.push(row),
        Err(bad) => rows.bad.push(bad),
    };
    match extension(name).as_deref() {
        Some("csv" | "tsv" | "txt") => {
            let tabs = name.to_ascii_lowercase().ends_with(".tsv");
            csv::read(bytes, if tabs { b'\t' } else { b',' }, &mut |r| take(&mut rows, r))?;
        }
        extension => {
            let lines = extension != Some("json");
            let items = json::read(bytes, lines, &mut |record| take(&mut rows, record))?;
            rows.items = items;
        }
    }
    Ok(rows)
}

/// The columns of a text with a header and the delimiter that it uses, if one of them names files.
pub(super) fn header_with_files(bytes: &[u8]) -> Option<Vec<String>> {
    csv::header(bytes, b',').ok().map(|(_, columns)| columns)
}

/// Lower case, with `_` for spaces and hyphens.
fn normal(column: &str) -> String {
    column.trim().to_lowercase().replace([' ', '-'], "_")
}

/// Whether a column is `base` or one of `base_1`, `base2`, ….
fn is_numbered(column: &str, base: &str) -> bool {
    normal(column).strip_prefix(base).is_some_and(|rest| {
        rest.is_empty()
            || (rest.trim_start_matches('_').chars().all(|c| c.is_ascii_digit())
                && rest.chars().any(|c| c.is_ascii_digit()))
    })
}

/// Whether a text stands for a missing value, as data frames write it.
fn is_placeholder(text: &str) -> bool {
    matches!(
        text.trim().to_lowercase().as_str(),
        "nan" | "null" | "none" | "<na>" | "#n/a" | "n/a" | "na"
    )
}

fn interpret(rows: &mut Rows, record: Record, chosen: Option<&str>) -> Result<Row, BadRow> {
    for (column, _) in &record.fields {
        if !rows.columns.contains(column) {
            rows.columns.insert(column.clone());
        }
    }
    let number = record.number;
    let field = |names: &[&str]| {
        names
            .iter()
            .find_map(|name| record.fields.iter().find(|(column, _)| normal(column) == *name))
    };
    let mut bad = BadRow::new(number, String::new());
    bad.split = match field(&["split"]) {
        None | Some((_, Value::Null)) => None,
        Some((_, Value::String(split))) if split.trim().is_empty() || is_placeholder(split) => None,
        Some((_, split)) => match split.as_str().and_then(|s| Split::from_name(s.trim())) {
            Some(split) => Some(split),
            None => {
                bad.split_unknown = true;
                bad.reason = format!("split {split} is not train, val or test");
                None
            }
        },
    };
    let file = match field(FILE_COLUMNS) {
        Some((column, _)) if record.not_utf8.contains(column) => {
            Err(format!("`{column}` is not UTF-8"))
        }
        Some((column, Value::String(file))) => match file.trim() {
            "" => Err(format!("`{column}` is empty")),
            file => Ok(file.to_owned()),
        },
        Some((column, _)) => Err(format!("`{column}` is not a file name")),
        None => Err("there is no `file_name`".to_owned()),
    };
    match file {
        Ok(file) => bad.file = Some(file),
        Err(reason) => return Err(BadRow { reason, ..bad }),
    }
    if bad.split_unknown {
        return Err(bad);
    }
    let fail = |reason: String| BadRow { reason, ..bad.clone() };
    let captions = captions(rows, &record, chosen).map_err(fail)?;
    let label = match field(&["label"]) {
        Some((column, _)) if record.not_utf8.contains(column) => {
            return Err(fail("`label` is not UTF-8".into()));
        }
        Some((_, value)) => label(value).map_err(fail)?,
        None => None,
    };
    let (file, split) = (bad.file.unwrap_or_default(), bad.split);
    Ok(Row { number, file, captions, label, split })
}

/// The captions of a row.
fn captions(rows: &mut Rows, record: &Record, chosen: Option<&str>) -> Result<Vec<String>, String> {
    let columns = |accept: &dyn Fn(&str) -> bool| -> Vec<&(String, Value)> {
        record.fields.iter().filter(|(column, _)| accept(column)).collect()
    };
    let mut found: Option<(Vec<String>, String)> = None;
    if let Some(chosen) = chosen {
        let fields = columns(&|column| column == chosen || normal(column) == normal(chosen));
        found = Some((texts(rows, record, &fields)?, chosen.to_owned()));
    } else {
        for base in CAPTION_COLUMNS {
            let fields = columns(&|column| is_numbered(column, base));
            if fields.is_empty() {
                continue;
            }
            if found.is_some() {
                let texts = fields.iter().filter(|(_, v)| !matches!(v, Value::Null));
                rows.captions_unused.extend(texts.map(|(column, _)| column.clone()));
                continue;
            }
            let texts = texts(rows, record, &fields)?;
            if !texts.is_empty() {
                found = Some((texts, fields[0].0.clone()));
            }
        }
    }
    let Some((texts, column)) = found else { return Ok(Vec::new()) };
    if !texts.is_empty() {
        *rows.captions_from.entry(column).or_default() += 1;
    }
    Ok(texts)
}

fn texts(
    rows: &mut Rows,
    record: &Record,
    fields: &[&(String, Value)],
) -> Result<Vec<String>, String> {
    let mut out = Vec::new();
    for (column, value) in fields {
        if record.not_utf8.contains(column) {
            return Err("captions are not UTF-8; the image is kept without them".into());
        }
        let values = match value {
            Value::Array(values) => &values[..],
            value => std::slice::from_ref(value),
        };
        for value in values {
            match value {
                Value::Null => {}
                Value::String(text) if is_placeholder(text) => rows.placeholders += 1,
                Value::String(text) => out.extend(clean_caption(text)),
                _ => return Err(format!("`{column}` is neither a string nor a list of strings")),
            }
        }
    }
    Ok(out)
}

/// The class in a field. Numbers may be written as strings, because CSV has nothing else.
fn label(value: &Value) -> Result<Option<Label>, String> {
    let text = match value {
        Value::Null => return Ok(None),
        Value::String(text) => text.trim().replace('\\', "/"),
        Value::Number(number) => number.to_string(),
        other => return Err(format!("label {other} is neither a class number from 0 nor a name")),
    };
    if text.is_empty() || matches!(text.to_lowercase().as_str(), "nan" | "null" | "<na>" | "#n/a") {
        return Ok(None);
    }
    // Data frames with missing values store whole numbers as 3.0.
    let whole = text.strip_suffix(".0").unwrap_or(&text);
    match whole.parse::<u64>() {
        Ok(number) if number.to_string() == whole => Ok(Some(Label::Number(number))),
        _ if looks_like_number(&text) => {
            Err(format!("label {text} is neither a class number from 0 nor a name"))
        }
        _ => Ok(Some(Label::Name(text))),
    }
}

/// Whether a text is a number that cannot be a class: negative or with a fraction. `007` is a name.
fn looks_like_number(text: &str) -> bool {
    text.parse::<f64>().is_ok_and(|v| v.is_finite()) && text.contains(['-', '.'])
}

#[cfg(test)]
mod tests;
