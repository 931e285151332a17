//! JSON values as rows need them. What no row can use is passed over while it is read, so that a
//! file takes no more memory than a small multiple of its size: nested values are not kept, and
//! lists end after [`MAX_LIST`] values.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::super::MAX_LIST;
use crate::json::scalar_values;

/// How much of a value is kept.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Keep {
    /// A single value. A list or an object becomes an empty one.
    Scalar,
    /// A single value or a list of single values, of which one more than [`MAX_LIST`] is kept.
    List,
    /// Like `List`, but an object in the list stands for its value `raw`.
    Raw,
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
            let value = match self {
                Keep::Raw => seq.next_element_seed(By(Pick([("raw", Keep::Scalar)])))?,
                _ => seq.next_element_seed(Keep::Scalar)?.map(|value| [Some(value)]),
            };
            match value {
                Some([value]) => values.extend(value),
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

/// The values of a few keys of an object; all are `None` if it is not an object.
pub(super) struct Pick<const N: usize>(pub [(&'static str, Keep); N]);

impl<'de, const N: usize> Read<'de> for Pick<N> {
    type Value = [Option<Value>; N];
    fn entries<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = [const { None }; N];
        while let Some(key) = map.next_key::<String>()? {
            match self.0.iter().position(|(name, _)| *name == key) {
                Some(at) => found[at] = Some(map.next_value_seed(self.0[at].1)?),
                None => _ = map.next_value::<IgnoredAny>()?,
            }
        }
        Ok(found)
    }
    fn other(self, _: Value) -> Self::Value {
        [const { None }; N]
    }
}

/// Passes what `Pick` finds in each element of a list to a function, until it returns false. The
/// value tells whether it is a list.
pub(super) struct Each<const N: usize, F>(pub [(&'static str, Keep); N], pub F);

impl<'de, const N: usize, F: FnMut([Option<Value>; N]) -> bool> Read<'de> for Each<N, F> {
    type Value = bool;
    fn list<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<bool, A::Error> {
        while let Some(found) = seq.next_element_seed(By(Pick(self.0)))? {
            if !(self.1)(found) {
                return Err(A::Error::custom(STOPPED));
            }
        }
        Ok(true)
    }
    fn entries<A: MapAccess<'de>>(self, map: A) -> Result<bool, A::Error> {
        Keep::Scalar.visit_map(map).map(|_| false)
    }
    fn other(self, _: Value) -> bool {
        false
    }
}

/// The error of a reading that was given up, for a reason that is known elsewhere.
pub(super) const STOPPED: &str = "stopped";
