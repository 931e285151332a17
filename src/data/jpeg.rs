//! Whether a JPEG is complete. The decoder fills what is missing with grey, without an error.

use std::borrow::Cow;

/// The end marker.
const END: [u8; 2] = [0xff, 0xd9];

/// The content of a JPEG with its end marker, which is added if it alone is missing; None if the
/// file is truncated. `pixels` decodes a file.
///
/// Zeros at the end are not coded data: a download or a copy that broke off leaves them, and the
/// decoder would read them as grey.
///
/// Without an end marker, two continuations of the file are decoded. They give the same pixels if
/// no coded data are missing.
pub(super) fn complete<P: PartialEq>(
    bytes: &[u8],
    pixels: impl Fn(&[u8]) -> Option<P>,
) -> Option<Cow<'_, [u8]>> {
    if reaches_the_end(bytes) {
        return Some(Cow::Borrowed(bytes));
    }
    // The last byte may be the first half of the marker.
    let bytes = bytes.strip_suffix(&[0xff]).unwrap_or(bytes);
    let bytes = without_zeros(bytes);
    let ended = [bytes, &END].concat();
    let first = pixels(&ended)?;
    let second = pixels(&[bytes, &[0x5a; 64], &END].concat())?;
    (first == second).then_some(Cow::Owned(ended))
}

/// At least so many zeros at the end of a file count as never written.
const ZEROS: usize = 64;

/// The content of a file without many zeros at its end. One is kept, which may belong to a byte
/// 0xff of the coded data.
fn without_zeros(bytes: &[u8]) -> &[u8] {
    let kept = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    if bytes.len() - kept < ZEROS { bytes } else { &bytes[..=kept] }
}

/// Whether the segments of a JPEG lead to its end marker (ITU-T T.81, annex B).
///
/// Segments are skipped by their length, so the end marker of a thumbnail in the EXIF block does
/// not count. Like decoders, this skips bytes between segments that belong to none.
pub(super) fn reaches_the_end(bytes: &[u8]) -> bool {
    const END_OF_IMAGE: u8 = 0xd9;
    const START_OF_SCAN: u8 = 0xda;
    let mut at = 2;
    let mut scanned = false;
    loop {
        // A marker is 0xff, which may be repeated as padding, and a code.
        let code = loop {
            match bytes.get(at..at + 2) {
                Some(&[0xff, 0xff]) => at += 1,
                Some(&[0xff, code]) if code != 0 => break code,
                Some(_) => at += 1,
                None => return false,
            }
        };
        at += 2;
        match code {
            END_OF_IMAGE => return scanned,
            // Markers without a segment.
            0x01 | 0xd0..=0xd8 => continue,
            _ => {}
        }
        let Some(&[high, low]) = bytes.get(at..at + 2) else { return false };
        at += u16::from_be_bytes([high, low]) as usize;
        if code == START_OF_SCAN {
            scanned = true;
            // The coded data end at the next marker. Stuffed zeros and restart markers are part
            // of them.
            loop {
                match bytes.get(at..at + 2) {
                    Some(&[0xff, 0x00 | 0xd0..=0xd7]) => at += 2,
                    Some(&[0xff, 0xff]) => at += 1,
                    Some(&[0xff, _]) => break,
                    Some(_) => at += 1,
                    None => return false,
                }
            }
        }
    }
}
