//! The mark of pictures that the program made, so that `data prepare` keeps them out of training.

/// Keyword of the mark in PNG files, from the PNG specification's list.
pub const KEYWORD: &str = "Software";
/// The mark.
pub const MARK: &str = "cigan";

/// Bytes before the first chunk of a PNG file.
const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";
/// Bytes of a PNG chunk beside its content: length, kind and checksum.
const FRAME: usize = 12;
/// Smallest number of digits of the hash of a model.
const HASH: usize = 16;
/// The last byte of a GIF file.
const GIF_END: u8 = 0x3b;

/// The text of a PNG file with the mark.
pub fn text() -> (&'static str, String) {
    (KEYWORD, MARK.to_owned())
}

/// Adds the mark to a GIF file, as a comment at its end.
pub fn mark_gif(gif: &mut Vec<u8>) {
    if gif.pop_if(|end| *end == GIF_END).is_some() {
        gif.extend(gif_end());
    }
}

/// Metadata of a WebP file with the mark, in XMP.
pub fn xmp() -> String {
    format!(
        "<x:xmpmeta xmlns:x=\"adobe:ns:meta/\">\
         <rdf:RDF xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\">\
         <rdf:Description xmlns:xmp=\"http://ns.adobe.com/xap/1.0/\" xmp:CreatorTool=\"{MARK}\"/>\
         </rdf:RDF></x:xmpmeta>"
    )
}

/// Whether the program made a picture: it has the mark, or, as in those of earlier versions, its texts
/// name the model by its hash.
pub fn is_own(file: &[u8]) -> bool {
    if file.starts_with(SIGNATURE) {
        png_texts(file).any(|text| {
            text == [KEYWORD.as_bytes(), b"\0", MARK.as_bytes()].concat()
                || text.strip_prefix(b"model\0").is_some_and(is_hash)
        })
    } else if file.starts_with(b"GIF8") {
        file.ends_with(&gif_end())
    } else {
        let xmp = xmp();
        file.starts_with(b"RIFF")
            && file.get(8..12) == Some(b"WEBP")
            && file[file.len().saturating_sub(xmp.len().next_multiple_of(2))..]
                .starts_with(xmp.as_bytes())
    }
}

/// A comment with the mark, and the end of the file.
fn gif_end() -> Vec<u8> {
    [&[0x21, 0xfe, MARK.len() as u8], MARK.as_bytes(), &[0, GIF_END]].concat()
}

fn is_hash(text: &[u8]) -> bool {
    text.len() >= HASH && text.iter().all(u8::is_ascii_hexdigit)
}

/// The contents of the uncompressed texts of a PNG file, each a keyword, a NUL and the text.
fn png_texts(png: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut at = SIGNATURE.len();
    std::iter::from_fn(move || {
        let chunk = png.get(at..).filter(|rest| rest.len() >= FRAME)?;
        let length = u32::from_be_bytes([chunk[0], chunk[1], chunk[2], chunk[3]]) as usize;
        at = at.saturating_add(FRAME).saturating_add(length);
        Some((&chunk[4..8] == b"tEXt").then(|| chunk.get(8..8usize.saturating_add(length))))
    })
    .filter_map(Option::flatten)
}
