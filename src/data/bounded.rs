//! Lists and maps of files from other people, with a largest length: an element may take many times
//! the bytes that it has in the file.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// Reads a list of at most `MAX` elements, for `deserialize_with`.
pub(super) fn list<'de, D, T, const MAX: usize>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    weighed(deserializer, MAX, |_| 1)
}

/// Reads a list whose elements weigh at most `max` together.
pub(super) fn weighed<'de, D, T>(
    deserializer: D,
    max: usize,
    weight: fn(&T) -> usize,
) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct List<T> {
        max: usize,
        weight: fn(&T) -> usize,
    }
    impl<'de, T: Deserialize<'de>> Visitor<'de> for List<T> {
        type Value = Vec<T>;
        fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
            f.write_str("a list")
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
            let (mut list, mut sum) = (Vec::new(), 0);
            while let Some(element) = seq.next_element()? {
                sum += (self.weight)(&element);
                if sum > self.max {
                    return Err(too_long(self.max));
                }
                list.push(element);
            }
            Ok(list)
        }
    }
    deserializer.deserialize_seq(List { max, weight })
}

/// Reads a map of at most `MAX` entries, for `deserialize_with`.
pub(super) fn map<'de, D, K, V, const MAX: usize>(
    deserializer: D,
) -> Result<BTreeMap<K, V>, D::Error>
where
    D: Deserializer<'de>,
    K: Deserialize<'de> + Ord,
    V: Deserialize<'de>,
{
    struct Map<K, V, const MAX: usize>(PhantomData<(K, V)>);
    impl<'de, K, V, const MAX: usize> Visitor<'de> for Map<K, V, MAX>
    where
        K: Deserialize<'de> + Ord,
        V: Deserialize<'de>,
    {
        type Value = BTreeMap<K, V>;
        fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
            let mut map = BTreeMap::new();
            while let Some((key, value)) = entries.next_entry()? {
                map.insert(key, value);
                if map.len() > MAX {
                    return Err(too_long(MAX));
                }
            }
            Ok(map)
        }
    }
    deserializer.deserialize_map(Map::<K, V, MAX>(PhantomData))
}

fn too_long<E: Error>(max: usize) -> E {
    E::custom(format!("a list is too long; the limit is {max}"))
}
