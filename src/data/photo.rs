//! One's own photographs, as a model wants them.

use std::path::Path;

use image::RgbImage;

use super::crop::{center, to_square};
use super::decode::decode;
use crate::error::{Error, Result};

/// Reads a picture of any size and kind and cuts its largest centred square out, `side` pixels
/// wide. EXIF orientation is honoured, transparency flattened over white.
///
/// # Errors
/// If the file is missing or no picture.
pub fn open_photo(path: &Path, side: usize) -> Result<RgbImage> {
    let bytes =
        std::fs::read(path).map_err(|e| Error::io(path, "read the image", e).context("--image"))?;
    photo(&format!("--image {}", path.display()), &bytes, side)
}

/// The same of the bytes of a file; `name` is what messages call it.
///
/// # Errors
/// If they are no picture.
pub fn photo(name: &str, bytes: &[u8], side: usize) -> Result<RgbImage> {
    let image = decode(bytes).map_err(|reason| {
        Error::user(format!("{name}: {reason}"))
            .hint("give a PNG, JPEG, WebP, GIF, BMP or TIFF file")
    })?;
    let region = center(image.width(), image.height());
    Ok(to_square(&image, Some(region), side as u32))
}
