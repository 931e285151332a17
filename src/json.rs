//! JSON of any kind from files of other people, within a limit on memory: a parsed value may take a
//! hundred times the size of its text.

use std::cell::Cell;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Bytes that a value takes in a list that has grown to twice its need.
const VALUE: usize = 64;
/// Bytes that an object takes for its first entry.
const OBJECT: usize = 700;
/// Bytes that an entry of an object takes on average, without the text of its key.
const ENTRY: usize = 160;

/// Parses a text whose value takes at most about `limit` bytes.
///
/// # Errors
/// The problem, as a phrase.
pub(crate) fn parse(text: &str, limit: usize) -> Result<Value, String> {
    let mut json = serde_json::Deserializer::from_str(text);
    let value = within(&mut json, limit).map_err(|e| e.to_string())?;
    json.end().map_err(|e| e.to_string())?;
    Ok(value)
}

/// Reads a value that takes at most about `limit` bytes.
pub(crate) fn within<'de, D: Deserializer<'de>>(
    deserializer: D,
    limit: usize,
) -> Result<Value, D::Error> {
    let left = Cell::new(limit);
    Within { left: &left, limit }.deserialize(deserializer)
}

/// The part of a [`Visitor`] that builds values of JSON other than texts, lists and objects.
macro_rules! scalar_values {
    () => {
        type Value = serde_json::Value;
        fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
            f.write_str("JSON")
        }
        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(Self::Value::Null)
        }
        fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
            Ok(value.into())
        }
        fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
            Ok(value.into())
        }
        fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
            Ok(value.into())
        }
        fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
            // NaN and infinities become null.
            Ok(value.into())
        }
    };
}
pub(crate) use scalar_values;

#[derive(Clone, Copy)]
struct Within<'a> {
    left: &'a Cell<usize>,
    limit: usize,
}

impl Within<'_> {
    fn charge<E: Error>(self, bytes: usize) -> Result<(), E> {
        match self.left.get().checked_sub(bytes) {
            Some(left) => {
                self.left.set(left);
                Ok(())
            }
            None => Err(E::custom(format!("takes more than {} MiB of memory", self.limit >> 20))),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Within<'_> {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Within<'_> {
    scalar_values!();
    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        self.charge(value.len())?;
        Ok(value.into())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = seq.next_element_seed(self)? {
            self.charge(VALUE)?;
            values.push(value);
        }
        Ok(Value::Array(values))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            self.charge(key.len() + if map.is_empty() { OBJECT } else { ENTRY })?;
            map.insert(key, entries.next_value_seed(self)?);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_within_the_limit_are_those_of_serde_json() {
        let text = r#"{"a": [1, -2, 0.5, true, null, "x"], "b": {"c": {}}, "d": "é\n"}"#;
        let expected: Value = serde_json::from_str(text).unwrap();
        assert_eq!(parse(text, 1 << 20), Ok(expected));
        assert!(parse("[1] 2", 1 << 20).is_err());
        assert!(parse("[1", 1 << 20).is_err());
    }

    #[test]
    fn large_values_are_refused_before_they_are_built() {
        for part in ["[],", "{\"\":0},", "\"\",", "0,", "\"a long text of no use at all, really\","]
        {
            let text = format!("[{}0]", part.repeat(100_000));
            let error = parse(&text, 1 << 20).unwrap_err();
            assert!(error.contains("more than 1 MiB"), "{part}: {error}");
        }
        let keys: Vec<String> = (0..100_000).map(|key| format!("\"{key}\":0")).collect();
        assert!(parse(&format!("{{{}}}", keys.join(",")), 1 << 20).is_err());
    }
}
