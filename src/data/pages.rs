//! Image files that contain several pictures, of which only the first is used.

use image::ImageFormat;

/// Whether a file contains several pages or frames. An icon contains one picture in several sizes.
pub(crate) fn has_several(bytes: &[u8], format: ImageFormat) -> bool {
    match format {
        ImageFormat::Gif => gif(bytes),
        ImageFormat::Png => png(bytes),
        ImageFormat::WebP => {
            bytes.get(12..16) == Some(b"VP8X") && bytes.get(20).is_some_and(|flags| flags & 2 != 0)
        }
        ImageFormat::Tiff => tiff(bytes),
        _ => false,
    }
}

/// Whether a GIF has a second frame. Damaged files have none.
fn gif(bytes: &[u8]) -> bool {
    frames(bytes).is_some_and(|frames| frames > 1)
}

/// The number of frames of a GIF; it stops at the second.
fn frames(bytes: &[u8]) -> Option<usize> {
    let table = |flags: u8| if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 7) + 1) };
    let mut at = 13 + table(*bytes.get(10)?);
    let mut frames = 0;
    while frames < 2 {
        match *bytes.get(at)? {
            0x21 => at += 2,
            0x2c => {
                frames += 1;
                at += 11 + table(*bytes.get(at + 9)?);
            }
            _ => break,
        }
        loop {
            let length = *bytes.get(at)? as usize;
            at += 1 + length;
            if length == 0 {
                break;
            }
        }
    }
    Some(frames)
}

/// Whether a PNG states several frames in its chunk `acTL`, which is before the pixels.
fn png(bytes: &[u8]) -> bool {
    let mut at = 8;
    while let Some(head) = bytes.get(at..at + 12) {
        let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
        match &head[4..8] {
            b"acTL" => return u32::from_be_bytes([head[8], head[9], head[10], head[11]]) > 1,
            b"IDAT" => return false,
            _ => at = at.saturating_add(12).saturating_add(length),
        }
    }
    false
}

/// Whether the first directory of a TIFF states the place of a second one.
fn tiff(bytes: &[u8]) -> bool {
    let little = bytes.starts_with(b"II");
    let number = |at: u64, size: u64| -> Option<u64> {
        let at = usize::try_from(at).ok()?;
        let bytes = bytes.get(at..at.checked_add(size as usize)?)?;
        let add = |sum: u64, byte: &u8| sum << 8 | *byte as u64;
        Some(if little { bytes.iter().rev().fold(0, add) } else { bytes.iter().fold(0, add) })
    };
    let second = || match number(2, 2)? {
        // BigTIFF.
        43 => {
            let first = number(8, 8)?;
            number(first.checked_add(8)?.checked_add(number(first, 8)?.checked_mul(20)?)?, 8)
        }
        _ => {
            let first = number(4, 4)?;
            number(first + 2 + number(first, 2)? * 12, 4)
        }
    };
    second().is_some_and(|offset| offset != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::codecs::gif::GifEncoder;
    use image::{DynamicImage, Frame, RgbaImage};
    use std::io::Cursor;

    #[test]
    fn frames_of_a_gif_are_counted() {
        for count in 1..4 {
            let mut bytes = Vec::new();
            let mut encoder = GifEncoder::new(&mut bytes);
            for _ in 0..count {
                encoder.encode_frame(Frame::new(RgbaImage::new(5, 4))).unwrap();
            }
            drop(encoder);
            assert_eq!(has_several(&bytes, ImageFormat::Gif), count > 1, "{count}");
            // A truncated file is not an endless loop, and the first frame alone is one picture.
            for cut in 0..bytes.len() {
                let _ = has_several(&bytes[..cut], ImageFormat::Gif);
            }
        }
    }

    #[test]
    fn frames_of_a_png_are_counted() {
        for count in 1..3 {
            let mut bytes = Vec::new();
            let mut encoder = png::Encoder::new(&mut bytes, 2, 2);
            encoder.set_animated(count, 0).unwrap();
            let mut writer = encoder.write_header().unwrap();
            for _ in 0..count {
                writer.write_image_data(&[0; 4]).unwrap();
            }
            writer.finish().unwrap();
            assert_eq!(has_several(&bytes, ImageFormat::Png), count > 1, "{count}");
        }
    }

    /// The second directory of a TIFF is where the first one states.
    #[test]
    fn pages_of_a_tiff_are_noticed() {
        let mut bytes = Cursor::new(Vec::new());
        DynamicImage::new_rgb8(3, 3).write_to(&mut bytes, ImageFormat::Tiff).unwrap();
        let mut bytes = bytes.into_inner();
        assert!(!has_several(&bytes, ImageFormat::Tiff));
        let first = u32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]) as usize;
        let entries = u16::from_le_bytes([bytes[first], bytes[first + 1]]) as usize;
        bytes[first + 2 + 12 * entries] = 8;
        assert!(has_several(&bytes, ImageFormat::Tiff));
        for (big, offset, expected) in [(false, 0u8, false), (false, 9, true), (true, 9, true)] {
            let mut bytes = if big {
                b"MM\0\x2b\0\x08\0\0\0\0\0\0\0\0\0\x10".to_vec()
            } else {
                b"MM\0\x2a\0\0\0\x08\0\0".to_vec()
            };
            bytes.extend(if big { [0; 8].as_slice() } else { &[] });
            bytes.extend(vec![0; if big { 7 } else { 3 }]);
            bytes.push(offset);
            assert_eq!(has_several(&bytes, ImageFormat::Tiff), expected, "{big} {offset}");
        }
    }

    #[test]
    fn an_animated_webp_says_so() {
        let still = b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\x10\0\0\0";
        let mut animated = still.to_vec();
        animated[20] |= 2;
        assert!(!has_several(still, ImageFormat::WebP));
        assert!(has_several(&animated, ImageFormat::WebP));
    }
}
