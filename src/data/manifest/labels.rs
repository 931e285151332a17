//! The classes in a `dataset.json` of the official StyleGAN tool. Values that are not classes are
//! not kept, so that reading takes a small multiple of the size of the file.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{self, IgnoredAny};

/// Largest number of images and their captions in a manifest, or of labels.
pub(super) const MAX_RECORDS: usize = 20_000_000;

/// The `labels` of a `dataset.json`: pairs of file and class, or an object by file name.
#[derive(Default)]
pub(super) struct Stated {
    pub labels: BTreeMap<String, u64>,
    /// The first file whose class cannot be used, the problem, and the hint.
    pub refused: Option<(String, String, &'static str)>,
}

impl Stated {
    fn add<E: de::Error>(&mut self, file: String, class: Class) -> Result<(), E> {
        if self.labels.len() >= MAX_RECORDS {
            return Err(E::custom(format!("there are more than {MAX_RECORDS} labels")));
        }
        let refusal = match class {
            Class::Other(found) => Some((
                format!("{found}; labels must be class numbers"),
                "remove `labels` from the file, or give whole numbers from 0",
            )),
            Class::Number(class) => match self.labels.get(&file) {
                Some(&first) if first != class => {
                    Some((format!("{first} and as {class}"), "give each image one class"))
                }
                _ => {
                    self.labels.insert(file, class);
                    return Ok(());
                }
            },
        };
        if let (None, Some((found, hint))) = (&self.refused, refusal) {
            self.refused = Some((file, found, hint));
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Stated {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Rows;
        impl<'de> de::Visitor<'de> for Rows {
            type Value = Stated;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a list of pairs of file name and class number")
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Stated, A::Error> {
                let mut stated = Stated::default();
                while let Some((file, class)) = seq.next_element()? {
                    stated.add(file, class)?;
                }
                Ok(stated)
            }
            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Stated, A::Error> {
                let mut stated = Stated::default();
                while let Some((file, class)) = map.next_entry()? {
                    stated.add(file, class)?;
                }
                Ok(stated)
            }
        }
        deserializer.deserialize_any(Rows)
    }
}

/// A class number, or the beginning of another value.
#[derive(Debug)]
pub(super) enum Class {
    Number(u64),
    Other(String),
}

impl<'de> Deserialize<'de> for Class {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> de::Visitor<'de> for Any {
            type Value = Class;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a class number")
            }
            fn visit_u64<E>(self, value: u64) -> Result<Class, E> {
                Ok(Class::Number(value))
            }
            fn visit_i64<E>(self, value: i64) -> Result<Class, E> {
                Ok(Class::Other(value.to_string()))
            }
            fn visit_f64<E>(self, value: f64) -> Result<Class, E> {
                // Programs that know no whole numbers write 3.0.
                let whole = value.fract() == 0.0 && (0.0..9e15).contains(&value);
                Ok(if whole {
                    Class::Number(value as u64)
                } else {
                    Class::Other(value.to_string())
                })
            }
            fn visit_bool<E>(self, value: bool) -> Result<Class, E> {
                Ok(Class::Other(value.to_string()))
            }
            fn visit_unit<E>(self) -> Result<Class, E> {
                Ok(Class::Other("null".to_owned()))
            }
            fn visit_str<E>(self, value: &str) -> Result<Class, E> {
                let head: String = value.chars().take(100).collect();
                Ok(Class::Other(format!("{head:?}")))
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Class, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Class::Other("a list".to_owned()))
            }
            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Class, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Class::Other("an object".to_owned()))
            }
        }
        deserializer.deserialize_any(Any)
    }
}
