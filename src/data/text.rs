//! The encoding of text files: UTF-8, or UTF-16 as Windows programs write it.

/// Largest text file that is read as a whole.
pub(crate) const MAX_TEXT_BYTES: u64 = 256 << 20;

/// Converts the content of a text file to UTF-8 without a byte order mark. Bytes that are neither
/// UTF-8 nor UTF-16 stay as they are, so that a reader can name the lines that contain them.
///
/// # Errors
/// If the encoding is UTF-32, as a phrase about the file.
pub(crate) fn to_utf8(bytes: Vec<u8>) -> Result<Vec<u8>, String> {
    match bytes[..] {
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] => {
            Err("is UTF-32 text; save it as UTF-8".into())
        }
        [0xef, 0xbb, 0xbf, ..] => Ok(bytes[3..].to_vec()),
        [0xff, 0xfe, ..] => Ok(utf16(&bytes[2..], u16::from_le_bytes)),
        [0xfe, 0xff, ..] => Ok(utf16(&bytes[2..], u16::from_be_bytes)),
        _ if mostly_zero(&bytes, 1) => Ok(utf16(&bytes, u16::from_le_bytes)),
        _ if mostly_zero(&bytes, 0) => Ok(utf16(&bytes, u16::from_be_bytes)),
        _ => Ok(bytes),
    }
}

/// Like [`to_utf8`], for files that must be UTF-8 throughout.
///
/// # Errors
/// If they are not, as a phrase about the file.
pub(crate) fn to_string(bytes: Vec<u8>) -> Result<String, String> {
    String::from_utf8(to_utf8(bytes)?).map_err(|e| format!("is not UTF-8 ({e})"))
}

/// The lines of a text. Old programs of the Mac end lines with `\r` alone.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = &str> {
    let end = if text.contains('\n') { '\n' } else { '\r' };
    text.split_terminator(end).map(|line| line.strip_suffix('\r').unwrap_or(line))
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Vec<u8> {
    let units = bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
    let text: String =
        char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect();
    text.into_bytes()
}

/// Whether most bytes at even (`phase` 0) or odd (`phase` 1) positions are zero and the others are
/// not, as in Latin text in UTF-16.
fn mostly_zero(bytes: &[u8], phase: usize) -> bool {
    let head = &bytes[..bytes.len().min(512)];
    let zeros = |phase: usize| head.iter().skip(phase).step_by(2).filter(|&&b| b == 0).count();
    head.len() >= 4 && zeros(phase) * 10 >= (head.len() / 2) * 7 && zeros(1 - phase) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_encoding_of_a_text_gives_the_same() {
        let text = "{\"text\": \"a née bird 🐦\"}\n";
        let le: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let be: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        for bytes in [
            text.as_bytes().to_vec(),
            [b"\xef\xbb\xbf", text.as_bytes()].concat(),
            [b"\xff\xfe", &le[..]].concat(),
            [b"\xfe\xff", &be[..]].concat(),
            le,
            be,
        ] {
            assert_eq!(to_string(bytes.clone()).as_deref(), Ok(text), "{bytes:?}");
        }
    }

    #[test]
    fn every_line_end_gives_the_same_lines() {
        for end in ["\n", "\r\n", "\r"] {
            let text = ["one", "", "two", ""].join(end);
            assert_eq!(lines(&text).collect::<Vec<_>>(), ["one", "", "two"], "{end:?}");
        }
        assert_eq!(lines("").count(), 0);
        assert_eq!(lines("a").collect::<Vec<_>>(), ["a"]);
    }

    #[test]
    fn other_encodings_are_named_or_left_alone() {
        assert!(to_utf8(b"\xff\xfe\0\0a\0\0\0".to_vec()).unwrap_err().contains("UTF-32"));
        assert_eq!(to_utf8(b"caf\xe9".to_vec()).unwrap(), b"caf\xe9");
        assert!(to_string(b"caf\xe9".to_vec()).unwrap_err().contains("UTF-8"));
        assert_eq!(to_utf8(Vec::new()).unwrap(), b"");
    }
}
