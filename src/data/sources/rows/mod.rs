//! Rows of metadata files: which image they describe, with which captions, class and split.
//!
//! CSV, TSV, JSON Lines and JSON become [`Record`]s, and one function interprets these, so that the
//! formats agree. A row that cannot be understood is reported with its line; it is never used in
//! part.

mod columns;
mod csv;
mod json;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use unicode_normalization::UnicodeNormalization;

use self::columns::{Columns, LABELS, Role, SPLITS};
use super::captions::{self, clean_caption};
use super::split_names;
use crate::data::formats::extension;
use crate::data::record::Split;

pub(super) use self::columns::CAPTIONS as CAPTION_COLUMNS;

/// Largest number of rows of one file that cannot be used.
const MAX_BAD: usize = 100_000;

/// Largest number of values of a list in a row, missing ones included.
const MAX_LIST: usize = 10_000;

/// A row as it is in the file.
#[derive(Debug)]
struct Record {
    number: u64,
    /// Numbers of columns and what they contain.
    fields: Vec<(usize, Field)>,
}

/// The content of a field.
#[derive(Debug, PartialEq)]
enum Field {
    /// A single value, or a list. Objects are empty, and lists of lists are too.
    Value(Value),
    NotUtf8,
}

/// Takes the rows of a file one after the other; an error ends the reading.
type Take<'a> = dyn FnMut(&Columns, Result<Record, BadRow>) -> Result<(), (u64, String)> + 'a;

/// What each of the columns in [`SPLITS`] states.
type Stated = [Option<Split>; SPLITS.len()];

/// The meaning of a row.
#[derive(Debug)]
pub(super) struct Row {
    pub number: u64,
    pub file: String,
    pub captions: Vec<String>,
    pub label: Option<Label>,
    pub split: Option<Split>,
    stated: Stated,
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
    /// Whether nobody knows which field is which.
    unclear: bool,
    stated: Stated,
}

impl BadRow {
    fn new(number: u64, reason: String) -> Self {
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
    /// The columns that classes were read from, with the number of rows.
    pub labels_from: BTreeMap<String, usize>,
    /// Columns that contain classes by their names, and why they were not read.
    pub labels_unused: BTreeMap<String, String>,
    /// The column that the splits were read from, if it is not `split`.
    pub splits_from: Option<String>,
    /// Columns that contain splits by their names, and a value that is none.
    pub splits_unused: Vec<(String, String)>,
    /// Number of captions and labels that are placeholders for missing values: `nan`, `NULL`.
    pub placeholders: usize,
    /// Number of classes with the name `none`.
    pub none_labels: usize,
    split_columns: [SplitColumn; SPLITS.len()],
    /// Whether rows are numbered as items of an array, not as lines.
    items: bool,
}

/// What is known about the values of a column that may contain splits.
#[derive(Debug, Default)]
struct SplitColumn {
    name: Option<String>,
    /// Whether a value is a split.
    known: bool,
    /// The first value that is none.
    unknown: Option<String>,
}

impl Rows {
    /// A file and the number of a row, for messages: `metadata.csv:3`.
    pub fn place(&self, file: &str, number: u64) -> String {
        if self.items { format!("{file}: item {number}") } else { format!("{file}:{number}") }
    }

    /// Reads the splits from another column, if there is none called `split` and all values of the
    /// other one are splits.
    fn choose_split(&mut self) {
        let [split, others @ ..] = &mut self.split_columns;
        if split.name.is_some() {
            return;
        }
        let is_split = |column: &&SplitColumn| column.known && column.unknown.is_none();
        let Some(at) = others.iter().position(|column| is_split(&column)) else {
            self.splits_unused = others
                .iter_mut()
                .filter_map(|c| Some((c.name.take()?, c.unknown.take()?)))
                .collect();
            return;
        };
        self.splits_from = others[at].name.take();
        for row in &mut self.rows {
            row.split = row.stated[at + 1];
        }
        for bad in &mut self.bad {
            bad.split = bad.stated[at + 1];
            bad.split_unknown |= bad.unclear;
        }
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
    let mut columns = Columns::new(caption_column);
    let take = &mut |columns: &Columns, record: Result<Record, BadRow>| {
        let number = match &record {
            Ok(record) => record.number,
            Err(bad) => bad.number,
        };
        match record.and_then(|record| interpret(&mut rows, columns, record)) {
            Ok(row) => rows.rows.push(row),
            Err(bad) => rows.bad.push(bad),
        }
        if let (true, Some(first)) = (rows.bad.len() > MAX_BAD, rows.bad.first()) {
            let reason = &first.reason;
            return Err((first.number, format!("{reason}; and so do more than {MAX_BAD} others")));
        }
        if rows.rows.len() > captions::MAX_IN_TOTAL {
            return Err((number, format!("the limit is {} rows", captions::MAX_IN_TOTAL)));
        }
        Ok(())
    };
    let items = match extension(name).as_deref() {
        Some("csv" | "tsv" | "txt") => {
            let tabs = name.to_ascii_lowercase().ends_with(".tsv");
            csv::read(bytes, if tabs { b'\t' } else { b',' }, &mut columns, take)?;
            false
        }
        extension => json::read(bytes, extension != Some("json"), &mut columns, take)?,
    };
    rows.items = items;
    rows.columns = columns.names().collect();
    rows.choose_split();
    Ok(rows)
}

/// The columns of a text with a header and the delimiter that it uses, if one of them names files.
pub(super) fn header_with_files(bytes: &[u8]) -> Option<Vec<String>> {
    csv::header(bytes, b',').ok().map(|(_, columns)| columns)
}

/// Whether a text stands for a missing value, as data frames write it.
fn is_placeholder(text: &str) -> bool {
    matches!(
        text.trim().to_lowercase().as_str(),
        "nan" | "null" | "none" | "<na>" | "#n/a" | "n/a" | "na"
    )
}

fn interpret(rows: &mut Rows, columns: &Columns, record: Record) -> Result<Row, BadRow> {
    let number = record.number;
    let mut bad = BadRow::new(number, String::new());
    for (column, field) in &record.fields {
        let column = columns.get(*column);
        if let Role::Split(rank) = column.role {
            state_split(rows, &mut bad, rank, &column.name, field);
        }
    }
    bad.split = bad.stated[0];
    match file(columns, &record) {
        Ok(file) => bad.file = Some(file),
        Err(reason) => return Err(BadRow { reason, ..bad }),
    }
    if bad.split_unknown {
        return Err(bad);
    }
    let fail = |reason: String| BadRow { reason, ..bad.clone() };
    let captions = captions(rows, columns, &record).map_err(fail)?;
    let label = class(rows, columns, &record).map_err(fail)?;
    let (file, split) = (bad.file.unwrap_or_default(), bad.split);
    Ok(Row { number, file, captions, label, split, stated: bad.stated })
}

/// A single value as a text; None if it is a list or an object. CSV cannot tell a number from a
/// text, so JSON does not either.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::Null => Some(String::new()),
        Value::String(text) => Some(text.trim().to_owned()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Array(_) | Value::Object(_) => None,
    }
}

/// The name of a value that is not a single one.
fn kind(value: &Value) -> &'static str {
    if value.is_array() { "a list" } else { "an object" }
}

/// Notes what a column that may contain the split says in one row.
fn state_split(rows: &mut Rows, bad: &mut BadRow, rank: usize, name: &str, field: &Field) {
    let column = &mut rows.split_columns[rank];
    column.name.get_or_insert_with(|| name.to_owned());
    let text = match field {
        Field::Value(value) => scalar(value).unwrap_or_else(|| kind(value).to_owned()),
        Field::NotUtf8 => "\u{fffd}".to_owned(),
    };
    if text.is_empty() || is_placeholder(&text) {
        return;
    }
    let found = split_names::named(&text);
    let contradicts = found.is_some() && bad.stated[rank].is_some_and(|s| Some(s) != found);
    match found.filter(|_| !contradicts) {
        Some(split) => {
            column.known = true;
            bad.stated[rank] = Some(split);
        }
        None => {
            column.unknown.get_or_insert_with(|| text.clone());
            if rank == 0 {
                bad.split_unknown = true;
                bad.reason = match contradicts {
                    true => format!("`{name}` is there twice, with different values"),
                    false => format!("split {text:?} is not train, val or test"),
                };
            }
        }
    }
}

/// The file name in a row.
fn file(columns: &Columns, record: &Record) -> Result<String, String> {
    let rank = |at: usize| match columns.get(at).role {
        Role::File(rank) => Some(rank),
        _ => None,
    };
    let Some(best) = record.fields.iter().filter_map(|(at, _)| rank(*at)).min() else {
        return Err("there is no `file_name`".to_owned());
    };
    let mut found: Option<String> = None;
    for (at, field) in record.fields.iter().filter(|(at, _)| rank(*at) == Some(best)) {
        let column = &columns.get(*at).name;
        let file = match field {
            Field::NotUtf8 => return Err(not_utf8(column)),
            Field::Value(Value::Null) => None,
            Field::Value(value) => scalar(value),
        };
        match file {
            None => return Err(format!("`{column}` is not a file name")),
            Some(file) if file.is_empty() => return Err(format!("`{column}` is empty")),
            Some(file) if found.as_ref().is_some_and(|first| *first != file) => {
                return Err(format!("`{column}` is there twice, with different values"));
            }
            Some(file) => found = Some(file),
        }
    }
    Ok(found.unwrap_or_default())
}

fn not_utf8(column: &str) -> String {
    format!("`{column}` is not UTF-8; save the file as UTF-8")
}

/// The captions of a row.
fn captions(rows: &mut Rows, columns: &Columns, record: &Record) -> Result<Vec<String>, String> {
    let mut by_rank: BTreeMap<usize, Vec<&(usize, Field)>> = BTreeMap::new();
    for field in &record.fields {
        let column = columns.get(field.0);
        match (&columns.chosen, column.role) {
            (Some(_), _) if column.chosen => by_rank.entry(0).or_default().push(field),
            (None, Role::Caption(rank)) => by_rank.entry(rank).or_default().push(field),
            _ => {}
        }
    }
    let mut found: Vec<String> = Vec::new();
    for fields in by_rank.into_values() {
        if !found.is_empty() {
            let unused = fields.iter().filter(|(_, v)| *v != Field::Value(Value::Null));
            for (at, _) in unused {
                let name = &columns.get(*at).name;
                if !rows.captions_unused.contains(name) {
                    rows.captions_unused.insert(name.clone());
                }
            }
            continue;
        }
        for (at, field) in &fields {
            texts(rows, &columns.get(*at).name, field, &mut found)?;
        }
        if !found.is_empty() {
            // A file may have millions of rows.
            found.shrink_to_fit();
            let name = match &columns.chosen {
                Some(chosen) => chosen,
                None => &columns.get(fields[0].0).name,
            };
            match rows.captions_from.get_mut(name) {
                Some(count) => *count += 1,
                None => _ = rows.captions_from.insert(name.clone(), 1),
            }
        }
    }
    Ok(found)
}

/// Adds the captions in a field to `out`.
fn texts(
    rows: &mut Rows,
    column: &str,
    field: &Field,
    out: &mut Vec<String>,
) -> Result<(), String> {
    let values = match field {
        Field::NotUtf8 => return Err(not_utf8(column)),
        Field::Value(Value::Array(values)) if values.len() > MAX_LIST => {
            return Err(format!("`{column}` has more than {MAX_LIST} captions"));
        }
        Field::Value(Value::Array(values)) => &values[..],
        Field::Value(value) => std::slice::from_ref(value),
    };
    for value in values {
        match scalar(value) {
            None => return Err(format!("`{column}` is neither a text nor a list of texts")),
            Some(text) if is_placeholder(&text) => rows.placeholders += 1,
            Some(text) => out.extend(clean_caption(&text)),
        }
        if out.len() > captions::MAX_PER_IMAGE {
            return Err(format!("`{column}` has more than {} captions", captions::MAX_PER_IMAGE));
        }
    }
    Ok(())
}

/// The class of a row, from the first column that states one.
fn class(rows: &mut Rows, columns: &Columns, record: &Record) -> Result<Option<Label>, String> {
    let mut fields: Vec<(usize, &str, &Field)> = Vec::new();
    for (at, field) in &record.fields {
        let column = columns.get(*at);
        if let Role::Label(rank) = column.role {
            fields.push((rank, &column.name, field));
        }
    }
    fields.sort_by_key(|(rank, _, _)| *rank);
    let mut found: Option<(Label, &str)> = None;
    for (rank, name, field) in fields {
        let stated = match field {
            Field::NotUtf8 => Err(not_utf8(name)),
            Field::Value(value) => label(rows, value),
        };
        let stated = match stated {
            Ok(stated) => stated,
            Err(reason) if rank == 0 => return Err(reason),
            Err(reason) => {
                rows.labels_unused.entry(name.to_owned()).or_insert(reason);
                continue;
            }
        };
        match (stated, &found) {
            (Some(label), None) => found = Some((label, name)),
            (Some(label), Some((first, chosen))) if *chosen == name && *first != label => {
                return Err(format!("`{name}` is there twice, with different values"));
            }
            (Some(_), Some((_, chosen)))
                if *chosen != name && !rows.labels_unused.contains_key(name) =>
            {
                rows.labels_unused.insert(name.to_owned(), format!("`{chosen}` is used"));
            }
            _ => {}
        }
    }
    let Some((label, name)) = found else { return Ok(None) };
    match rows.labels_from.get_mut(name) {
        Some(count) => *count += 1,
        None => _ = rows.labels_from.insert(name.to_owned(), 1),
    }
    Ok(Some(label))
}

/// The class in a field. Numbers may be written as strings, because CSV has nothing else.
fn label(rows: &mut Rows, value: &Value) -> Result<Option<Label>, String> {
    let value = match value {
        Value::Array(values) if values.len() == 1 => &values[0],
        value => value,
    };
    let neither =
        |found: &str| format!("{} {found} is neither a class number from 0 nor a name", LABELS[0]);
    let Some(text) = scalar(value) else { return Err(neither(kind(value))) };
    // The forms of a name that look alike are one class.
    let text: String = text.replace('\\', "/").nfc().collect();
    if text.is_empty() {
        return Ok(None);
    }
    // Python writes `None` for a missing value, while a person may call a class `none`.
    if text == "None" || matches!(text.to_lowercase().as_str(), "nan" | "null" | "<na>" | "#n/a") {
        rows.placeholders += 1;
        return Ok(None);
    }
    rows.none_labels += usize::from(text.eq_ignore_ascii_case("none"));
    // Data frames with missing values store whole numbers as 3.0.
    let whole = text.strip_suffix(".0").unwrap_or(&text);
    match whole.parse::<u64>() {
        Ok(number) if number.to_string() == whole => Ok(Some(Label::Number(number))),
        _ if looks_like_number(&text) => Err(neither(&text)),
        _ => Ok(Some(Label::Name(text))),
    }
}

/// Whether a text is a number that cannot be a class: negative or with a fraction. `007` is a name.
fn looks_like_number(text: &str) -> bool {
    text.parse::<f64>().is_ok_and(|v| v.is_finite()) && text.contains(['-', '.'])
}

#[cfg(test)]
mod tests;
