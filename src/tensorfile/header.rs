//! The header of a safetensors file, and what is wrong with files that have none.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use safetensors::tensor::Metadata;

use super::description;
use crate::{Error, Result, input, mistaken};

/// Largest header in bytes; the reference implementation has the same limit.
const MAX_HEADER: u64 = 100_000_000;

/// The header of a safetensors file.
pub(super) struct Header {
    pub metadata: Metadata,
    /// The types of tensors that cannot be read. `metadata` calls them bytes.
    pub unknown: BTreeMap<String, String>,
}

impl Header {
    /// Reads and checks the header. Afterwards, the reader is at the first value.
    pub fn read(path: &Path) -> Result<(BufReader<File>, Self)> {
        let unreadable = |e| Error::io(path, "read", e);
        let file = input::open(path, "read")?;
        let actual = file.metadata().map_err(unreadable)?.len();
        if actual == 0 {
            return Err(Error::user(format!("{}: the file is empty", path.display()))
                .hint("copy or download it again"));
        }
        if actual < 8 {
            return Err(not_safetensors(path, format!("it has {actual} bytes")));
        }
        let mut reader = BufReader::with_capacity(1 << 20, file);
        let mut start = [0; 8];
        reader.read_exact(&mut start).map_err(unreadable)?;
        let length = u64::from_le_bytes(start);
        if length > MAX_HEADER {
            let mut head = start.to_vec();
            (&mut reader).take(mistaken::HEAD as u64).read_to_end(&mut head).map_err(unreadable)?;
            return Err(other_format(path, &head).unwrap_or_else(|| {
                not_safetensors(path, "it does not start with the length of a header")
            }));
        }
        if actual < 8 + length {
            return Err(truncated(path, actual, 8 + length));
        }
        let mut text = vec![0; length as usize];
        reader.read_exact(&mut text).map_err(unreadable)?;
        let (metadata, unknown) = description::parse(&text)
            .map_err(|e| not_safetensors(path, format!("its header is broken: {e}")))?;
        let mut values = 0;
        for (name, info) in metadata.tensors() {
            let (begin, end) = info.data_offsets;
            if begin > end {
                return Err(not_safetensors(
                    path,
                    format!("tensor `{name}` ends before it starts"),
                ));
            }
            values = values.max(end as u64);
        }
        let expected = values.saturating_add(8 + length);
        match actual.cmp(&expected) {
            std::cmp::Ordering::Less => Err(truncated(path, actual, expected)),
            std::cmp::Ordering::Greater => Err(not_safetensors(
                path,
                format!("it has {actual} bytes, but its header describes {expected}"),
            )),
            std::cmp::Ordering::Equal => Ok((reader, Self { metadata, unknown })),
        }
    }

    /// The metadata.
    pub fn text(&self) -> BTreeMap<String, String> {
        self.metadata.metadata().iter().flatten().map(|(k, v)| (k.clone(), v.clone())).collect()
    }
}

pub(super) fn not_safetensors(path: &Path, finding: impl std::fmt::Display) -> Error {
    Error::user(format!("{}: not a safetensors file: {finding}", path.display()))
        .hint("give a `.safetensors` file, such as a model, or a run directory")
}

/// The error for a file that starts like one of another known format.
fn other_format(path: &Path, start: &[u8]) -> Option<Error> {
    let (format, hint) = match start {
        [b'P', b'K', 3, 4, ..] => (
            "a zip archive",
            "for a dataset, use `cigan data info FILE`; for a checkpoint of PyTorch, use `cigan \
             import stylegan2-ada FILE --out MODEL.safetensors`",
        ),
        [0x80, 2..=5, ..] => (
            "a Python pickle",
            "convert networks with `cigan import stylegan2-ada FILE --out MODEL.safetensors`, or with \
             scripts/convert_stylegan2_pkl.py if they are a .pkl of the official code",
        ),
        [0x89, b'P', b'N', b'G', ..] | [0xff, 0xd8, 0xff, ..] | [b'G', b'I', b'F', b'8', ..] => {
            ("an image", "give images with --image, and a model with --model")
        }
        _ => {
            let kind = mistaken::recognise(start)?;
            return Some(Error::user(format!("{}: {}", path.display(), kind.name)).hint(kind.hint));
        }
    };
    let message = format!("{}: {format}, not a safetensors file", path.display());
    Some(Error::user(message).hint(hint))
}

fn truncated(path: &Path, actual: u64, expected: u64) -> Error {
    Error::user(format!(
        "{}: truncated: the file has {actual} bytes instead of {expected}",
        path.display()
    ))
    .hint("copy or download it again, or use an earlier snapshot")
}
