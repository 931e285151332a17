//! JSON documents that are one object: a row, parts with rows, the captions of COCO or of Karpathy's
//! splits, or one entry per file. The text is parsed once to recognise the kind, and again to read
//! the rows, so that the document is never held as a whole.

use std::collections::HashMap;
use std::io::{self, BufReader};

use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess};
use serde_json::Value;

use super::super::columns::{Role, role};
use super::super::row::IMAGES;
use super::super::{BadRow, Form};
use super::items::{Collected, Fields, Item, Keyed, Reader, broken, parse};
use super::values::{By, Keep, Read, STOPPED, Sentences};
use crate::data::formats::is_image_name;
use crate::data::sources::split_names;

/// The kinds of documents.
pub(super) enum Document {
    /// A row.
    Row,
    /// The captions of COCO; without `annotated`, only `images` describes the images.
    Coco { annotated: bool },
    /// Objects in images, in the format of COCO.
    Objects,
    /// Annotations in the format of COCO without the images that they are about.
    Orphans,
    /// Karpathy's captions and splits.
    Karpathy,
    /// Rows under these keys.
    Parts(HashMap<String, Part>),
    /// One entry per file.
    Files,
}

/// How the rows under a key are arranged.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Part {
    /// A list of rows, or of names of files.
    List,
    /// An object with one entry per file.
    Map,
}

impl Document {
    /// The kind of a text; `None` if it is not one object.
    pub fn recognise(text: &str) -> Option<Self> {
        parse(text, By(Outline)).ok().flatten()
    }

    /// The kind of a text that is too large to be held in memory; `None` if it is not an object.
    ///
    /// # Errors
    /// If it is not JSON.
    pub fn recognise_stream(text: impl io::Read) -> serde_json::Result<Option<Self>> {
        let text = BufReader::new(Short {
            text: io::Read::take(text, MAX_STREAM),
            since: 0,
            quoted: false,
            escape: false,
            word: false,
        });
        let mut json = serde_json::Deserializer::from_reader(text);
        By(Outline).deserialize(&mut json)
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
            Self::Coco { annotated } => coco(text, annotated, rows).map(|()| Form::Coco),
            Self::Objects => Ok(Form::Objects),
            Self::Orphans => {
                let reason = "`annotations` refers to images by `image_id`, but there is no list \
                              `images` with their names";
                Err((1, reason.to_owned()))
            }
            Self::Karpathy => karpathy(text, rows),
            Self::Parts(parts) => {
                let split = parts.keys().any(|key| split_names::named(key).is_some());
                let read = parse(text, By(Parts { rows, parts: &parts, split, number: 0 }));
                rows.ended(read).map(|()| Form::Items)
            }
            Self::Files => {
                let read = parse(text, By(ByFile { rows, split: None, number: &mut 0 }));
                rows.ended(read).map(|()| Form::Items)
            }
        }
    }
}

/// Largest document that is recognised, in bytes. The largest file of COCO has 470 million.
const MAX_STREAM: u64 = 512 << 20;
/// Largest number of bytes between two quotation marks. The parser holds a whole text in memory.
const MAX_SHORT: usize = 1 << 20;

/// A document without long texts; reading fails at one. Numbers take the place of `NaN` and
/// `Infinity`, which Python writes.
struct Short<R> {
    text: R,
    /// Number of bytes since the last quotation mark.
    since: usize,
    /// Whether the last byte is in a text.
    quoted: bool,
    /// Whether the last byte was a backslash that changes the meaning of the next one.
    escape: bool,
    /// Whether the last byte is in one of these words.
    word: bool,
}

impl<R: io::Read> io::Read for Short<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.text.read(out)?;
        for byte in &mut out[..count] {
            let mark = *byte == b'"' && !self.escape;
            self.since = if mark { 0 } else { self.since + 1 };
            self.quoted ^= mark;
            self.escape = self.quoted && *byte == b'\\' && !self.escape;
            let starts = !self.quoted && !self.word && matches!(*byte, b'N' | b'I');
            self.word = starts || self.word && byte.is_ascii_alphabetic();
            if self.word {
                *byte = if starts { b'0' } else { b' ' };
            }
            if self.since > MAX_SHORT {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a text is too long"));
            }
        }
        Ok(count)
    }
}

/// Number of objects of a list whose keys are looked at closely.
const CLOSELY: usize = 100;

/// The keys of the objects in a list, or those of an object.
#[derive(Default)]
struct Keys {
    /// Number of objects; `None` if the value is not a list.
    objects: Option<usize>,
    /// Whether the objects are rows, or the keys of the object are names of images.
    names_files: bool,
    /// Whether the list contains names of images.
    lists_files: bool,
    /// Whether the objects state a caption, a class or a split.
    describes: bool,
    sentences: bool,
    image_id: bool,
    caption: bool,
    /// Whether the objects state a text that may be a caption.
    text: bool,
    /// Whether the objects have boxes or outlines.
    boxes: bool,
}

impl<'de> Read<'de> for Keys {
    type Value = Keys;
    fn list<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<Keys, A::Error> {
        self.objects = Some(0);
        while let Some(()) = seq.next_element_seed(By(Entry(&mut self)))? {}
        Ok(self)
    }
    fn entries<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Keys, A::Error> {
        let mut count = 0;
        while let Some(key) = map.next_key::<String>()? {
            count += 1;
            self.names_files |= count <= CLOSELY && is_image_name(&key);
            map.next_value::<IgnoredAny>()?;
        }
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
                "caption" | "captions" => keys.caption = true,
                "split" => keys.describes = true,
                "bbox" | "segmentation" => keys.boxes = true,
                _ => {}
            }
            match if closely { role(&key) } else { Role::Other } {
                Role::File(_) => keys.names_files = true,
                Role::Caption(_) => (keys.text, keys.describes) = (true, true),
                Role::Label(_) | Role::Split(_) => keys.describes = true,
                Role::Other => {}
            }
            map.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }
    fn list<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }
    fn other(self, value: Value) {
        self.0.lists_files |= value.as_str().is_some_and(is_image_name);
    }
}

/// Recognises the kind of a document.
struct Outline;

impl<'de> Read<'de> for Outline {
    type Value = Option<Document>;
    fn entries<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut row = false;
        // Of a key that is there twice, the first counts.
        let (mut images, mut annotations) = (None, None);
        let mut parts = HashMap::new();
        while let Some(key) = map.next_key::<String>()? {
            row |= matches!(role(&key), Role::File(_));
            let keys = map.next_value_seed(By(Keys::default()))?;
            let part = match keys.objects {
                Some(_) if keys.names_files => Some(Part::List),
                // A list of names without a split says nothing about its images.
                Some(_) if keys.lists_files => split_names::named(&key).map(|_| Part::List),
                None if keys.names_files => Some(Part::Map),
                _ => None,
            };
            if let Some(part) = part.filter(|_| !is_image_name(&key)) {
                parts.entry(key.clone()).or_insert(part);
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
        // The texts in images, which some datasets have beside boxes, are not captions.
        let captions = annotations.caption || annotations.text && !annotations.boxes;
        Ok(Some(match related {
            _ if row => Document::Row,
            true if annotations.image_id && !captions && !images.describes => Document::Objects,
            true => Document::Coco { annotated: captions },
            false if images.sentences => Document::Karpathy,
            false if !parts.is_empty() => Document::Parts(parts),
            false if annotations.image_id => Document::Orphans,
            false => Document::Files,
        }))
    }
    fn other(self, _: Value) -> Self::Value {
        None
    }
}

/// Takes the elements of a list one after the other.
trait Each {
    /// Reads the next element. Returns false after the last one.
    fn next<'de, A: SeqAccess<'de>>(&mut self, seq: &mut A) -> Result<bool, A::Error>;
}

/// Reads the first list under a key of an object.
struct Under<E>(&'static str, E);

impl<'de, E: Each> Read<'de> for Under<E> {
    type Value = ();
    fn entries<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Under(wanted, each) = self;
        let mut each = Some(each);
        while let Some(key) = map.next_key::<String>()? {
            match each.take_if(|_| key == wanted) {
                Some(each) => map.next_value_seed(By(Elements(each)))?,
                None => _ = map.next_value::<IgnoredAny>()?,
            }
        }
        Ok(())
    }
    fn other(self, _: Value) {}
}

struct Elements<E>(E);

impl<'de, E: Each> Read<'de> for Elements<E> {
    type Value = ();
    fn list<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        while self.0.next(&mut seq)? {}
        Ok(())
    }
    fn entries<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        passed_over(map)
    }
    fn other(self, _: Value) {}
}

fn passed_over<'de, A: MapAccess<'de>>(mut map: A) -> Result<(), A::Error> {
    while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
    Ok(())
}

/// The error of a parser that must stop unless `accepted`.
fn stop_unless<E: Error>(accepted: bool) -> Result<bool, E> {
    if accepted { Ok(true) } else { Err(E::custom(STOPPED)) }
}

/// The captions of COCO: `images` with `id` and `file_name`, `annotations` with `image_id` and
/// `caption`. Both may state more about an image: its class, its split, other captions.
fn coco(text: &str, annotated: bool, rows: &mut Reader) -> Result<(), (u64, String)> {
    let mut images = CocoImages { rows, files: HashMap::new(), several: HashMap::new(), number: 0 };
    let read = parse(text, By(Under("images", &mut images)));
    let CocoImages { rows, files, several, .. } = images;
    rows.ended(read)?;
    if !annotated {
        return Ok(());
    }
    let annotations = CocoAnnotations { rows, files: &files, several: &several, number: 0 };
    let read = parse(text, By(Under("annotations", annotations)));
    rows.ended(read)
}

impl<E: Each> Each for &mut E {
    fn next<'de, A: SeqAccess<'de>>(&mut self, seq: &mut A) -> Result<bool, A::Error> {
        (**self).next(seq)
    }
}

/// Keys of `images` in the files of COCO that say nothing of use.
const IMAGE_KEYS: &[&str] =
    &["license", "coco_url", "flickr_url", "height", "width", "date_captured"];

struct CocoImages<'r, 'a, 'b> {
    rows: &'r mut Reader<'a, 'b>,
    /// The file of each id.
    files: HashMap<String, Value>,
    /// Ids of several files, and the reason for not using them: nobody knows which of the files
    /// their captions belong to.
    several: HashMap<String, String>,
    number: u64,
}

impl Each for CocoImages<'_, '_, '_> {
    fn next<'de, A: SeqAccess<'de>>(&mut self, seq: &mut A) -> Result<bool, A::Error> {
        let columns = &mut *self.rows.columns;
        let keyed = Keyed { columns, key: "id", without: IMAGE_KEYS };
        let Some((id, item)) = seq.next_element_seed(By(keyed))? else { return Ok(false) };
        self.number += 1;
        let Item::Row(fields) = item else {
            let number = IMAGES + self.number;
            return stop_unless(self.rows.accepts(|rows| rows.item(item, number)));
        };
        let rank = |column: usize| match self.rows.columns.get(column).role {
            Role::File(rank) => Some(rank),
            _ => None,
        };
        let best =
            fields.iter().filter(|(at, _)| rank(*at).is_some()).min_by_key(|(at, _)| rank(*at));
        if let (Some(id), Some(file)) = (id, best.and_then(|(_, field)| field.value())) {
            let id = id.to_string();
            match self.files.get(&id) {
                Some(first) if first != file => {
                    let reason = format!("`images` has the id {id} twice, for {first} and {file}");
                    self.several.entry(id).or_insert(reason);
                }
                Some(_) => {}
                None => _ = self.files.insert(id, file.clone()),
            }
        }
        if fields.iter().all(|(at, _)| rank(*at).is_some()) {
            return Ok(true);
        }
        let number = IMAGES + self.number;
        stop_unless(self.rows.accepts(|rows| rows.item(Item::Row(fields), number)))
    }
}

/// Keys of `annotations` in the files of COCO that say nothing about the image as a whole.
const ANNOTATION_KEYS: &[&str] = &["id", "category_id", "bbox", "segmentation", "area", "iscrowd"];

struct CocoAnnotations<'r, 'i, 'a, 'b> {
    rows: &'r mut Reader<'a, 'b>,
    files: &'i HashMap<String, Value>,
    several: &'i HashMap<String, String>,
    number: u64,
}

impl Each for CocoAnnotations<'_, '_, '_, '_> {
    fn next<'de, A: SeqAccess<'de>>(&mut self, seq: &mut A) -> Result<bool, A::Error> {
        let columns = &mut *self.rows.columns;
        let keyed = Keyed { columns, key: "image_id", without: ANNOTATION_KEYS };
        let Some((id, item)) = seq.next_element_seed(By(keyed))? else { return Ok(false) };
        self.number += 1;
        let number = self.number;
        let id = id.map(|id| id.to_string()).unwrap_or_default();
        let (several, file) = (self.several.get(&id), self.files.get(&id));
        stop_unless(self.rows.accepts(|rows| match (several, file, item) {
            (Some(reason), _, _) => rows.bad(BadRow::new(number, reason.clone())),
            (None, None, _) => rows.bad(BadRow::new(number, "names no image of `images`".into())),
            (None, Some(file), Item::Row(mut fields)) => {
                let is_file = |at: usize| matches!(rows.columns.get(at).role, Role::File(_));
                fields.retain(|(at, _)| !is_file(*at));
                rows.row(vec![("file_name", file.clone())], fields, number)
            }
            (None, Some(_), item) => rows.item(item, number),
        }))
    }
}

/// The captions and splits of "Deep Visual-Semantic Alignments for Generating Image Descriptions"
/// (Karpathy and Fei-Fei, 2015): `images` with `filename`, `split` and `sentences`, each of which
/// has the text in `raw`. `restval` is used for training.
fn karpathy(text: &str, rows: &mut Reader) -> Result<Form, (u64, String)> {
    let mut images = KarpathyImages { rows, number: 0, placed: false };
    let read = parse(text, By(Under("images", &mut images)));
    let KarpathyImages { rows, placed, .. } = images;
    rows.ended(read)?;
    Ok(if placed { Form::Placed } else { Form::Items })
}

struct KarpathyImages<'r, 'a, 'b> {
    rows: &'r mut Reader<'a, 'b>,
    number: u64,
    /// Whether an image names the folder of its file.
    placed: bool,
}

impl Each for KarpathyImages<'_, '_, '_> {
    fn next<'de, A: SeqAccess<'de>>(&mut self, seq: &mut A) -> Result<bool, A::Error> {
        let image = KarpathyImage(self.rows);
        let Some((known, item)) = seq.next_element_seed(By(image))? else { return Ok(false) };
        self.number += 1;
        let number = self.number;
        let [file, folder, split, sentences] = known;
        let Some(Value::String(file)) = file else {
            let bad = BadRow::new(number, "there is no `filename`".into());
            return stop_unless(self.rows.accepts(|rows| rows.bad(bad)));
        };
        let file = match folder.as_ref().and_then(Value::as_str) {
            Some(folder) if !folder.is_empty() => {
                self.placed = true;
                format!("{folder}/{file}")
            }
            _ => file,
        };
        let mut fields = vec![("file_name", Value::String(file))];
        fields.extend(sentences.map(|sentences| ("sentences", sentences)));
        match split {
            Some(split) if split == "restval" => fields.push(("split", "train".into())),
            split => fields.extend(split.map(|split| ("split", split))),
        }
        stop_unless(self.rows.accepts(|rows| match item {
            Item::Row(more) => rows.row(fields, more, number),
            item => rows.item(item, number),
        }))
    }
}

/// Keys of `images` in Karpathy's files that say nothing of use.
const KARPATHY_KEYS: &[&str] = &["imgid", "sentids", "cocoid"];

/// Reads the file, its folder, the split and the sentences of an image, and what else is stated
/// about it.
struct KarpathyImage<'r, 'a, 'b>(&'r mut Reader<'a, 'b>);

impl<'de> Read<'de> for KarpathyImage<'_, '_, '_> {
    type Value = ([Option<Value>; 4], Item);
    fn entries<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut known = [const { None }; 4];
        let mut row = Collected::default();
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "filename" => known[0] = Some(map.next_value_seed(Keep::Scalar)?),
                "filepath" => known[1] = Some(map.next_value_seed(Keep::Scalar)?),
                "split" => known[2] = Some(map.next_value_seed(Keep::Scalar)?),
                "sentences" => known[3] = Some(map.next_value_seed(By(Sentences))?),
                key if KARPATHY_KEYS.contains(&key) || matches!(role(key), Role::File(_)) => {
                    map.next_value::<IgnoredAny>()?;
                }
                key => row.add(key, &mut map, self.0.columns)?,
            }
        }
        Ok((known, row.item()))
    }
    fn other(self, value: Value) -> Self::Value {
        ([const { None }; 4], Item::Other(value))
    }
}

/// Reads the parts of an object. If the key of a part is a split, the keys of all parts must be.
struct Parts<'k, 'r, 'a, 'b> {
    rows: &'r mut Reader<'a, 'b>,
    parts: &'k HashMap<String, Part>,
    split: bool,
    number: u64,
}

impl<'de> Read<'de> for Parts<'_, '_, '_, '_> {
    type Value = ();
    fn entries<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            let (rows, number) = (&mut *self.rows, &mut self.number);
            // The reader of rows refuses a split that it does not understand.
            let split = self.split.then(|| match split_names::named(&key) {
                Some(split) => split.name().to_owned(),
                None => key.clone(),
            });
            match self.parts.get(&key) {
                Some(Part::List) => map.next_value_seed(By(List { rows, split, number }))?,
                Some(Part::Map) => map.next_value_seed(By(ByFile { rows, split, number }))?,
                None if is_image_name(&key) => {
                    ByFile { rows, split: None, number }.entry(key, &mut map)?;
                }
                None => {
                    rows.columns.pass_over(key);
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
    fn other(self, _: Value) {}
}

/// Reads a list of rows, all of which have the same split if it is known.
struct List<'n, 'r, 'a, 'b> {
    rows: &'r mut Reader<'a, 'b>,
    split: Option<String>,
    number: &'n mut u64,
}

impl<'de> Read<'de> for List<'_, '_, '_, '_> {
    type Value = ();
    fn list<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while let Some(item) = seq.next_element_seed(By(Fields(self.rows.columns)))? {
            *self.number += 1;
            let number = *self.number;
            let split = self.split.as_deref().map(|split| ("split", Value::from(split)));
            let pass = |rows: &mut Reader| match item {
                Item::Row(fields) => rows.row(split.into_iter().collect(), fields, number),
                Item::Other(Value::String(file)) if split.is_some() => {
                    let file = ("file_name", Value::String(file));
                    rows.row(split.into_iter().chain([file]).collect(), vec![], number)
                }
                item => rows.item(item, number),
            };
            stop_unless(self.rows.accepts(pass))?;
        }
        Ok(())
    }
    fn entries<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        passed_over(map)
    }
    fn other(self, _: Value) {}
}

/// Reads an object whose keys are the names of files: the values are captions, or objects with the
/// other fields of a row. All have the same split if it is known.
struct ByFile<'n, 'r, 'a, 'b> {
    rows: &'r mut Reader<'a, 'b>,
    split: Option<String>,
    number: &'n mut u64,
}

impl ByFile<'_, '_, '_, '_> {
    /// Reads what the object says about `file`.
    fn entry<'de, A: MapAccess<'de>>(&mut self, file: String, map: &mut A) -> Result<(), A::Error> {
        *self.number += 1;
        let number = *self.number;
        let item = map.next_value_seed(By(Fields(self.rows.columns)))?;
        let mut known = vec![("file_name", Value::String(file))];
        known.extend(self.split.as_deref().map(|split| ("split", Value::from(split))));
        let row = |rows: &mut Reader| match item {
            Item::Other(text) => {
                known.push(("text", text));
                rows.row(known, vec![], number)
            }
            Item::Row(fields) => rows.row(known, fields, number),
            Item::Bad(_) => rows.item(item, number),
        };
        stop_unless(self.rows.accepts(row)).map(|_| ())
    }
}

impl<'de> Read<'de> for ByFile<'_, '_, '_, '_> {
    type Value = ();
    fn entries<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(file) = map.next_key::<String>()? {
            self.entry(file, &mut map)?;
        }
        Ok(())
    }
    fn other(self, _: Value) {}
}
