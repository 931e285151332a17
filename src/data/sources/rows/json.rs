//! JSON Lines, arrays of objects, and objects by file name.

use std::collections::HashMap;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::columns::{Columns, Role, role};
use super::{BadRow, Field, Record, Take, not_utf8};
use crate::data::record::Split;

/// Largest line of JSON Lines in bytes. A parsed line takes many times its size.
const MAX_LINE: usize = 16 << 20;

/// An object with all its keys, even those that are there twice.
type Object = Vec<(String, Value)>;

/// Reads JSON and passes its rows to `take`. `lines` tells that the file is JSON Lines by its name,
/// so that an object is a row. Returns whether rows are numbered as items of an
/// array, not as lines.
///
/// # Errors
/// If a JSON document as a whole is broken: the line and a phrase.
pub(super) fn read(
    bytes: &[u8],
    lines: bool,
    columns: &mut Columns,
    take: &mut Take,
) -> Result<bool, (u64, String)> {
    let mut rows = Reader { columns, take };
    let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
    if first == Some(&b'[') {
        let text = whole_text(bytes)?;
        let items: Vec<Item> = parse(&text).map_err(broken)?;
        for (item, number) in items.into_iter().zip(1..) {
            rows.item(item, number)?;
        }
        return Ok(true);
    }
    if !lines {
        // Some write JSON Lines under the name of JSON: a line is an object then.
        let text = std::str::from_utf8(bytes).ok();
        if let Some(Item::Object(object)) = text.and_then(|text| parse::<Item>(text).ok()) {
            return rows.single(object);
        }
        if looks_like_one_object(bytes) {
            return parse::<Value>(&whole_text(bytes)?).map(|_| false).map_err(broken);
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
            Ok(line) => match parse::<Item>(line) {
                Ok(item) => rows.item(item, number)?,
                Err(e) => rows.bad(BadRow::new(number, reason(&e)))?,
            },
            Err(_) => rows.bad(bad_encoding(line, number))?,
        }
    }
    Ok(false)
}

/// An item of an array, or a line.
enum Item {
    Object(Object),
    Other,
}

impl<'de> Deserialize<'de> for Item {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Item;
            fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
                f.write_str("JSON")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Item, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Item::Object(fields))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Item, A::Error> {
                while seq.next_element::<serde::de::IgnoredAny>()?.is_some() {}
                Ok(Item::Other)
            }
            fn visit_str<E>(self, _: &str) -> Result<Item, E> {
                Ok(Item::Other)
            }
            fn visit_bool<E>(self, _: bool) -> Result<Item, E> {
                Ok(Item::Other)
            }
            fn visit_i64<E>(self, _: i64) -> Result<Item, E> {
                Ok(Item::Other)
            }
            fn visit_u64<E>(self, _: u64) -> Result<Item, E> {
                Ok(Item::Other)
            }
            fn visit_f64<E>(self, _: f64) -> Result<Item, E> {
                Ok(Item::Other)
            }
            fn visit_unit<E>(self) -> Result<Item, E> {
                Ok(Item::Other)
            }
        }
        deserializer.deserialize_any(Any)
    }
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

/// Passes rows on.
struct Reader<'a, 'b> {
    columns: &'a mut Columns,
    take: &'a mut Take<'b>,
}

impl Reader<'_, '_> {
    fn bad(&mut self, bad: BadRow) -> Result<(), (u64, String)> {
        (self.take)(self.columns, Err(bad))
    }

    fn item(&mut self, item: Item, number: u64) -> Result<(), (u64, String)> {
        match item {
            Item::Object(fields) => self.row(fields, number),
            Item::Other => self.bad(BadRow::new(number, "is not an object".into())),
        }
    }

    fn row(&mut self, object: Object, number: u64) -> Result<(), (u64, String)> {
        let mut fields = Vec::with_capacity(object.len());
        for (key, value) in object {
            match self.columns.number(&key) {
                Ok(column) => fields.push((column, Field::Value(value))),
                Err(reason) => return self.bad(BadRow::new(number, reason)),
            }
        }
        (self.take)(self.columns, Ok(Record { number, fields }))
    }

    /// The rows of a document that is one object: a row, the captions of COCO or of Karpathy's
    /// splits, or one entry per file.
    fn single(&mut self, object: Object) -> Result<bool, (u64, String)> {
        if object.iter().any(|(key, _)| matches!(role(key), Role::File(_))) {
            return self.row(object, 1).map(|()| false);
        }
        let list = |name: &str| {
            let found = object.iter().find(|(key, _)| key == name);
            found.and_then(|(_, value)| value.as_array())
        };
        if let Some(images) = list("images") {
            if let Some(annotations) = list("annotations") {
                return self.coco(images, annotations).map(|()| true);
            }
            if images.iter().any(|image| image.get("sentences").is_some()) {
                return self.karpathy(images).map(|()| true);
            }
        }
        for ((file, value), number) in object.into_iter().zip(1..) {
            let mut fields = vec![("file_name".to_owned(), Value::String(file))];
            match value {
                Value::Object(more) => fields.extend(more),
                text => fields.push(("text".to_owned(), text)),
            }
            self.row(fields, number)?;
        }
        Ok(true)
    }

    /// The captions of COCO: `images` with `id` and `file_name`, `annotations` with `image_id` and
    /// `caption`.
    fn coco(&mut self, images: &[Value], annotations: &[Value]) -> Result<(), (u64, String)> {
        let files: HashMap<String, &Value> = images
            .iter()
            .filter_map(|image| Some((image.get("id")?.to_string(), image.get("file_name")?)))
            .collect();
        for (annotation, number) in annotations.iter().zip(1..) {
            let file = annotation.get("image_id").and_then(|id| files.get(&id.to_string()));
            let Some(file) = file else {
                self.bad(BadRow::new(number, "names no image of `images`".into()))?;
                continue;
            };
            let mut fields = vec![("file_name".to_owned(), (*file).clone())];
            if let Some(caption) = annotation.get("caption") {
                fields.push(("caption".to_owned(), caption.clone()));
            }
            self.row(fields, number)?;
        }
        Ok(())
    }

    /// The captions and splits of "Deep Visual-Semantic Alignments for Generating Image
    /// Descriptions" (Karpathy and Fei-Fei, 2015): `images` with `filename`, `split` and
    /// `sentences`, each of which has the text in `raw`. `restval` is used for training.
    fn karpathy(&mut self, images: &[Value]) -> Result<(), (u64, String)> {
        for (image, number) in images.iter().zip(1..) {
            let text = |key: &str| image.get(key).and_then(Value::as_str);
            let Some(file) = text("filename") else {
                self.bad(BadRow::new(number, "there is no `filename`".into()))?;
                continue;
            };
            let file = match text("filepath").filter(|folder| !folder.is_empty()) {
                Some(folder) => format!("{folder}/{file}"),
                None => file.to_owned(),
            };
            let sentences = image.get("sentences").and_then(Value::as_array);
            let raw: Vec<Value> = sentences
                .into_iter()
                .flatten()
                .filter_map(|sentence| sentence.get("raw").cloned())
                .collect();
            let mut fields = vec![
                ("file_name".to_owned(), Value::String(file)),
                ("sentences".to_owned(), Value::Array(raw)),
            ];
            match text("split") {
                Some("restval") => fields.push(("split".to_owned(), "train".into())),
                _ => fields.extend(image.get("split").map(|s| ("split".to_owned(), s.clone()))),
            }
            self.row(fields, number)?;
        }
        Ok(())
    }
}

/// A row that is not UTF-8, with the file name and the split if these parts are readable.
fn bad_encoding(line: &[u8], number: u64) -> BadRow {
    let mut bad = BadRow::new(number, not_utf8("text").replace("`text`", "the line"));
    if let Ok(Item::Object(fields)) = parse(&String::from_utf8_lossy(line)) {
        let text = |wanted: fn(Role) -> bool| {
            let (_, value) = fields.iter().find(|(key, _)| wanted(role(key)))?;
            value.as_str().filter(|text| !text.contains('\u{fffd}'))
        };
        bad.file = text(|role| matches!(role, Role::File(_))).map(str::to_owned);
        bad.split = text(|role| role == Role::Split(0)).and_then(Split::from_name);
        // The text of another column may be damaged, but the row as a whole is what it says.
        bad.stated[0] = bad.split;
    }
    bad
}

/// The message of serde_json without its line number, which is 1 wherever each line is parsed
/// separately.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line").next().unwrap_or(&text).to_owned()
}
