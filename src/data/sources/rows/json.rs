//! JSON Lines, arrays of objects, and objects by file name.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::{BadRow, FILE_COLUMNS, Record, normal};
use crate::data::record::Split;

/// Reads JSON and passes its rows to `take`. `lines` tells that the file is JSON Lines by its name,
/// so that an object is a row. Returns whether rows are numbered as items of an
/// array, not as lines.
///
/// # Errors
/// If a JSON document as a whole is broken: the line and a phrase.
pub(super) fn read(
    bytes: &[u8],
    lines: bool,
    take: &mut dyn FnMut(Result<Record, BadRow>),
) -> Result<bool, (u64, String)> {
    let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
    if first == Some(&b'[') {
        let text = whole_text(bytes)?;
        let items: Vec<Value> = parse(&text).map_err(broken)?;
        for (item, number) in items.into_iter().zip(1..) {
            take(row(item, number));
        }
        return Ok(true);
    }
    if !lines {
        // Some write JSON Lines under the name of JSON: a line is an object then.
        let text = std::str::from_utf8(bytes).ok();
        if let Some(object) = text.and_then(|text| parse::<Map<String, Value>>(text).ok()) {
            return Ok(single(object, take));
        }
        if looks_like_one_object(bytes) {
            return parse::<Value>(&whole_text(bytes)?).map(|_| false).map_err(broken);
        }
    }
    for (line, number) in bytes.split(|&b| b == b'\n').zip(1..) {
        if line.trim_ascii().is_empty() {
            continue;
        }
        take(match std::str::from_utf8(line) {
            Ok(line) => match parse::<Value>(line) {
                Ok(value) => row(value, number),
                Err(e) => Err(BadRow::new(number, reason(&e))),
            },
            Err(_) => Err(not_utf8(line, number)),
        });
    }
    Ok(false)
}

/// Whether lines are not objects of their own: the first one does not end its object.
fn looks_like_one_object(bytes: &[u8]) -> bool {
    let lines: Vec<&[u8]> = bytes
        .split(|&b| b == b'\n')
        .map(<[u8]>::trim_ascii)
        .filter(|line| !line.is_empty())
        .take(2)
        .collect();
    matches!(lines[..], [first, second] if !first.ends_with(b"}") && !second.starts_with(b"{"))
}

fn whole_text(bytes: &[u8]) -> Result<String, (u64, String)> {
    String::from_utf8(bytes.to_vec()).map_err(|e| {
        let line =
            1 + bytes[..e.utf8_error().valid_up_to()].iter().filter(|&&b| b == b'\n').count();
        (line as u64, "is not UTF-8".to_owned())
    })
}

fn broken(error: serde_json::Error) -> (u64, String) {
    (error.line() as u64, format!("broken JSON: {}", reason(&error)))
}

/// Parses JSON in which `NaN` and `Infinity` may stand for missing values, as Python writes them.
fn parse<T: serde::de::DeserializeOwned>(text: &str) -> serde_json::Result<T> {
    serde_json::from_str(text).or_else(|error| match without_nan(text) {
        Some(text) => serde_json::from_str(&text),
        None => Err(error),
    })
}

/// Replaces `NaN` and `Infinity` outside of strings by `null`; None if there are none.
fn without_nan(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let (mut quoted, mut escaped, mut replaced) = (false, false, false);
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let word =
            ["NaN", "-Infinity", "Infinity"].iter().find(|w| !quoted && rest.starts_with(**w));
        if let Some(word) = word {
            out.push_str("null");
            replaced = true;
            rest = &rest[word.len()..];
            continue;
        }
        quoted ^= c == '"' && !escaped;
        escaped = quoted && c == '\\' && !escaped;
        out.push(c);
        rest = &rest[c.len_utf8()..];
    }
    replaced.then_some(out)
}

/// The rows of a document that is one object: a row, the captions of COCO, or one entry per file.
fn single(object: Map<String, Value>, take: &mut dyn FnMut(Result<Record, BadRow>)) -> bool {
    if object.keys().any(|key| FILE_COLUMNS.contains(&normal(key).as_str())) {
        take(row(Value::Object(object), 1));
        return false;
    }
    if let (Some(Value::Array(images)), Some(Value::Array(annotations))) =
        (object.get("images"), object.get("annotations"))
    {
        coco(images, annotations, take);
        return true;
    }
    for ((file, value), number) in object.into_iter().zip(1..) {
        let mut fields = vec![("file_name".to_owned(), Value::String(file))];
        match value {
            Value::Object(more) => fields.extend(more),
            text => fields.push(("text".to_owned(), text)),
        }
        take(Ok(Record { number, fields, not_utf8: Vec::new() }));
    }
    true
}

/// The captions of COCO: `images` with `id` and `file_name`, `annotations` with `image_id` and
/// `caption`.
fn coco(images: &[Value], annotations: &[Value], take: &mut dyn FnMut(Result<Record, BadRow>)) {
    let files: HashMap<String, &Value> = images
        .iter()
        .filter_map(|image| Some((image.get("id")?.to_string(), image.get("file_name")?)))
        .collect();
    for (annotation, number) in annotations.iter().zip(1..) {
        let file = annotation.get("image_id").and_then(|id| files.get(&id.to_string()));
        let Some(file) = file else {
            take(Err(BadRow::new(number, "names no image of `images`".into())));
            continue;
        };
        let mut fields = vec![("file_name".to_owned(), (*file).clone())];
        if let Some(caption) = annotation.get("caption") {
            fields.push(("caption".to_owned(), caption.clone()));
        }
        take(Ok(Record { number, fields, not_utf8: Vec::new() }));
    }
}

fn row(value: Value, number: u64) -> Result<Record, BadRow> {
    match value {
        Value::Object(fields) => {
            Ok(Record { number, fields: fields.into_iter().collect(), not_utf8: Vec::new() })
        }
        _ => Err(BadRow::new(number, "is not an object".into())),
    }
}

/// A row that is not UTF-8, with the file name and the split if these parts are readable.
fn not_utf8(line: &[u8], number: u64) -> BadRow {
    let reason = "captions are not UTF-8; the image is kept without them".to_owned();
    let mut bad = BadRow::new(number, reason);
    if let Ok(Value::Object(fields)) = parse(&String::from_utf8_lossy(line)) {
        let text = |names: &[&str]| {
            let (_, value) =
                fields.iter().find(|(key, _)| names.contains(&normal(key).as_str()))?;
            value.as_str().filter(|text| !text.contains('\u{fffd}'))
        };
        bad.file = text(FILE_COLUMNS).map(str::to_owned);
        bad.split = text(&["split"]).and_then(Split::from_name);
    }
    bad
}

/// The message of serde_json without its line number, which is 1 wherever each line is parsed
/// separately.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line").next().unwrap_or(&text).to_owned()
}
