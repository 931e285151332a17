//! The mark of pictures that the program writes, by which `data prepare` keeps them out of training.

/// Keyword of the mark in PNG files, from the PNG specification's list.
pub const KEYWORD: &str = "Software";
/// The mark.
pub const MARK: &str = "cigan";

/// The last byte of a GIF file.
const GIF_END: u8 = 0x3b;

/// The text of a PNG file with the mark.
pub fn text() -> (&'static str, String) {
    (KEYWORD, MARK.to_owned())
}

/// The comment of a GIF file with the mark.
pub fn gif_comment() -> Vec<u8> {
    [&[0x21, 0xfe, MARK.len() as u8], MARK.as_bytes(), &[0]].concat()
}

/// Adds the mark to a GIF file, at its end.
pub fn mark_gif(gif: &mut Vec<u8>) {
    if gif.pop_if(|end| *end == GIF_END).is_some() {
        gif.extend(gif_comment());
        gif.push(GIF_END);
    }
}

/// The attribute with the mark in the metadata of a WebP file.
pub fn xmp_attribute() -> String {
    format!("CreatorTool=\"{MARK}\"")
}

/// Metadata of a WebP file with the mark, in XMP.
pub fn xmp() -> String {
    format!(
        "<x:xmpmeta xmlns:x=\"adobe:ns:meta/\">\
         <rdf:RDF xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\">\
         <rdf:Description xmlns:xmp=\"http://ns.adobe.com/xap/1.0/\" xmp:{}/>\
         </rdf:RDF></x:xmpmeta>",
        xmp_attribute()
    )
}
