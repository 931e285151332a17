//! JSON documents that are one object: a row, lists of rows, the captions of COCO or of Karpathy's
//! splits, or one entry per file. The text is parsed once to recognise the kind, and again to read the rows, so that
//! the document is never held as a whole.

use std::collections::HashMap;
use std::io::{self, BufReader};

use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess};
use serde_json::Value;

use super::super::columns::{Role, role};
use super::super::{BadRow, Form};
use super::items::{Fields, Item, Reader, broken, parse};
use super::values::{By, Each, Keep, Read, STOPPED};
use crate::data::record::Split;

/// The kinds of documents.
pub(super) enum Document {
    /// A row.
    Row,
    /// The captions of COCO.
    Coco,
    /// Objects in images, in the format of COCO.
    Objects,
    /// Karpathy's captions and splits.
    Karpathy,
    /// Lists of rows under these keys.
    Lists(Vec<String>),
    /// One entry per file.
    Files,
}

impl Document {
    /// The kind of a text; `None` if it is not one object.
    pub fn recognise(text: &str) -> Option<Self> {
        parse(text, By(Outline)).ok().flatten()
    }

    /// The kind of a text that is too large to be held in memory.
    pub fn recognise_stream(text: impl io::Read) -> Option<Self> {
        let text = BufReader::new(Short {
            text: io::Read::take(text, MAX_STREAM),
            since: 0,
            escape: false,
        });
        let mut json = serde_json::Deserializer::from_reader(text);
        By(Outline).deserialize(&mut json).ok().flatten()
    }

    /// Passes the rows on. Returns how they are arranged.
    ///
    /// # Errors
    /// Those of the rows, and if the JSON is broken.
    pub fn read(self, text: &str, rows: &mut Reader) -> Result<Form, (u64, String)> {
        match self {
            Self::Row => {
                let row = parse(text, By(Fields(rows.columns))).map_err(broken)?;
                rows.item(row, 1).map(|()| Form::Lines)
            }
            Self::Coco => coco(text, rows).map(|()| Form::Coco),
            Self::Objects => Ok(Form::Objects),
            Self::Karpathy => karpathy(text, rows),
            Self::Lists(keys) => {
                let read = parse(text, By(Lists { rows, keys: &keys, number: 0 }));
                rows.ended(read).map(|()| Form::Items)
            }
            Self::Files => {
                let read = parse(text, By(ByFile(rows)));
                rows.ended(read).map(|()| Form::Items)
            }
        }
    }
}

/// Largest document that is recognised, in bytes. The largest file of COCO has 470 million.
const MAX_STREAM: u64 = 512 << 20;
/// Largest number of bytes between two quotation marks. The parser holds a whole text in memory.
const MAX_SHORT: usize = 1 << 20;

/// A document without long texts; reading fails at one.
struct Short<R> {
    text: R,
    /// Number of bytes since the last quotation mark.
    since: usize,
    /// Whether the last byte was a backslash.
    escape: bool,
}

impl<R: io::Read> io::Read for Short<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.text.read(out)?;
        for &byte in &out[..count] {
            self.since = if byte == b'"' && !self.escape { 0 } else { self.since + 1 };
            self.escape = byte == b'\\';
            if self.since > MAX_SHORT {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a text is too long"));
            }
        }
        Ok(count)
    }
}

/// Number of objects of a list whose keys are looked at closely.
const CLOSELY: usize = 100;

/// The keys of the objects in a list.
#[derive(Default)]
struct Keys {
    /// Number of objects; `None` if the value is not a list.
    objects: Option<usize>,
    names_files: bool,
    sentences: bool,
    image_id: bool,
    caption: bool,
}

impl<'de> Read<'de> for Keys {
    type Value = Keys;
    fn list<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<Keys, A::Error> {
        self.objects = Some(0);
        while let Some(()) = seq.next_element_seed(By(Entry(&mut self)))? {}
        Ok(self)
    }
    fn entries<A: MapAccess<'de>>(self, mut map: A) -> Result<Keys, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(self)
    }
    fn other(self, _: Value) -> Keys {
        self
    }
}

/// Notes the keys of an object.
struct Entry<'a>(&'a mut Keys);

impl<'de> Read<'de> for Entry<'_> {
    type Value = ();
    fn entries<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let keys = self.0;
        let closely = keys.objects.is_some_and(|count| count < CLOSELY);
        keys.objects = keys.objects.map(|count| count + 1);
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "sentences" => keys.sentences = true,
                "image_id" => keys.image_id = true,
                "caption" => keys.caption = true,
                _ => {}
            }
            keys.names_files |= closely && matches!(role(&key), Role::File(_));
            map.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }
    fn list<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }
    fn other(self, _: Value) {}
}

/// Recognises the kind of a document.
struct Outline;

impl<'de> Read<'de> for Outline {
    type Value = Option<Document>;
    fn entries<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut row = false;
        // Of a key that is there twice, the first counts.
        let (mut images, mut annotations) = (None, None);
        let mut lists = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            row |= matches!(role(&key), Role::File(_));
            let keys = map.next_value_seed(By(Keys::default()))?;
            if keys.names_files && !lists.contains(&key) {
                lists.push(key.clone());
            }
            match key.as_str() {
                "images" if images.is_none() => images = Some(keys),
                "annotations" if annotations.is_none() => annotations = Some(keys),
                _ => {}
            }
        }
        let (images, annotations) = (images.unwrap_or_default(), annotations.unwrap_or_default());
        let related =
            images.objects.is_some() && (annotations.image_id || annotations.objects == Some(0));
        Ok(Some(match related {
            _ if row => Document::Row,
            true if annotations.image_id && !annotations.caption => Document::Objects,
            true => Document::Coco,
            false if images.sentences => Document::Karpathy,
            false if !lists.is_empty() => Document::Lists(lists),
            false => Document::Files,
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
    // Nobody knows which of the files the captions of such an id belong to.
    let mut several: HashMap<String, String> = HashMap::new();
    let image = |[id, file]: [Option<Value>; 2]| {
        if let (Some(id), Some(file)) = (id, file) {
            let id = id.to_string();
            match files.get(&id) {
                Some(first) if *first != file => {
                    let reason = format!("`images` has the id {id} twice, for {first} and {file}");
                    several.entry(id).or_insert(reason);
                }
                Some(_) => {}
                None => _ = files.insert(id, file),
            }
        }
        true
    };
    let keys = [("id", Keep::Scalar), ("file_name", Keep::Scalar)];
    parse(text, By(Under("images", Each(keys, image)))).map_err(broken)?;
    let mut number = 0;
    let annotation = |[id, caption]: [Option<Value>; 2]| {
        number += 1;
        let id = id.map(|id| id.to_string()).unwrap_or_default();
        if let Some(reason) = several.get(&id) {
            return rows.accepts(|rows| rows.bad(BadRow::new(number, reason.clone())));
        }
        let file = files.get(&id);
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
fn karpathy(text: &str, rows: &mut Reader) -> Result<Form, (u64, String)> {
    let (mut number, mut placed) = (0, false);
    let image = |[file, folder, split, sentences]: [Option<Value>; 4]| {
        number += 1;
        let Some(Value::String(file)) = file else {
            let bad = BadRow::new(number, "there is no `filename`".into());
            return rows.accepts(|rows| rows.bad(bad));
        };
        let file = match folder.as_ref().and_then(Value::as_str) {
            Some(folder) if !folder.is_empty() => {
                placed = true;
                format!("{folder}/{file}")
            }
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
    rows.ended(read)?;
    Ok(if placed { Form::Placed } else { Form::Items })
}

/// Reads the lists of rows in an object. The key of a list may be the split of its rows.
struct Lists<'k, 'r, 'a, 'b> {
    rows: &'r mut Reader<'a, 'b>,
    keys: &'k [String],
    number: u64,
}

impl<'de> Read<'de> for Lists<'_, '_, '_, '_> {
    type Value = ();
    fn entries<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            if !self.keys.contains(&key) {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let split = Split::from_name(&key);
            let (rows, number) = (&mut *self.rows, &mut self.number);
            map.next_value_seed(By(List { rows, split, number }))?;
        }
        Ok(())
    }
    fn other(self, _: Value) {}
}

/// Reads a list of rows, all of which have the same split if it is known.
struct List<'n, 'r, 'a, 'b> {
    rows: &'r mut Reader<'a, 'b>,
    split: Option<Split>,
    number: &'n mut u64,
}

impl<'de> Read<'de> for List<'_, '_, '_, '_> {
    type Value = ();
    fn list<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while let Some(item) = seq.next_element_seed(By(Fields(self.rows.columns)))? {
            *self.number += 1;
            let number = *self.number;
            let split = self.split.map(|split| ("split", Value::from(split.name())));
            let pass = |rows: &mut Reader| match item {
                Item::Row(fields) => rows.row(split.into_iter().collect(), fields, number),
                item => rows.item(item, number),
            };
            if !self.rows.accepts(pass) {
                return Err(A::Error::custom(STOPPED));
            }
        }
        Ok(())
    }
    fn entries<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(())
    }
    fn other(self, _: Value) {}
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
