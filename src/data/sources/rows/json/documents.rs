//! JSON documents that are one object: a row, the captions of COCO or of Karpathy's splits, or one
//! entry per file. The text is parsed once to recognise the kind, and again to read the rows, so that
//! the document is never held as a whole.

use std::collections::HashMap;

use serde::de::{Error, IgnoredAny, MapAccess};
use serde_json::Value;

use super::super::BadRow;
use super::super::columns::{Role, role};
use super::values::{By, Each, Keep, Read, STOPPED};
use super::{Fields, Item, Reader, parse};

/// The kinds of documents.
pub(super) enum Document {
    Row,
    Coco,
    Karpathy,
    Files,
}

impl Document {
    /// The kind of a text; `None` if it is not one object.
    pub fn recognise(text: &str) -> Option<Self> {
        parse(text, By(Outline)).ok().flatten()
    }

    /// Passes the rows on. Returns whether they are numbered as items.
    ///
    /// # Errors
    /// Those of the rows, and if the JSON is broken.
    pub fn read(self, text: &str, rows: &mut Reader) -> Result<bool, (u64, String)> {
        match self {
            Self::Row => {
                let row = parse(text, By(Fields(rows.columns))).map_err(super::broken)?;
                rows.item(row, 1).map(|()| false)
            }
            Self::Coco => coco(text, rows).map(|()| true),
            Self::Karpathy => karpathy(text, rows).map(|()| true),
            Self::Files => {
                let read = parse(text, By(ByFile(rows)));
                rows.ended(read).map(|()| true)
            }
        }
    }
}

/// Recognises the kind of a document.
struct Outline;

impl<'de> Read<'de> for Outline {
    type Value = Option<Document>;
    fn entries<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut row, mut sentences) = (false, false);
        // Whether these are lists; of a key that is there twice, the first counts.
        let (mut images, mut annotations) = (None, None);
        while let Some(key) = map.next_key::<String>()? {
            row |= matches!(role(&key), Role::File(_));
            match key.as_str() {
                "images" if images.is_none() => {
                    let each = |[found]: [Option<Value>; 1]| {
                        sentences |= found.is_some();
                        true
                    };
                    let each = Each([("sentences", Keep::Scalar)], each);
                    images = Some(map.next_value_seed(By(each))?);
                }
                "annotations" if annotations.is_none() => {
                    annotations = Some(map.next_value_seed(By(Each([], |_: [_; 0]| true)))?);
                }
                _ => _ = map.next_value::<IgnoredAny>()?,
            }
        }
        Ok(Some(match (images, annotations) {
            _ if row => Document::Row,
            (Some(true), Some(true)) => Document::Coco,
            (Some(true), _) if sentences => Document::Karpathy,
            _ => Document::Files,
        }))
    }
    fn other(self, _: Value) -> Self::Value {
        None
    }
}

/// Reads the first list under a key of an object.
struct Under<const N: usize, F>(&'static str, Each<N, F>);

impl<'de, const N: usize, F: FnMut([Option<Value>; N]) -> bool> Read<'de> for Under<N, F> {
    type Value = ();
    fn entries<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Under(wanted, each) = self;
        let mut each = Some(each);
        while let Some(key) = map.next_key::<String>()? {
            match each.take_if(|_| key == wanted) {
                Some(each) => _ = map.next_value_seed(By(each))?,
                None => _ = map.next_value::<IgnoredAny>()?,
            }
        }
        Ok(())
    }
    fn other(self, _: Value) {}
}

/// The captions of COCO: `images` with `id` and `file_name`, `annotations` with `image_id` and
/// `caption`.
fn coco(text: &str, rows: &mut Reader) -> Result<(), (u64, String)> {
    let mut files: HashMap<String, Value> = HashMap::new();
    let image = |[id, file]: [Option<Value>; 2]| {
        if let (Some(id), Some(file)) = (id, file) {
            files.insert(id.to_string(), file);
        }
        true
    };
    let keys = [("id", Keep::Scalar), ("file_name", Keep::Scalar)];
    parse(text, By(Under("images", Each(keys, image)))).map_err(super::broken)?;
    let mut number = 0;
    let annotation = |[id, caption]: [Option<Value>; 2]| {
        number += 1;
        let file = id.and_then(|id| files.get(&id.to_string()));
        rows.accepts(|rows| match file {
            None => rows.bad(BadRow::new(number, "names no image of `images`".into())),
            Some(file) => {
                let mut fields = vec![("file_name", file.clone())];
                fields.extend(caption.map(|caption| ("caption", caption)));
                rows.row(fields, vec![], number)
            }
        })
    };
    let keys = [("image_id", Keep::Scalar), ("caption", Keep::List)];
    let read = parse(text, By(Under("annotations", Each(keys, annotation))));
    rows.ended(read)
}

/// The captions and splits of "Deep Visual-Semantic Alignments for Generating Image Descriptions"
/// (Karpathy and Fei-Fei, 2015): `images` with `filename`, `split` and `sentences`, each of which
/// has the text in `raw`. `restval` is used for training.
fn karpathy(text: &str, rows: &mut Reader) -> Result<(), (u64, String)> {
    let mut number = 0;
    let image = |[file, folder, split, sentences]: [Option<Value>; 4]| {
        number += 1;
        let Some(Value::String(file)) = file else {
            let bad = BadRow::new(number, "there is no `filename`".into());
            return rows.accepts(|rows| rows.bad(bad));
        };
        let file = match folder.as_ref().and_then(Value::as_str) {
            Some(folder) if !folder.is_empty() => format!("{folder}/{file}"),
            _ => file,
        };
        let raw = sentences.filter(Value::is_array).unwrap_or_else(|| Value::Array(Vec::new()));
        let mut fields = vec![("file_name", Value::String(file)), ("sentences", raw)];
        match split {
            Some(split) if split == "restval" => fields.push(("split", "train".into())),
            split => fields.extend(split.map(|split| ("split", split))),
        }
        rows.accepts(|rows| rows.row(fields, vec![], number))
    };
    let keys = [
        ("filename", Keep::Scalar),
        ("filepath", Keep::Scalar),
        ("split", Keep::Scalar),
        ("sentences", Keep::Raw),
    ];
    let read = parse(text, By(Under("images", Each(keys, image))));
    rows.ended(read)
}

/// Reads an object whose keys are the names of files: the values are captions, or objects with the
/// other fields of a row.
struct ByFile<'r, 'a, 'b>(&'r mut Reader<'a, 'b>);

impl<'de> Read<'de> for ByFile<'_, '_, '_> {
    type Value = ();
    fn entries<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut number = 0;
        while let Some(file) = map.next_key::<String>()? {
            number += 1;
            let item = map.next_value_seed(By(Fields(self.0.columns)))?;
            let row = |rows: &mut Reader| {
                let file = ("file_name", Value::String(file));
                match item {
                    Item::Other(text) => rows.row(vec![file, ("text", text)], vec![], number),
                    Item::Row(fields) => rows.row(vec![file], fields, number),
                    Item::Bad(_) => rows.item(item, number),
                }
            };
            if !self.0.accepts(row) {
                return Err(A::Error::custom(STOPPED));
            }
        }
        Ok(())
    }
    fn other(self, _: Value) {}
}
