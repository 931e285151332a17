//! Recognises pictures that the program has written.

use super::png_chunks::{PNG, chunks};
use crate::origin::{KEYWORD, MARK, gif_comment, xmp_attribute};

/// Smallest number of digits of the hash of a model.
const HASH: usize = 16;
/// Bytes of a WebP file before its first chunk, and those of a chunk before its content.
const RIFF: (usize, usize) = (12, 8);

/// Whether cigan wrote a picture, given the bytes of its file: it carries the mark, or it is a PNG file
/// whose texts name a model by its hash. Animations of versions before the mark are not recognised.
pub fn is_own(file: &[u8]) -> bool {
    if file.starts_with(PNG) {
        let mark = [KEYWORD.as_bytes(), b"\0", MARK.as_bytes()].concat();
        let texts = chunks(file).take_while(|chunk| chunk.kind != b"IEND");
        texts.filter(|chunk| chunk.kind == b"tEXt").any(|text| {
            text.content == mark || text.content.strip_prefix(b"model\0").is_some_and(is_hash)
        })
    } else if file.starts_with(b"GIF8") {
        contains(file, &gif_comment())
    } else if file.starts_with(b"RIFF") && file.get(8..12) == Some(b"WEBP") {
        webp_chunks(file)
            .any(|(kind, content)| kind == b"XMP " && contains(content, xmp_attribute().as_bytes()))
    } else {
        false
    }
}

fn is_hash(text: &[u8]) -> bool {
    text.len() >= HASH && text.iter().all(u8::is_ascii_hexdigit)
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// The kinds and contents of the chunks of a WebP file. The content of one that is cut short ends early.
fn webp_chunks(file: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let (mut at, head) = RIFF;
    std::iter::from_fn(move || {
        let chunk = file.get(at..).filter(|rest| rest.len() >= head)?;
        let length = u32::from_le_bytes([chunk[4], chunk[5], chunk[6], chunk[7]]) as usize;
        let end = head.saturating_add(length);
        at = at.saturating_add(end).saturating_add(length % 2);
        Some((&chunk[..4], &chunk[head..end.min(chunk.len())]))
    })
}
