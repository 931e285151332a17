//! Rows of metadata files: which image they describe, with which captions, class and split.
//!
//! CSV, TSV, JSON Lines and JSON become [`Record`]s, and one function interprets these, so that the
//! formats agree. A row that cannot be understood is reported with its line; it is never used in
//! part.

mod columns;
mod csv;
mod json;
mod row;
mod split_columns;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use serde_json::Value;
use unicode_normalization::UnicodeNormalization;

use self::columns::{Column, Columns, LABELS, MAX_NAME, Role};
use self::row::{Field, IMAGES, Record, is_nested, kind, scalar};
use self::split_columns::{Chosen, Kind, SplitColumns};
use super::captions::{self, clean_caption, is_placeholder};
use crate::data::formats::extension;

pub(super) use self::columns::CAPTIONS as CAPTION_COLUMNS;
pub(super) use self::row::{BadRow, Form, Label, Row};

/// Largest number of rows of one file that cannot be used.
const MAX_BAD: usize = 100_000;

/// Largest number of values of a list in a row, missing ones included.
const MAX_LIST: usize = 10_000;

/// Largest number of fields of a row, empty ones included. Spreadsheets have up to 16,384 columns.
const MAX_FIELDS: usize = 20_000;

/// Longest name of a class in bytes.
const MAX_LABEL: usize = 1024;

/// Takes the rows of a file one after the other; an error ends the reading.
type Take<'a> = dyn FnMut(&Columns, Result<Record, BadRow>) -> Result<(), (u64, String)> + 'a;

/// The content of a metadata file.
#[derive(Debug, Default)]
pub(super) struct Rows {
    pub rows: Vec<Row>,
    pub bad: Vec<BadRow>,
    /// All columns or keys.
    pub columns: BTreeSet<String>,
    /// Columns that have no meaning.
    pub unused: Vec<String>,
    /// Keys of a document that contain no rows.
    pub passed_over: Vec<String>,
    /// The columns that captions were read from, with the number of rows.
    pub captions_from: BTreeMap<String, usize>,
    /// Columns that contain captions by their names, but were not read.
    pub captions_unused: BTreeSet<String>,
    /// The columns that classes were read from, with the number of rows.
    pub labels_from: BTreeMap<String, usize>,
    /// Columns that contain classes by their names, and why they were not read.
    pub labels_unused: BTreeMap<String, String>,
    /// How the splits were determined.
    pub splits: Chosen,
    /// Columns without a meaning that contain objects, or lists of objects.
    pub nested: BTreeSet<String>,
    /// Number of lists of captions that are written as text.
    pub lists_as_text: usize,
    /// Number of captions and labels that are placeholders for missing values: `nan`, `NULL`.
    pub placeholders: usize,
    /// Number of classes with the name `none`.
    pub none_labels: usize,
    split_columns: SplitColumns,
    /// The names of all files, while the rows are read.
    files: HashSet<Arc<str>>,
    /// How the rows are arranged.
    pub form: Form,
}

impl Rows {
    /// A file and the number of a row, for messages: `metadata.csv:3`.
    pub fn place(&self, file: &str, number: u64) -> String {
        match self.form {
            Form::Lines => format!("{file}:{number}"),
            Form::Coco if number > IMAGES => format!("{file}: image {}", number - IMAGES),
            _ => format!("{file}: item {number}"),
        }
    }

    /// The name of a file, in the memory of an equal one if there is one: a file of a megabyte may
    /// state a long name once and refer to it millions of times.
    fn shared(&mut self, file: String) -> Arc<str> {
        if let Some(known) = self.files.get(file.as_str()) {
            return known.clone();
        }
        let file: Arc<str> = file.into();
        self.files.insert(file.clone());
        file
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
            return Err((
                first.number % IMAGES,
                format!("{reason}; more than {MAX_BAD} rows cannot be read"),
            ));
        }
        if rows.rows.len() > captions::MAX_IN_TOTAL {
            return Err((number % IMAGES, format!("the limit is {} rows", captions::MAX_IN_TOTAL)));
        }
        Ok(())
    };
    let form = match extension(name).as_deref() {
        Some("csv" | "tsv" | "txt") => {
            let tabs = name.to_ascii_lowercase().ends_with(".tsv");
            csv::read(bytes, if tabs { b'\t' } else { b',' }, &mut columns, take)?;
            Form::Lines
        }
        extension => json::read(bytes, extension != Some("json"), &mut columns, take)?,
    };
    rows.form = form;
    rows.files = HashSet::new();
    rows.splits = std::mem::take(&mut rows.split_columns).assign(&mut rows.rows, &mut rows.bad);
    rows.passed_over = std::mem::take(&mut columns.passed_over);
    let all = columns.all().iter();
    rows.columns = all.clone().map(|column| column.name.clone()).collect();
    let unused = |(at, column): &(usize, &Column)| {
        // Data frames write the number of the row to a column without a name.
        let named = !column.name.is_empty() && !column.name.starts_with("Unnamed: ");
        let other = column.role == Role::Other && !column.chosen;
        named && other && !rows.splits.explained.contains(at)
    };
    rows.unused = all.enumerate().filter(unused).map(|(_, c)| c.name.clone()).collect();
    Ok(rows)
}

/// The columns of a text with a header and the delimiter that it uses, if one of them names files.
pub(super) fn header_with_files(bytes: &[u8]) -> Option<Vec<String>> {
    csv::header(bytes, b',').ok().map(|(_, columns)| columns)
}

/// Whether a JSON document has the form of COCO's annotations, and which one.
///
/// # Errors
/// If it is not JSON, as a phrase.
pub(super) fn coco(text: impl std::io::Read) -> Result<Option<Form>, String> {
    json::coco(text)
}

fn interpret(rows: &mut Rows, columns: &Columns, record: Record) -> Result<Row, BadRow> {
    let number = record.number;
    let mut bad = BadRow::new(number, String::new());
    for (column, field) in &record.fields {
        let at = *column;
        let column = columns.get(at);
        let kind = match column.role {
            Role::Split(kind) => kind,
            _ if column.watched => Kind::Watched,
            _ => continue,
        };
        if let (Kind::Watched, Field::Value(value)) = (kind, field)
            && is_nested(value)
            && !rows.nested.contains(&column.name)
        {
            rows.nested.insert(column.name.clone());
        }
        rows.split_columns.state(&mut bad, (at, &column.name, kind), field);
    }
    match file(columns, &record) {
        Ok(file) => bad.file = Some(rows.shared(file)),
        Err(reason) => return Err(BadRow { reason, ..bad }),
    }
    if bad.split_unknown {
        return Err(bad);
    }
    let fail = |reason: String| BadRow { reason, ..bad.clone() };
    let captions = captions(rows, columns, &record).map_err(fail)?;
    let label = class(rows, columns, &record).map_err(fail)?;
    let file = bad.file.unwrap_or_else(|| "".into());
    Ok(Row { number, file, captions, label, split: None, stated: bad.stated })
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
            Some(file) if file.len() > MAX_NAME => {
                let length = file.len();
                return Err(format!("`{column}` has {length} bytes; the limit is {MAX_NAME}"));
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
        if let Some(reason) = value.as_str().and_then(captions::too_long) {
            return Err(format!("`{column}` {reason}"));
        }
        match scalar(value) {
            None if is_nested(value) => {
                return Err(format!(
                    "`{column}` contains objects; captions must be a text or a list of texts"
                ));
            }
            None => return Err(format!("`{column}` is neither a text nor a list of texts")),
            Some(text) if is_placeholder(&text) => rows.placeholders += 1,
            Some(text) => match written_list(&text) {
                Some(list) => {
                    rows.lists_as_text += 1;
                    out.extend(list.iter().filter_map(|text| clean_caption(text)));
                }
                None => out.extend(clean_caption(&text)),
            },
        }
        if out.len() > captions::MAX_PER_IMAGE {
            return Err(format!("`{column}` has more than {} captions", captions::MAX_PER_IMAGE));
        }
    }
    Ok(())
}

/// The texts of a list that is written as text, `['one', 'two']`: data frames write lists to CSV
/// like this.
fn written_list(text: &str) -> Option<Vec<String>> {
    let mut rest = text.trim().strip_prefix('[')?.trim_start();
    let mut list = Vec::new();
    loop {
        let quote = rest.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
        let mut item = String::new();
        let mut chars = rest[1..].char_indices();
        let end = loop {
            match chars.next()? {
                (at, c) if c == quote => break at + 2,
                (_, '\\') => match chars.next()?.1 {
                    'n' | 'r' | 't' => item.push(' '),
                    c => item.push(c),
                },
                (_, c) => item.push(c),
            }
        };
        list.push(item);
        rest = rest[end..].trim_start();
        match rest.strip_prefix(',') {
            Some(more) => rest = more.trim_start(),
            None => return (rest == "]").then_some(list),
        }
    }
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
    if let Some(length) = value.as_str().map(str::len).filter(|&length| length > MAX_LABEL) {
        return Err(format!("{} has {length} bytes; the limit is {MAX_LABEL}", LABELS[0]));
    }
    // Data frames write lists to CSV as text.
    let written = value.as_str().filter(|text| text.starts_with('['));
    let written: Option<Value> = written.and_then(|text| serde_json::from_str(text).ok());
    let value = match written.as_ref().unwrap_or(value) {
        Value::Array(values) if values.len() == 1 => &values[0],
        value => value,
    };
    let neither =
        |found: &str| format!("{} {found} is neither a class number from 0 nor a name", LABELS[0]);
    let Some(text) = scalar(value) else {
        let (label, found) = (LABELS[0], kind(value));
        return Err(format!("{label} is {found}, not a class number from 0 or a name"));
    };
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
