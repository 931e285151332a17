//! The parts of PNG files that decoding does not need, and the one that it needs at the end.

use std::borrow::Cow;
use std::ops::Range;

/// What a PNG file begins with, before its first chunk.
pub(super) const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";
/// Bytes of a chunk beside its content: length, kind and checksum.
const FRAME: usize = 12;
/// The last chunk.
const END: [u8; FRAME] = *b"\0\0\0\0IEND\xae\x42\x60\x82";
/// Size in bytes up to which a chunk is left alone: it cannot grow to more than a few megabytes.
const SMALL: usize = 4096;

/// A chunk of a PNG file.
pub(super) struct Chunk<'a> {
    /// Its four letters.
    pub kind: &'a [u8],
    /// Its content, as far as the file contains it.
    pub content: &'a [u8],
    /// Where it is. It ends behind the file if it is cut short.
    range: Range<usize>,
}

/// The chunks of a PNG file, up to the first whose head is cut short.
pub(super) fn chunks(png: &[u8]) -> impl Iterator<Item = Chunk<'_>> {
    let mut at = PNG.len();
    std::iter::from_fn(move || {
        let rest = png.get(at..).filter(|rest| rest.len() >= FRAME)?;
        let length = u32::from_be_bytes([rest[0], rest[1], rest[2], rest[3]]) as usize;
        let content = &rest[8..rest.len().min(length.saturating_add(8))];
        let start = at;
        at = at.saturating_add(FRAME).saturating_add(length);
        Some(Chunk { kind: &rest[4..8], content, range: start..at })
    })
}

/// The file without large texts and colour profiles. Decoders unpack them, and a profile of a megabyte
/// may unpack to a gigabyte, but neither changes the pixels.
pub(super) fn without_large_extras(png: &[u8]) -> Cow<'_, [u8]> {
    let mut kept = None;
    let mut at = PNG.len();
    for Chunk { kind, range, .. } in chunks(png) {
        let end = range.end.min(png.len());
        let is_extra = matches!(kind, b"iCCP" | b"zTXt" | b"iTXt" | b"tEXt");
        if is_extra && range.len() > FRAME + SMALL {
            kept.get_or_insert_with(|| png[..at].to_vec());
        } else if let Some(kept) = &mut kept {
            kept.extend_from_slice(&png[at..end]);
        }
        at = end;
    }
    match kept {
        None => png.into(),
        Some(mut kept) => {
            kept.extend_from_slice(png.get(at..).unwrap_or_default());
            kept.into()
        }
    }
}

/// The file with its end marker, which is added if it alone is missing: no pixels are lost then.
pub(super) fn complete(png: &[u8]) -> Cow<'_, [u8]> {
    let mut at = PNG.len();
    let mut pixels = false;
    for chunk in chunks(png) {
        if chunk.kind == b"IEND" {
            return png.into();
        }
        pixels |= chunk.kind == b"IDAT";
        at = chunk.range.end;
    }
    match png.get(at..) {
        Some(rest) if pixels && END.starts_with(rest) => [&png[..at], &END[..]].concat().into(),
        _ => png.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
        let length = (content.len() as u32).to_be_bytes();
        [&length[..], kind, content, b"crc!"].concat()
    }

    #[test]
    fn only_large_extras_are_left_out() {
        let parts = [
            b"\x89PNG\r\n\x1a\n".to_vec(),
            chunk(b"IHDR", &[1; 13]),
            chunk(b"tEXt", &[2; 100]),
            chunk(b"iCCP", &[3; 5000]),
            chunk(b"eXIf", &[4; 5000]),
            chunk(b"IDAT", &[5; 5000]),
            chunk(b"zTXt", &[6; 5000]),
            chunk(b"IEND", &[]),
        ];
        let small: Vec<u8> = parts[..3].concat();
        assert!(matches!(without_large_extras(&small), Cow::Borrowed(_)));
        let expected = [&parts[..3], &parts[4..6], &parts[7..]].concat().concat();
        assert_eq!(without_large_extras(&parts.concat()), expected);
        // A file that ends early keeps what is there.
        let mut cut = parts[..6].concat();
        cut.truncate(cut.len() - 10);
        let found = without_large_extras(&cut);
        assert!(found.ends_with(&cut[cut.len() - 4000..]));
        for bytes in [&b""[..], b"\x89PNG", &[0xff; 30]] {
            assert_eq!(without_large_extras(bytes), bytes);
        }
    }
}
