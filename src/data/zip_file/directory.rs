//! The directory at the end of a zip, as it is in the file.
//!
//! The `zip` crate turns it into a map by name, so of two entries with one name it keeps the last.

use std::collections::HashSet;
use std::io::{self, Read, Seek, SeekFrom};

use super::Zip;

/// First bytes of the header of an entry.
const SIGNATURE: &[u8] = b"PK\x01\x02";
/// Size in bytes of a header without its name, extra fields and comment.
const HEADER: usize = 46;
/// Positions in the header of the lengths of these three.
const LENGTHS: [usize; 3] = [28, 30, 32];

/// Largest number of entries that the end of a zip can state without the records of Zip64. Old
/// programs that do not write these state the rest of a division by the next number.
const MOST: usize = u16::MAX as usize;

/// The number of entries of a zip that states too few; `None` if it states the right number.
pub(in crate::data) fn uncounted(zip: &Zip, length: u64) -> Option<usize> {
    let size = length.saturating_sub(zip.central_directory_start());
    if zip.len() > MOST || size <= (MOST * HEADER) as u64 {
        return None;
    }
    let mut count = 0;
    let _ = each_header(zip, |_, _| count += 1);
    // Names that are there twice are counted once, but there are few of them.
    (count > MOST && zip.len() + MOST <= count).then_some(count)
}

/// The names of the entries whose headers are at none of the positions `kept`, once for each entry.
pub(in crate::data) fn others(zip: &Zip, kept: &HashSet<u64>) -> Vec<String> {
    let mut found = Vec::new();
    // The crate has read the directory, so it is complete.
    let _ = each_header(zip, |at, name| {
        if !kept.contains(&at) {
            found.push(String::from_utf8_lossy(name).into_owned());
        }
    });
    found
}

/// Passes the position and the name of each entry on.
fn each_header(zip: &Zip, mut each: impl FnMut(u64, &[u8])) -> io::Result<()> {
    let mut at = zip.central_directory_start();
    let mut file = zip.clone().into_inner();
    let mut header = [0; HEADER];
    let mut name = Vec::new();
    loop {
        file.seek(SeekFrom::Start(at))?;
        file.read_exact(&mut header)?;
        if !header.starts_with(SIGNATURE) {
            return Ok(());
        }
        let lengths = LENGTHS.map(|place| u16::from_le_bytes([header[place], header[place + 1]]));
        name.resize(lengths[0].into(), 0);
        file.read_exact(&mut name)?;
        each(at, &name);
        at += HEADER as u64 + lengths.map(u64::from).iter().sum::<u64>();
    }
}
