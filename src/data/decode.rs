//! Decoding image files to upright RGB pixels.

use std::io::Cursor;
use std::path::Path;

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits, RgbImage};

/// Largest side of an image that is decoded, in pixels.
pub(crate) const MAX_SIDE: u32 = 32_768;
/// Largest size of one decoded image in memory.
const MAX_IMAGE_BYTES: u64 = 1 << 30;
/// Largest image file that is read.
pub(crate) const MAX_FILE_BYTES: u64 = 1 << 29;

/// Extensions of the formats that [`decode`] reads, in lower case.
pub(crate) const IMAGE_EXTENSIONS: [&str; 8] =
    ["jpg", "jpeg", "png", "gif", "webp", "bmp", "tif", "tiff"];

/// Whether a file name is that of an image, by its extension. Hidden files are not images: macOS
/// writes "._photo.jpg" beside photo.jpg.
pub(crate) fn is_image_name(name: &str) -> bool {
    let name = Path::new(name);
    let hidden = name.file_name().is_none_or(|n| n.to_string_lossy().starts_with('.'));
    let extension = name.extension().map(|e| e.to_string_lossy().to_ascii_lowercase());
    !hidden && extension.is_some_and(|e| IMAGE_EXTENSIONS.contains(&e.as_str()))
}

/// Decodes a PNG, JPEG, GIF, WebP, BMP or TIFF file; its content tells which. Only the first frame
/// of an animation is decoded. The EXIF orientation is applied, transparency is blended over white,
/// and grey, CMYK and 16-bit images become 8-bit RGB.
///
/// # Errors
/// Why the file cannot be decoded, as a phrase for
/// [`Skipped::reason`](super::record::Skipped::reason).
pub(crate) fn decode(bytes: &[u8]) -> Result<RgbImage, String> {
    if bytes.is_empty() {
        return Err("empty file (0 bytes)".into());
    }
    let format = image::guess_format(bytes).map_err(|_| not_an_image(bytes))?;
    if format == ImageFormat::Jpeg && !jpeg_is_complete(bytes) {
        // The decoder would fill the missing part with grey, without an error.
        return Err("truncated JPEG".into());
    }
    let unreadable = |e: image::ImageError| format!("cannot be decoded: {e}");
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_IMAGE_BYTES);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(unreadable)?;
    let (width, height) = decoder.dimensions();
    if width == 0 || height == 0 {
        return Err(format!("is {width}×{height} pixels"));
    }
    if width > MAX_SIDE || height > MAX_SIDE || decoder.total_bytes() > MAX_IMAGE_BYTES {
        return Err(format!("is too large: {width}×{height} pixels"));
    }
    // An image with a broken EXIF block is used as it is.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut image = DynamicImage::from_decoder(decoder).map_err(unreadable)?;
    image.apply_orientation(orientation);
    Ok(if image.color().has_alpha() { over_white(image) } else { image.into_rgb8() })
}

/// Encodes an image as a PNG, as archives store it. Equal pixels give equal bytes.
pub(crate) fn encode_png(image: &RgbImage) -> Result<Vec<u8>, String> {
    let mut png = Vec::new();
    image.write_to(&mut Cursor::new(&mut png), ImageFormat::Png).map_err(|e| e.to_string())?;
    Ok(png)
}

/// Why `bytes` are not an image.
fn not_an_image(bytes: &[u8]) -> String {
    let head = &bytes[..bytes.len().min(512)];
    let text = !head.iter().any(|&b| b < b'\t' || (b > b'\r' && b < b' ' && b != 0x1b));
    if text { "not an image, but text".into() } else { "not an image of a known format".into() }
}

/// Blends an image with transparency over white.
fn over_white(image: DynamicImage) -> RgbImage {
    let image = image.into_rgba8();
    RgbImage::from_fn(image.width(), image.height(), |x, y| {
        let [r, g, b, a] = image.get_pixel(x, y).0.map(u32::from);
        image::Rgb([r, g, b].map(|c| ((c * a + 255 * (255 - a) + 127) / 255) as u8))
    })
}

/// Whether the segments of a JPEG lead to its end marker (ITU-T T.81, annex B).
///
/// Segments are skipped by their length, so the end marker of a thumbnail in the EXIF block does
/// not count.
fn jpeg_is_complete(bytes: &[u8]) -> bool {
    const END_OF_IMAGE: u8 = 0xd9;
    const START_OF_SCAN: u8 = 0xda;
    let mut at = 2;
    loop {
        // A marker is 0xff, which may be repeated as padding, and a code.
        while bytes.get(at) == Some(&0xff) && bytes.get(at + 1) == Some(&0xff) {
            at += 1;
        }
        let (Some(0xff), Some(&code)) = (bytes.get(at), bytes.get(at + 1)) else { return false };
        at += 2;
        match code {
            END_OF_IMAGE => return true,
            // Markers without a segment.
            0x01 | 0xd0..=0xd8 => continue,
            _ => {}
        }
        let Some(&[high, low]) = bytes.get(at..at + 2) else { return false };
        at += u16::from_be_bytes([high, low]) as usize;
        if code == START_OF_SCAN {
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

#[cfg(test)]
mod tests {
    use super::*;
    use image::{ImageBuffer, Luma, LumaA, Rgb, Rgba};

    fn encoded(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
        let mut out = Vec::new();
        image.into().write_to(&mut Cursor::new(&mut out), format).unwrap();
        out
    }

    fn photo() -> RgbImage {
        RgbImage::from_fn(48, 32, |x, y| Rgb([(x * 5) as u8, (y * 7) as u8, (x * y) as u8]))
    }

    #[test]
    fn image_names() {
        assert!(is_image_name("a/b.JPG") && is_image_name("b.webp"));
        assert!(!is_image_name("a/._b.jpg") && !is_image_name("b.txt") && !is_image_name("jpg"));
    }

    #[test]
    fn transparency_is_blended_over_white() {
        let image =
            ImageBuffer::from_fn(3, 1, |x, _| Rgba([200u8, 0, 0, [0, 128, 255][x as usize]]));
        let rgb = decode(&encoded(image, ImageFormat::Png)).unwrap();
        assert_eq!(rgb.get_pixel(0, 0).0, [255, 255, 255]);
        // 255 + (c − 255)·128/255
        assert_eq!(rgb.get_pixel(1, 0).0, [227, 127, 127]);
        assert_eq!(rgb.get_pixel(2, 0).0, [200, 0, 0]);
    }

    #[test]
    fn grey_and_sixteen_bits_become_rgb() {
        let grey = ImageBuffer::from_pixel(2, 2, Luma([90u8]));
        assert_eq!(decode(&encoded(grey, ImageFormat::Png)).unwrap().get_pixel(1, 1).0, [90; 3]);
        let deep = ImageBuffer::from_pixel(2, 2, Luma([0x8080u16]));
        assert_eq!(decode(&encoded(deep, ImageFormat::Png)).unwrap().get_pixel(0, 1).0, [128; 3]);
        let deep = ImageBuffer::from_pixel(2, 2, LumaA([0u16, 0]));
        assert_eq!(decode(&encoded(deep, ImageFormat::Png)).unwrap().get_pixel(0, 1).0, [255; 3]);
    }

    #[test]
    fn a_truncated_jpeg_is_an_error() {
        let jpeg = encoded(photo(), ImageFormat::Jpeg);
        decode(&jpeg).unwrap();
        for len in 1..jpeg.len() {
            assert!(decode(&jpeg[..len]).is_err(), "cut to {len} of {}", jpeg.len());
        }
        assert_eq!(decode(&jpeg[..jpeg.len() / 2]).unwrap_err(), "truncated JPEG");
        let mut trailing = jpeg.clone();
        trailing.extend_from_slice(b"camera maker's notes");
        decode(&trailing).unwrap();
    }

    #[test]
    fn truncated_files_of_other_formats_are_errors() {
        for format in [ImageFormat::Png, ImageFormat::Gif, ImageFormat::WebP, ImageFormat::Bmp] {
            let bytes = encoded(photo(), format);
            assert_eq!(decode(&bytes).unwrap().dimensions(), (48, 32), "{format:?}");
            assert!(decode(&bytes[..bytes.len() / 2]).is_err(), "{format:?}");
        }
    }

    #[test]
    fn files_that_are_not_images_are_described() {
        assert_eq!(decode(b"").unwrap_err(), "empty file (0 bytes)");
        assert_eq!(decode(b"<html>404</html>").unwrap_err(), "not an image, but text");
        assert_eq!(decode(&[0, 1, 2, 3]).unwrap_err(), "not an image of a known format");
    }

    #[test]
    fn an_image_of_enormous_size_is_refused() {
        let mut png = encoded(ImageBuffer::from_pixel(1, 1, Luma([0u8])), ImageFormat::Png);
        // Width and height in the header: then its checksum is wrong, or the limit applies.
        png[16..24].copy_from_slice(&[0, 0, 0xff, 0xff, 0, 0, 0xff, 0xff]);
        assert!(decode(&png).is_err());
    }

    #[test]
    fn the_exif_orientation_is_applied() {
        let jpeg = encoded(photo(), ImageFormat::Jpeg);
        // An EXIF block (little endian, one entry): tag 0x0112 orientation, SHORT, 6 = turn right.
        let mut exif = b"\xff\xe1\x00\x22Exif\0\0II\x2a\0\x08\0\0\0\x01\0".to_vec();
        exif.extend_from_slice(b"\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0");
        let mut turned = jpeg[..2].to_vec();
        turned.extend_from_slice(&exif);
        turned.extend_from_slice(&jpeg[2..]);
        assert_eq!(decode(&turned).unwrap().dimensions(), (32, 48));
    }
}
