//! JSON Lines, arrays of objects, and objects by file name.

mod coco;
mod documents;
mod items;
mod karpathy;
mod lists;
mod outline;
mod parts;
mod values;

use std::borrow::Cow;

use serde::de::{Error, IgnoredAny, MapAccess, SeqAccess};
use serde_json::Value;
use serde_json::error::Category;

use self::items::{Fields, Item, Reader, broken, parse, reason};
use self::outline::Document;
use self::values::{By, Read, STOPPED};
use super::columns::{Columns, Role};
use super::split_columns::Kind;
use super::{BadRow, Field, Form, Take, not_utf8};
use crate::data::record::Split;

/// Largest line of JSON Lines in bytes.
const MAX_LINE: usize = 16 << 20;

/// Reads JSON and passes its rows to `take`. If `lines`, the name of the file says JSON Lines, and
/// every object is a row. Returns how the rows are arranged.
///
/// # Errors
/// If a JSON document as a whole is broken: the line and a phrase.
pub(super) fn read(
    bytes: &[u8],
    lines: bool,
    columns: &mut Columns,
    take: &mut Take,
) -> Result<Form, (u64, String)> {
    let mut rows = Reader { columns, take, stopped: None };
    let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
    if first == Some(&b'[') {
        let text = without_nan(whole_text(bytes)?);
        let read = parse(&text, By(Array(&mut rows)));
        return rows.ended(read).map(|()| Form::Items);
    }
    if !lines {
        // Some write JSON Lines under the name of JSON: a line is an object then.
        if let Ok(text) = std::str::from_utf8(bytes) {
            let text = without_nan(text);
            if let Some(document) = Document::recognise(&text) {
                return document.read(&text, &mut rows);
            }
        }
        if looks_like_one_object(bytes) {
            let text = without_nan(whole_text(bytes)?);
            return serde_json::from_str::<IgnoredAny>(&text).map(|_| Form::Lines).map_err(broken);
        }
    }
    // Old programs of the Mac end lines with `\r` alone.
    let end = if bytes.contains(&b'\n') { b'\n' } else { b'\r' };
    for (line, number) in bytes.split(|&b| b == end).zip(1..) {
        if line.trim_ascii().is_empty() {
            continue;
        }
        if line.len() > MAX_LINE {
            rows.bad(BadRow::new(number, format!("has more than {MAX_LINE} bytes")))?;
            continue;
        }
        match std::str::from_utf8(line) {
            Ok(line) => match parse(&without_nan(line), By(Fields(rows.columns))) {
                Ok(item) => rows.item(item, number)?,
                Err(e) => rows.bad(BadRow::new(number, line_reason(&e, line)))?,
            },
            Err(_) => rows.bad(bad_encoding(line, number))?,
        }
    }
    Ok(Form::Lines)
}

/// Reads an array of rows.
struct Array<'r, 'a, 'b>(&'r mut Reader<'a, 'b>);

impl<'de> Read<'de> for Array<'_, '_, '_> {
    type Value = ();
    fn list<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let mut number = 1;
        while let Some(item) = seq.next_element_seed(By(Fields(self.0.columns)))? {
            if !self.0.accepts(|rows| rows.item(item, number)) {
                return Err(A::Error::custom(STOPPED));
            }
            number += 1;
        }
        Ok(())
    }
    fn entries<A: MapAccess<'de>>(self, _: A) -> Result<(), A::Error> {
        Ok(())
    }
    fn other(self, _: Value) {}
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

fn whole_text(bytes: &[u8]) -> Result<&str, (u64, String)> {
    std::str::from_utf8(bytes).map_err(|e| {
        let line = 1 + bytes[..e.valid_up_to()].iter().filter(|&&b| b == b'\n').count();
        (line as u64, "is not UTF-8".to_owned())
    })
}

/// Replaces `NaN` and `Infinity` outside of strings by `null`: Python writes them for missing values.
fn without_nan(text: &str) -> Cow<'_, str> {
    if !text.contains("NaN") && !text.contains("Infinity") {
        return text.into();
    }
    let mut out = String::with_capacity(text.len());
    let (mut quoted, mut escaped) = (false, false);
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let word =
            ["NaN", "-Infinity", "Infinity"].iter().find(|w| !quoted && rest.starts_with(**w));
        if let Some(word) = word {
            out.push_str("null");
            rest = &rest[word.len()..];
            continue;
        }
        quoted ^= c == '"' && !escaped;
        escaped = quoted && c == '\\' && !escaped;
        out.push(c);
        rest = &rest[c.len_utf8()..];
    }
    out.into()
}

/// Whether a JSON document has the form of COCO's annotations, and which one.
///
/// # Errors
/// If it is not JSON, as a phrase.
pub(super) fn coco(text: impl std::io::Read) -> Result<Option<Form>, String> {
    match Document::recognise_stream(text).map_err(|e| format!("broken JSON: {e}"))? {
        Some(Document::Coco { .. }) => Ok(Some(Form::Coco)),
        Some(Document::Objects) => Ok(Some(Form::Objects)),
        _ => Ok(None),
    }
}

/// A row that is not UTF-8, with the file name and the split if these parts are readable.
fn bad_encoding(line: &[u8], number: u64) -> BadRow {
    let mut bad = BadRow::new(number, not_utf8("text").replace("`text`", "the line"));
    let mut columns = Columns::new(None);
    let line = String::from_utf8_lossy(line);
    if let Ok(Item::Row(fields)) = parse(&without_nan(&line), By(Fields(&mut columns))) {
        let text = |wanted: fn(Role) -> bool| {
            let (_, field) = fields.iter().find(|(at, _)| wanted(columns.get(*at).role))?;
            let Field::Value(value) = field else { return None };
            value.as_str().filter(|text| !text.contains('\u{fffd}'))
        };
        bad.file = text(|role| matches!(role, Role::File(_))).map(Into::into);
        bad.split = text(|role| role == Role::Split(Kind::FIRST)).and_then(Split::from_name);
    }
    bad
}

/// Why a line is not a row.
fn line_reason(error: &serde_json::Error, line: &str) -> String {
    let reason = reason(error);
    let object = line.trim_start().starts_with('{');
    match error.classify() {
        Category::Eof if object => {
            format!("the object does not end on its line ({reason}); write one object per line")
        }
        Category::Syntax if object && reason == "trailing characters" => {
            "there is more after the object; write one object per line".to_owned()
        }
        _ if !object => format!("{reason}; a line of JSON Lines is an object"),
        _ => reason,
    }
}
