//! Decoding image files to upright RGB pixels.

use std::borrow::Cow;
use std::io::{Cursor, ErrorKind};

use image::metadata::Orientation;
use image::{
    ColorType, DynamicImage, GrayImage, ImageDecoder, ImageFormat, ImageReader, Limits, Rgb,
    RgbImage,
};

use super::formats;
use super::jpeg;
use super::pages;
use super::png_chunks;

/// Largest side of an image that is decoded, in pixels.
const MAX_SIDE: u32 = 32_768;
/// Largest size of one image as 8-bit RGB: 223 megapixels.
const MAX_RGB_BYTES: u64 = 640 << 20;
/// Largest size of one image as its decoder stores it, with alpha or 16 bits.
const MAX_DECODED_BYTES: u64 = 1 << 30;
/// The beginning of the reason for refusing an image that exceeds these limits.
pub(crate) const TOO_LARGE: &str = "is too large";
/// Largest image file that is read.
pub(crate) const MAX_FILE_BYTES: u64 = 1 << 29;

/// A decoded image.
pub(crate) struct Decoded {
    pub image: RgbImage,
    /// Whether parts of the data are damaged, so that some pixels may be wrong.
    pub is_damaged: bool,
    /// Whether all pixels are fully transparent, so that the image became white.
    pub is_transparent: bool,
}

/// An image file whose header was read.
pub(crate) struct Encoded<'a> {
    bytes: Cow<'a, [u8]>,
    format: ImageFormat,
    width: u32,
    height: u32,
    color: ColorType,
}

impl<'a> Encoded<'a> {
    /// Reads the header of a file of one of the formats [`formats::READABLE`]; the content tells
    /// which.
    ///
    /// # Errors
    /// Why the file cannot be decoded, as a phrase for
    /// [`Skipped::reason`](super::record::Skipped::reason).
    pub fn open(bytes: &'a [u8]) -> Result<Self, String> {
        if bytes.is_empty() {
            return Err("empty file (0 bytes)".into());
        }
        let format = formats::recognise(bytes)?;
        let bytes = match format {
            ImageFormat::Png => png_chunks::without_large_extras(bytes),
            _ => bytes.into(),
        };
        let decoder = decoder(&bytes, format).map_err(|error| match format {
            ImageFormat::Jpeg if !jpeg::reaches_the_end(&bytes) => "truncated JPEG".into(),
            _ => unreadable(error, format),
        })?;
        let ((width, height), color) = (decoder.dimensions(), decoder.color_type());
        drop(decoder);
        if width == 0 || height == 0 {
            return Err(format!("is {width}×{height} pixels"));
        }
        let encoded = Self { bytes, format, width, height, color };
        let decoded = encoded.pixels() * color.bytes_per_pixel() as u64;
        if width > MAX_SIDE
            || height > MAX_SIDE
            || encoded.pixels() * 3 > MAX_RGB_BYTES
            || decoded > MAX_DECODED_BYTES
        {
            return Err(format!(
                "{TOO_LARGE}: {width}×{height} pixels; the limit is {} megapixels",
                MAX_RGB_BYTES / 3_000_000
            ));
        }
        Ok(encoded)
    }

    /// Width and height in the file, before the EXIF orientation is applied.
    pub fn dimensions(&self) -> (u32, u32) {
        (self.width, self.height)
    }

    /// Whether there are further pages or frames, which are not decoded.
    pub fn has_several(&self) -> bool {
        pages::has_several(&self.bytes, self.format)
    }

    /// The memory that decoding takes at most, in bytes.
    pub fn cost(&self) -> u64 {
        let own = self.color.bytes_per_pixel() as u64;
        let rgb = if self.color == ColorType::Rgb8 { 0 } else { 3 };
        let alpha = if self.color.has_alpha() && self.color != ColorType::Rgba8 { 4 } else { 0 };
        self.pixels() * (own + rgb + alpha)
    }

    /// Decodes the image. Only the first frame of an animation is decoded. The EXIF orientation is
    /// applied, transparency is blended over white, and grey, CMYK and 16-bit images become 8-bit
    /// RGB.
    ///
    /// # Errors
    /// As [`Encoded::open`].
    pub fn decode(&self) -> Result<Decoded, String> {
        let (mut pixels, mut is_damaged) = (None, false);
        let bytes = match self.format {
            ImageFormat::Jpeg => match jpeg::read(&self.bytes).ok_or("truncated JPEG")? {
                jpeg::Content::Pixels(found) => {
                    pixels = Some(found);
                    Cow::Borrowed(&*self.bytes)
                }
                jpeg::Content::Damaged(bytes) => {
                    is_damaged = true;
                    bytes
                }
            },
            ImageFormat::Png => png_chunks::complete(&self.bytes),
            _ => Cow::Borrowed(&*self.bytes),
        };
        let unreadable = |error| unreadable(error, self.format);
        let mut decoder = decoder(&bytes, self.format).map_err(unreadable)?;
        // An image with a broken EXIF block is used as it is.
        let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
        let mut image = match pixels {
            Some(pixels) => self.with_pixels(pixels).ok_or("cannot be decoded")?,
            None => DynamicImage::from_decoder(decoder).map_err(unreadable)?,
        };
        image.apply_orientation(orientation);
        let (image, is_transparent) = match image.color().has_alpha() {
            true => over_white(image, has_unused_alpha(self.format)),
            false => (image.into_rgb8(), false),
        };
        Ok(Decoded { image, is_damaged, is_transparent })
    }

    /// The image with these pixels, in grey or RGB.
    fn with_pixels(&self, pixels: Vec<u8>) -> Option<DynamicImage> {
        match self.color {
            ColorType::L8 => GrayImage::from_raw(self.width, self.height, pixels).map(Into::into),
            _ => RgbImage::from_raw(self.width, self.height, pixels).map(Into::into),
        }
    }

    fn pixels(&self) -> u64 {
        self.width as u64 * self.height as u64
    }
}

fn decoder<'a>(
    bytes: &'a [u8],
    format: ImageFormat,
) -> Result<impl ImageDecoder + 'a, image::ImageError> {
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_DECODED_BYTES);
    reader.limits(limits);
    reader.into_decoder()
}

fn unreadable(error: image::ImageError, format: ImageFormat) -> String {
    match error {
        image::ImageError::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => {
            format!("truncated {}", format!("{format:?}").to_uppercase())
        }
        // Palettes and floating-point values of TIFF, for example.
        image::ImageError::Unsupported(error) => format!(
            "stores its pixels in a way that cannot be read ({error}); convert it to PNG or JPEG"
        ),
        error => format!("cannot be decoded: {error}"),
    }
}

/// Whether files of this format often contain a fourth byte per pixel that is not used. All of
/// these bytes are 0 then, and the image is opaque.
fn has_unused_alpha(format: ImageFormat) -> bool {
    matches!(format, ImageFormat::Bmp | ImageFormat::Tga | ImageFormat::Ico)
}

/// Encodes an image as a PNG, as archives store it. Equal pixels give equal bytes.
pub(crate) fn encode_png(image: &RgbImage) -> Result<Vec<u8>, String> {
    let mut png = Vec::new();
    image.write_to(&mut Cursor::new(&mut png), ImageFormat::Png).map_err(|e| e.to_string())?;
    Ok(png)
}

/// Blends an image with transparency over white. If `maybe_unused`, alpha counts as unused if it is 0
/// everywhere. Also returns whether nothing of the image is visible.
fn over_white(image: DynamicImage, maybe_unused: bool) -> (RgbImage, bool) {
    let image = image.into_rgba8();
    let transparent = image.pixels().all(|pixel| pixel.0[3] == 0);
    let opaque = maybe_unused && transparent;
    let blended = RgbImage::from_fn(image.width(), image.height(), |x, y| {
        let [r, g, b, a] = image.get_pixel(x, y).0.map(u32::from);
        let a = if opaque { 255 } else { a };
        Rgb([r, g, b].map(|c| ((c * a + 255 * (255 - a) + 127) / 255) as u8))
    });
    (blended, transparent && !opaque)
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{ImageBuffer, Luma, LumaA, Rgb, Rgba};

    fn decode(bytes: &[u8]) -> Result<RgbImage, String> {
        Encoded::open(bytes)?.decode().map(|decoded| decoded.image)
    }

    fn encoded(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
        let mut out = Vec::new();
        image.into().write_to(&mut Cursor::new(&mut out), format).unwrap();
        out
    }

    fn photo() -> RgbImage {
        RgbImage::from_fn(48, 32, |x, y| Rgb([(x * 5) as u8, (y * 7) as u8, (x * y) as u8]))
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
        let whole = decode(&jpeg).unwrap();
        // If at most the end marker is missing, nothing is lost.
        for len in 1..jpeg.len() {
            match decode(&jpeg[..len]) {
                Ok(image) => {
                    assert!(len + 3 >= jpeg.len(), "cut to {len} of {}", jpeg.len());
                    assert!(image == whole, "cut to {len}");
                }
                Err(reason) => assert!(len + 2 < jpeg.len(), "cut to {len}: {reason}"),
            }
        }
        assert_eq!(decode(&jpeg[..jpeg.len() / 2]).unwrap_err(), "truncated JPEG");
        let mut trailing = jpeg.clone();
        trailing.extend_from_slice(b"camera maker's notes");
        decode(&trailing).unwrap();
    }

    /// A copy that broke off may have its full size.
    #[test]
    fn a_jpeg_whose_end_is_zeros_is_truncated() {
        let noise = RgbImage::from_fn(64, 64, |x, y| {
            let value = (x * 7919 + y * 104_729).wrapping_mul(2_654_435_761);
            Rgb([(value >> 8) as u8, (value >> 16) as u8, (value >> 24) as u8])
        });
        let jpeg = encoded(noise, ImageFormat::Jpeg);
        for kept in [jpeg.len() / 2, jpeg.len() * 3 / 4, jpeg.len() - 100] {
            for longer in [0, 8192] {
                let mut zeroed = jpeg.clone();
                zeroed[kept..].fill(0);
                zeroed.resize(jpeg.len() + longer, 0);
                assert_eq!(decode(&zeroed).unwrap_err(), "truncated JPEG", "{kept} + {longer}");
            }
        }
        let whole = decode(&jpeg).unwrap();
        for end in [jpeg.len(), jpeg.len() - 2] {
            let padded = [&jpeg[..end], &[0; 4096]].concat();
            assert!(decode(&padded).as_ref() == Ok(&whole), "to {end}");
        }
    }

    /// A grey image of 2×2 pixels as a BigTIFF, which the `image` crate does not write.
    #[test]
    fn a_tiff_with_large_offsets_is_read() {
        let tags: [(u16, u64); 9] = [
            (256, 2),
            (257, 2),
            (258, 8),
            (259, 1),
            (262, 1),
            (273, 16 + 8 + 9 * 20 + 8),
            (277, 1),
            (278, 2),
            (279, 4),
        ];
        let mut tiff = b"II\x2b\0\x08\0\0\0".to_vec();
        tiff.extend(16u64.to_le_bytes());
        tiff.extend((tags.len() as u64).to_le_bytes());
        for (tag, value) in tags {
            // 16 is the type of a 64-bit number, 3 that of a 16-bit number.
            let kind: u16 = if tag == 273 || tag == 279 { 16 } else { 3 };
            tiff.extend(tag.to_le_bytes());
            tiff.extend(kind.to_le_bytes());
            tiff.extend(1u64.to_le_bytes());
            tiff.extend(value.to_le_bytes());
        }
        tiff.extend(0u64.to_le_bytes());
        tiff.extend([10, 20, 30, 40]);
        let image = decode(&tiff).unwrap();
        assert_eq!(image.pixels().map(|pixel| pixel.0[0]).collect::<Vec<_>>(), [10, 20, 30, 40]);
    }

    /// PNG follows the same rule as JPEG.
    #[test]
    fn a_truncated_png_is_an_error() {
        let png = encoded(photo(), ImageFormat::Png);
        let whole = decode(&png).unwrap();
        for len in 1..png.len() {
            match decode(&png[..len]) {
                Ok(image) => {
                    assert!(len + 12 >= png.len(), "cut to {len} of {}", png.len());
                    assert!(image == whole, "cut to {len}");
                }
                Err(reason) => assert!(len + 12 < png.len(), "cut to {len}: {reason}"),
            }
        }
        assert_eq!(decode(&png[..png.len() / 2]).unwrap_err(), "truncated PNG");
    }

    /// Decoders skip bytes between segments that belong to none, and so does the check.
    #[test]
    fn odd_bytes_between_the_segments_of_a_jpeg_are_skipped() {
        let jpeg = encoded(photo(), ImageFormat::Jpeg);
        let whole = decode(&jpeg).unwrap();
        let app0 = 4 + u16::from_be_bytes([jpeg[4], jpeg[5]]) as usize;
        for odd in [&[0, 0, 0][..], &[0xff, 0], &[0xff, 0xff, 0xff], &[0x55], &[0, 0xff, 0, 0]] {
            let bytes = [&jpeg[..app0], odd, &jpeg[app0..]].concat();
            assert!(decode(&bytes).as_ref() == Ok(&whole), "{odd:?}");
            assert_eq!(decode(&bytes[..bytes.len() / 2]).unwrap_err(), "truncated JPEG");
        }
    }

    #[test]
    fn unused_alpha_is_ignored_and_used_alpha_is_not() {
        for format in [ImageFormat::Bmp, ImageFormat::Tga] {
            let clear = ImageBuffer::from_pixel(4, 3, Rgba([200u8, 20, 90, 0]));
            let rgb = decode(&encoded(clear.clone(), format)).unwrap();
            assert_eq!(rgb.get_pixel(1, 1).0, [200, 20, 90], "{format:?}");
            let mut half = clear;
            half.put_pixel(0, 0, Rgba([200, 20, 90, 255]));
            let rgb = decode(&encoded(half, format)).unwrap();
            assert_eq!(rgb.get_pixel(0, 0).0, [200, 20, 90], "{format:?}");
            assert_eq!(rgb.get_pixel(1, 1).0, [255; 3], "{format:?}");
        }
        let clear = ImageBuffer::from_pixel(4, 3, Rgba([200u8, 20, 90, 0]));
        let rgb = decode(&encoded(clear, ImageFormat::Png)).unwrap();
        assert_eq!(rgb.get_pixel(1, 1).0, [255; 3]);
    }

    #[test]
    fn further_formats_are_read() {
        let formats = [
            ImageFormat::Pnm,
            ImageFormat::Tga,
            ImageFormat::Qoi,
            ImageFormat::Ico,
            ImageFormat::Farbfeld,
        ];
        for format in formats {
            let image = DynamicImage::from(photo());
            let bytes = match format {
                ImageFormat::Ico => encoded(image.into_rgba8(), format),
                ImageFormat::Farbfeld => encoded(image.into_rgba16(), format),
                _ => encoded(image, format),
            };
            assert!(decode(&bytes) == Ok(photo()), "{format:?}");
        }
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
        assert_eq!(decode(b"a note\n").unwrap_err(), "not an image, but text");
        assert_eq!(decode(&[0, 1, 2, 3]).unwrap_err(), "not an image of a known format");
    }

    /// Grey pixels take a third of what they take as RGB, and both count.
    #[test]
    fn an_image_of_enormous_size_is_refused_by_its_header() {
        for (side, allowed) in
            [(0xffffu32, false), (32_768, false), (15_000, false), (14_900, true)]
        {
            let mut png = Vec::new();
            let mut encoder = png::Encoder::new(&mut png, side, side);
            encoder.set_color(png::ColorType::Grayscale);
            encoder.set_depth(png::BitDepth::One);
            encoder.write_header().unwrap().write_chunk(png::chunk::IDAT, &[]).unwrap();
            let opened = Encoded::open(&png);
            assert_eq!(opened.is_ok(), allowed, "{side}: {:?}", opened.err());
            if let Ok(opened) = opened {
                assert!(opened.cost() >= 3 * side as u64 * side as u64);
            }
        }
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
