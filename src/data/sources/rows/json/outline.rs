//! Recognises what kind of document a JSON object is, by its keys and by those of the objects in it.
//! Nothing is kept but the kind, so that large documents are read in little memory.

use std::collections::HashMap;
use std::io::{self, BufReader};

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess};
use serde_json::Value;

use super::items::parse;
use super::values::{By, Read};
use crate::data::formats::is_image_name;
use crate::data::sources::rows::columns::{Role, role};
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
    /// An answer of the dataset viewer of Hugging Face.
    Viewer,
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
    /// Whether the objects contain their rows.
    wraps_rows: bool,
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
                "row" => keys.wraps_rows = true,
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
        let (mut row, mut viewer) = (false, false);
        // Of a key that is there twice, the first counts.
        let (mut images, mut annotations) = (None, None);
        let mut parts = HashMap::new();
        while let Some(key) = map.next_key::<String>()? {
            row |= matches!(role(&key), Role::File(_));
            let keys = map.next_value_seed(By(Keys::default()))?;
            let part = match keys.objects {
                Some(_) if keys.names_files => Some(Part::List),
                // A list of names without a split contains nothing about its images.
                Some(_) if keys.lists_files => split_names::named(&key).map(|_| Part::List),
                None if keys.names_files => Some(Part::Map),
                _ => None,
            };
            if let Some(part) = part.filter(|_| !is_image_name(&key)) {
                parts.entry(key.clone()).or_insert(part);
            }
            viewer |= key == "rows" && keys.wraps_rows && !keys.names_files;
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
            false if viewer => Document::Viewer,
            false if annotations.image_id => Document::Orphans,
            false => Document::Files,
        }))
    }
    fn other(self, _: Value) -> Self::Value {
        None
    }
}
