//! Objects with rows under several keys, and objects with one entry per file.

use std::collections::HashMap;

use serde::de::{IgnoredAny, MapAccess, SeqAccess};
use serde_json::Value;

use super::items::{Fields, Item, Reader};
use super::lists::{passed_over, stop_unless};
use super::outline::Part;
use super::values::{By, Read};
use crate::data::formats::is_image_name;
use crate::data::sources::split_names;

/// Reads the parts of an object. If the key of a part is a split, the keys of all parts must be.
pub(super) struct Parts<'k, 'r, 'a, 'b> {
    pub rows: &'r mut Reader<'a, 'b>,
    pub parts: &'k HashMap<String, Part>,
    pub split: bool,
    pub number: u64,
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
pub(super) struct ByFile<'n, 'r, 'a, 'b> {
    pub rows: &'r mut Reader<'a, 'b>,
    pub split: Option<String>,
    pub number: &'n mut u64,
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
