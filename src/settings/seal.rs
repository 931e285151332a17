//! Checksums of the values in a TOML file, kept in the file itself, so that edits are noticed.

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use toml::{Table, Value};

/// The table of the checksums in the file.
pub const SEAL: &str = "seal";
/// Number of bytes of a checksum.
const BYTES: usize = 8;

/// Adds a checksum of each value, except for the keys `free`, which may change.
pub fn add(table: &mut Table, free: &[&str]) {
    let sealed = own(table, free).map(|(key, value)| (key.clone(), checksum(value).into()));
    let sealed: Table = sealed.collect();
    table.insert(SEAL.into(), sealed.into());
}

/// The keys that were changed, added or removed after the file was written. None if the file has no
/// checksums, as those of earlier versions.
pub fn changed(table: &Table, free: &[&str]) -> Vec<String> {
    let Some(sealed) = table.get(SEAL) else { return Vec::new() };
    let then = |key: &str| sealed.get(key).and_then(Value::as_str).map(str::to_owned);
    let edited = own(table, free).filter(|(key, value)| then(key) != Some(checksum(value)));
    let mut keys: Vec<String> = edited.map(|(key, _)| key.clone()).collect();
    let known = sealed.as_table().into_iter().flat_map(Table::keys);
    keys.extend(known.filter(|key| !table.contains_key(*key)).cloned());
    keys.sort();
    keys
}

fn own<'a>(table: &'a Table, free: &[&str]) -> impl Iterator<Item = (&'a String, &'a Value)> {
    table.iter().filter(move |(key, _)| *key != SEAL && !free.contains(&key.as_str()))
}

/// The checksum of a value. The form in which the file writes it makes no difference.
fn checksum(value: &Value) -> String {
    HEXLOWER.encode(&Sha256::digest(value.to_string().as_bytes())[..BYTES])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_noticed_and_comments_are_not() {
        let mut table: Table = "seed = 3\ndata = \"a.zip\"\nset = [\"a=1\"]\n".parse().unwrap();
        assert!(changed(&table, &[]).is_empty(), "a file without checksums");
        add(&mut table, &["data"]);
        let text = toml::to_string(&table).unwrap();
        let after = |from: &str, to: &str| {
            assert!(text.contains(from), "{text}");
            changed(&text.replacen(from, to, 1).parse().unwrap(), &["data"])
        };
        assert!(after("seed = 3", "# The first one.\nseed  =  3").is_empty());
        assert!(after("a.zip", "b.zip").is_empty());
        assert_eq!(after("seed = 3", "seed = 4"), ["seed"]);
        assert_eq!(after("seed = 3", ""), ["seed"]);
        assert_eq!(after("a=1", "a=2"), ["set"]);
        assert_eq!(after("seed = 3", "seed = 3\nsystem = \"x\""), ["system"]);
    }
}
