//! PNG files with metadata: text chunks record the seed, ψ, the prompt, the steps and the hash of
//! the model.

use std::collections::BTreeMap;
use std::io::BufReader;
use std::path::Path;

use image::RgbImage;
use png::{BitDepth, ColorType, Decoder, Encoder, EncodingError};

use crate::atomic_file::atomic_write;
use crate::input;
use crate::{Error, Result};

/// Writes an image to `path` atomically; see [`encode`].
///
/// # Errors
/// If the image cannot be encoded or the file cannot be written.
pub fn write(path: &Path, image: &RgbImage, text: &[(&str, String)]) -> Result<()> {
    let bytes = encode(image, text).map_err(|e| e.context(path.display()))?;
    atomic_write(path, &bytes)
}

/// Encodes an image as a PNG with text by keyword (1 to 79 Latin letters).
///
/// Latin-1 text is stored in `tEXt` chunks, other text in `iTXt` chunks. Equal input gives equal
/// bytes.
///
/// # Errors
/// An internal error if a keyword is invalid or the image is empty.
pub fn encode(image: &RgbImage, text: &[(&str, String)]) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fill(&mut bytes, image, text)
        .map_err(|e| Error::internal(format!("cannot encode a PNG file: {e}")).caused_by(e))?;
    Ok(bytes)
}

/// Encodes an image to `bytes`.
fn fill(
    bytes: &mut Vec<u8>,
    image: &RgbImage,
    text: &[(&str, String)],
) -> Result<(), EncodingError> {
    let mut encoder = Encoder::new(bytes, image.width(), image.height());
    encoder.set_color(ColorType::Rgb);
    encoder.set_depth(BitDepth::Eight);
    for (keyword, text) in text {
        // A NUL would end the text chunk.
        let text = text.replace('\0', "\u{fffd}");
        if text.chars().all(|c| u32::from(c) < 256) {
            encoder.add_text_chunk((*keyword).to_owned(), text)?;
        } else {
            encoder.add_itxt_chunk((*keyword).to_owned(), text)?;
        }
    }
    let mut writer = encoder.write_header()?;
    writer.write_image_data(image)?;
    writer.finish()
}

/// Largest size in bytes of a compressed text that is read.
const MAX_TEXT: usize = 1 << 20;

/// Reads the text chunks of a PNG file, by keyword.
///
/// # Errors
/// A user error if it is not a PNG file.
pub fn read_text(path: &Path) -> Result<BTreeMap<String, String>> {
    let file = input::open(path, "read")?;
    let unreadable = |e: png::DecodingError| {
        Error::user(format!("{}: not a readable PNG file: {e}", path.display()))
            .hint("give a PNG file; other formats do not contain this text")
            .caused_by(e)
    };
    let mut reader = Decoder::new(BufReader::new(file)).read_info().map_err(unreadable)?;
    // Text chunks may come after the pixels.
    reader.finish().map_err(unreadable)?;
    let info = reader.info();
    let mut text = BTreeMap::new();
    for chunk in &info.uncompressed_latin1_text {
        text.insert(chunk.keyword.clone(), chunk.text.clone());
    }
    // A text of a megabyte may unpack to a gigabyte.
    for mut chunk in info.compressed_latin1_text.iter().cloned() {
        chunk.decompress_text_with_limit(MAX_TEXT).map_err(unreadable)?;
        text.insert(chunk.keyword.clone(), chunk.get_text().map_err(unreadable)?);
    }
    for mut chunk in info.utf8_text.iter().cloned() {
        chunk.decompress_text_with_limit(MAX_TEXT).map_err(unreadable)?;
        text.insert(chunk.keyword.clone(), chunk.get_text().map_err(unreadable)?);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> RgbImage {
        RgbImage::from_fn(7, 5, |x, y| image::Rgb([x as u8 * 30, y as u8 * 50, 128]))
    }

    #[test]
    fn text_and_pixels_are_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("seed0000.png");
        let text = [
            ("seed", "0".to_owned()),
            ("psi", "0.7".to_owned()),
            ("prompt", "rotköpfiger Vogel\n<b>&\0".to_owned()),
            ("prompt-2", "красная птица 鳥".to_owned()),
            ("empty", String::new()),
        ];
        write(&path, &sample(), &text).unwrap();
        let found = read_text(&path).unwrap();
        assert_eq!(found.len(), text.len());
        assert_eq!(found["prompt"], "rotköpfiger Vogel\n<b>&\u{fffd}");
        for (keyword, text) in text.iter().filter(|(keyword, _)| *keyword != "prompt") {
            assert_eq!(&found[*keyword], text);
        }
        assert_eq!(image::open(&path).unwrap().into_rgb8(), sample());
        assert_eq!(encode(&sample(), &text).unwrap(), encode(&sample(), &text).unwrap());
    }

    #[test]
    fn a_file_that_is_not_a_png_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.png");
        assert!(read_text(&path).unwrap_err().to_string().contains("x.png"));
        std::fs::write(&path, "GIF89a").unwrap();
        assert!(read_text(&path).unwrap_err().to_string().contains("not a readable PNG"));
        let mut bytes = encode(&sample(), &[]).unwrap();
        bytes.truncate(bytes.len() / 2);
        std::fs::write(&path, bytes).unwrap();
        assert!(read_text(&path).is_err());
    }

    #[test]
    fn invalid_input_is_an_error() {
        assert!(encode(&RgbImage::new(0, 0), &[]).is_err());
        assert!(encode(&sample(), &[("", "x".to_owned())]).is_err());
        assert!(encode(&sample(), &[("ключ", "x".to_owned())]).is_err());
    }
}
