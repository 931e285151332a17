//! JSON values as rows need them. What no row can use is passed over while it is read, so that a
//! file takes no more memory than a small multiple of its size: nested values are not kept, and
//! lists end after [`MAX_LIST`] values.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::super::MAX_LIST;
use super::super::columns::{Role, role};
use crate::json::scalar_values;

/// How much of a value is kept.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Keep {
    /// A single value. A list or an object becomes an empty one.
    Scalar,
    /// A single value or a list of single values. At most [`MAX_LIST`] + 1 of them are kept.
    List,
}

impl<'de> DeserializeSeed<'de> for Keep {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Keep {
    scalar_values!();
    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while self != Keep::Scalar && values.len() <= MAX_LIST {
            match seq.next_element_seed(Keep::Scalar)? {
                Some(value) => values.push(value),
                None => return Ok(Value::Array(values)),
            }
        }
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Value::Array(values))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Value::Object(Map::new()))
    }
}

/// A way to read values of any kind.
pub(super) trait Read<'de>: Sized {
    type Value;

    /// Reads the entries of an object.
    fn entries<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error>;

    /// Reads the elements of a list.
    fn list<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
        Ok(self.other(Keep::List.visit_seq(seq)?))
    }

    /// Takes a value that is neither.
    fn other(self, value: Value) -> Self::Value;
}

/// Reads a value in a certain way.
pub(super) struct By<R>(pub R);

impl<'de, R: Read<'de>> DeserializeSeed<'de> for By<R> {
    type Value = R::Value;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<R::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, R: Read<'de>> Visitor<'de> for By<R> {
    type Value = R::Value;
    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("JSON")
    }
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<R::Value, A::Error> {
        self.0.entries(map)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<R::Value, A::Error> {
        self.0.list(seq)
    }
    fn visit_unit<E>(self) -> Result<R::Value, E> {
        Ok(self.0.other(Value::Null))
    }
    fn visit_bool<E>(self, value: bool) -> Result<R::Value, E> {
        Ok(self.0.other(value.into()))
    }
    fn visit_i64<E>(self, value: i64) -> Result<R::Value, E> {
        Ok(self.0.other(value.into()))
    }
    fn visit_u64<E>(self, value: u64) -> Result<R::Value, E> {
        Ok(self.0.other(value.into()))
    }
    fn visit_f64<E>(self, value: f64) -> Result<R::Value, E> {
        Ok(self.0.other(value.into()))
    }
    fn visit_str<E>(self, value: &str) -> Result<R::Value, E> {
        Ok(self.0.other(value.into()))
    }
}

/// A list of captions: texts, or objects that contain one under `raw`, as those of Karpathy do, or
/// under another name of captions, or only its words under `tokens`.
pub(super) struct Sentences;

impl<'de> Read<'de> for Sentences {
    type Value = Value;
    fn list<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while values.len() <= MAX_LIST {
            match seq.next_element_seed(By(Sentence))? {
                Some(value) => values.push(value),
                None => return Ok(Value::Array(values)),
            }
        }
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Value::Array(values))
    }
    fn entries<A: MapAccess<'de>>(self, map: A) -> Result<Value, A::Error> {
        Sentence.entries(map)
    }
    fn other(self, value: Value) -> Value {
        value
    }
}

/// One of them. An object without a caption becomes an empty one.
struct Sentence;

impl<'de> Read<'de> for Sentence {
    type Value = Value;
    fn entries<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let (mut raw, mut named, mut tokens) = (None, None, None);
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "raw" => raw = Some(map.next_value_seed(Keep::Scalar)?),
                "tokens" => tokens = Some(map.next_value_seed(Keep::List)?),
                key if matches!(role(key), Role::Caption(_)) => {
                    named = Some(map.next_value_seed(Keep::Scalar)?);
                }
                _ => _ = map.next_value::<IgnoredAny>()?,
            }
        }
        let words = tokens.as_ref().and_then(Value::as_array).map(|tokens| {
            let words: Vec<&str> = tokens.iter().filter_map(Value::as_str).collect();
            Value::from(words.join(" "))
        });
        Ok(raw.or(named).or(words).unwrap_or_else(|| Value::Object(Map::new())))
    }
    fn other(self, value: Value) -> Value {
        value
    }
}

/// The error of a reading that was given up, for a reason that is known elsewhere.
pub(super) const STOPPED: &str = "stopped";
