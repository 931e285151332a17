//! Pickled lists of names, as text-to-image work stores the split of CUB by class.

use std::collections::HashSet;

use serde_pickle::{DeOptions, Value};

/// Largest file. Those of CUB have half a megabyte.
pub(super) const MAX_BYTES: u64 = 8 << 20;
/// Largest number of containers in a file; a list of names is one.
const MAX_CONTAINERS: usize = 64;

/// Reads a pickled list of strings. `serde_pickle` reads data only: a pickle that refers to code is
/// an error.
///
/// # Errors
/// Why it is not a list of names, as a phrase.
pub(super) fn names(bytes: &[u8]) -> Result<HashSet<String>, String> {
    check_containers(bytes)?;
    // Python 2 wrote these lists; its strings are bytes.
    let options = DeOptions::new().decode_strings();
    let value = serde_pickle::value_from_slice(bytes, options)
        .map_err(|e| format!("cannot be read: {e}"))?;
    let (Value::List(rows) | Value::Tuple(rows)) = value else {
        return Err("is not a list".into());
    };
    rows.into_iter()
        .map(|row| match row {
            Value::String(name) => Ok(name),
            Value::Bytes(name) => {
                String::from_utf8(name).map_err(|_| "contains a name that is not UTF-8".into())
            }
            other => Err(format!("contains {other}, which is not a name")),
        })
        .collect()
}

/// Counts the instructions that make containers. The parser would overflow the stack on lists that
/// are nested deeply.
fn check_containers(bytes: &[u8]) -> Result<(), String> {
    let truncated = || "cannot be read: it is truncated".to_owned();
    let mut containers = 0;
    let mut at = 0;
    while let Some(&op) = bytes.get(at) {
        at += 1;
        let length = |width: usize| -> Option<usize> {
            let bytes = bytes.get(at..at + width)?;
            let number = bytes.iter().rev().fold(0u64, |n, &b| n << 8 | b as u64);
            usize::try_from(number).ok()?.checked_add(width)
        };
        let line = |count: usize| -> Option<usize> {
            let mut rest = bytes.get(at..)?;
            for _ in 0..count {
                rest = &rest[rest.iter().position(|&b| b == b'\n')? + 1..];
            }
            Some(bytes.len() - at - rest.len())
        };
        let argument = match op {
            b'.' => return Ok(()),
            b']' | b'l' | b'}' | b'd' | b')' | b't' | 0x85..=0x87 | 0x8f | 0x91 => {
                containers += 1;
                Some(0)
            }
            b'(' | b'a' | b'e' | b's' | b'u' | b'0' | b'1' | b'2' | b'N' | b'R' | b'b' | b'o'
            | b'Q' | 0x81 | 0x88 | 0x89 | 0x90 | 0x92 | 0x93 | 0x94 => Some(0),
            b'S' | b'V' | b'I' | b'L' | b'F' | b'p' | b'g' | b'P' => line(1),
            b'c' | b'i' => line(2),
            b'K' | b'q' | b'h' | 0x80 | 0x82 => Some(1),
            b'M' | 0x83 => Some(2),
            b'J' | b'r' | b'j' | 0x84 => Some(4),
            b'G' | 0x95 => Some(8),
            b'U' | b'C' | 0x8a | 0x8c => length(1),
            b'T' | b'X' | b'B' | 0x8b => length(4),
            0x8d | 0x8e | 0x96 => length(8),
            _ => return Err(format!("cannot be read: unknown instruction {op:#04x}")),
        };
        if containers > MAX_CONTAINERS {
            return Err("is not a plain list of names".into());
        }
        at = argument.and_then(|n| at.checked_add(n)).ok_or_else(truncated)?;
    }
    // The parser reports a missing end.
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_every_protocol_are_read() {
        let expected = HashSet::from(["001.Auk/a".to_owned(), "002.Wren/b".to_owned()]);
        // Python: pickle.dumps(['001.Auk/a', '002.Wren/b'], protocol)
        for bytes in [
            &b"(lp0\nV001.Auk/a\np1\naV002.Wren/b\np2\na."[..],
            b"(lp0\nS'001.Auk/a'\np1\naS'002.Wren/b'\np2\na.",
            b"]q\0(X\x09\0\0\0001.Auk/aq\x01X\x0a\0\0\0002.Wren/bq\x02e.",
            b"\x80\x02]q\0(U\x09001.Auk/aq\x01U\x0a002.Wren/bq\x02e.",
            b"\x80\x04\x95\x1d\0\0\0\0\0\0\0]\x94(\x8c\x09001.Auk/a\x94\x8c\x0a002.Wren/b\x94e.",
        ] {
            assert_eq!(names(bytes).as_ref(), Ok(&expected), "{bytes:?}");
        }
    }

    #[test]
    fn hostile_pickles_are_refused() {
        let nested = [vec![b']'; 1_000_000], vec![b'a'; 999_999], vec![b'.']].concat();
        let tuples = [b"N".to_vec(), vec![0x85; 1_000_000], vec![b'.']].concat();
        for bytes in [nested, tuples] {
            assert!(names(&bytes).unwrap_err().contains("not a plain list"));
        }
        for bytes in [
            &b"\x80\x03]X\xff\xff\xff\xff"[..],
            b"]\x8e\xff\xff\xff\xff\xff\xff\xff\xffa.",
            b"]",
            b"",
            b"]S'a",
            b"\xfe.",
        ] {
            assert!(names(bytes).is_err(), "{bytes:?}");
        }
    }
}
