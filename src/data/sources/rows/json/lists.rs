//! Lists in a JSON document, read element by element.

use serde::de::{Error, IgnoredAny, MapAccess, SeqAccess};
use serde_json::Value;

use super::values::{By, Read, STOPPED};

/// Takes the elements of a list one after the other.
pub(super) trait Each {
    /// Reads the next element. Returns false after the last one.
    fn next<'de, A: SeqAccess<'de>>(&mut self, seq: &mut A) -> Result<bool, A::Error>;
}

/// Reads the first list under a key of an object.
pub(super) struct Under<E>(pub &'static str, pub E);

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

pub(super) fn passed_over<'de, A: MapAccess<'de>>(mut map: A) -> Result<(), A::Error> {
    while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
    Ok(())
}

/// The error of a parser that must stop unless `accepted`.
pub(super) fn stop_unless<E: Error>(accepted: bool) -> Result<bool, E> {
    if accepted { Ok(true) } else { Err(E::custom(STOPPED)) }
}

impl<E: Each> Each for &mut E {
    fn next<'de, A: SeqAccess<'de>>(&mut self, seq: &mut A) -> Result<bool, A::Error> {
        (**self).next(seq)
    }
}
