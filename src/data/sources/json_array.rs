//! JSON arrays that are too large to be held in memory.

use std::cell::Cell;
use std::fmt;
use std::io::{self, BufRead, BufReader, Read};
use std::marker::PhantomData;

use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, SeqAccess, Visitor};

use super::tree::Tree;
use crate::error::{Error, Result};
use crate::mistaken;

/// Largest size of one element.
const MAX_ELEMENT_BYTES: u64 = 64 << 20;

/// Passes each element of the JSON array in the file `name` to `each`, one after the other.
///
/// # Errors
/// A user error if the file is missing or broken.
pub(super) fn stream<T: DeserializeOwned>(
    tree: &Tree,
    name: &str,
    mut each: impl FnMut(T),
) -> Result<()> {
    let shown = tree.shown(name);
    let Some(at) = tree.get(name) else {
        return Err(Error::user(format!("{shown}: missing"))
            .hint("add the file, or read SRC as a plain folder with --format folder"));
    };
    let since_element = Cell::new(0);
    // What is wrong with the file as a whole, and advice.
    let other = Cell::new(None);
    let parse = |file: &mut dyn Read| {
        let mut file = BufReader::with_capacity(1 << 20, file);
        let head = file.fill_buf().map_err(serde_json::Error::io)?;
        if let Some(kind) = mistaken::recognise(head) {
            other.set(Some((format!("the file is {}", kind.name), kind.hint)));
            return Err(serde_json::Error::io(io::ErrorKind::InvalidData.into()));
        }
        match head {
            [0xef, 0xbb, 0xbf, ..] => file.consume(3),
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => {
                other.set(Some(("the file is UTF-16 text".to_owned(), "save it as UTF-8")));
                return Err(serde_json::Error::io(io::ErrorKind::InvalidData.into()));
            }
            _ => {}
        }
        let reader = Limited { file, since_element: &since_element };
        let mut json = serde_json::Deserializer::from_reader(reader);
        let each = |element| {
            since_element.set(0);
            each(element);
        };
        Each(each, PhantomData).deserialize(&mut json).and_then(|()| json.end())
    };
    tree.stream(at, parse).map_err(|reason| tree.unusable(at, &reason))?.map_err(|e| {
        if let Some((finding, hint)) = other.take() {
            return Error::user(format!("{shown}: {finding}")).hint(hint);
        }
        if e.is_io() && e.io_error_kind() != Some(io::ErrorKind::InvalidData) {
            return Error::io(&shown, "read", e.into());
        }
        Error::user(format!("{shown}: broken JSON: {e}")).hint("download the file again")
    })
}

/// Passes the elements of a sequence on, without holding all of them.
struct Each<T, F>(F, PhantomData<T>);

impl<'de, T: DeserializeOwned, F: FnMut(T)> DeserializeSeed<'de> for Each<T, F> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, T: DeserializeOwned, F: FnMut(T)> Visitor<'de> for Each<T, F> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an array of recipes")
    }
    fn visit_seq<A: SeqAccess<'de>>(mut self, mut sequence: A) -> Result<(), A::Error> {
        while let Some(element) = sequence.next_element()? {
            (self.0)(element);
        }
        Ok(())
    }
}

/// A reader that fails if an element is too large to be held in memory.
struct Limited<'a, R> {
    file: R,
    since_element: &'a Cell<u64>,
}

impl<R: Read> Read for Limited<'_, R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(out)?;
        self.since_element.set(self.since_element.get() + count as u64);
        if self.since_element.get() > MAX_ELEMENT_BYTES {
            let message = format!("an element has more than {MAX_ELEMENT_BYTES} bytes");
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        Ok(count)
    }
}
