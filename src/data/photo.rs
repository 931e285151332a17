//! Single images from the user, cropped to the size of a model.

use std::path::Path;

use image::RgbImage;

use super::crop::{center, to_square};
use super::decode::{MAX_FILE_BYTES, decode};
use super::formats;
use crate::error::{Error, Result};

/// Reads an image file of any size and resizes its largest centred square to `side`² pixels. The
/// EXIF orientation is applied, and transparency is blended over white.
///
/// # Errors
/// If the file is missing or not an image.
pub fn open_photo(path: &Path, side: usize) -> Result<RgbImage> {
    let failed = |e| Error::io(path, "read the image", e).context("--image");
    let refused = |found: String| {
        Error::user(format!("--image {}: {found}", path.display()))
            .hint(format!("give a {} file", formats::READABLE))
    };
    // Opening a pipe would wait for a writer, and a device has no end.
    let info = std::fs::metadata(path).map_err(failed)?;
    if !info.is_file() && !info.is_dir() {
        return Err(refused("is not a regular file".into()));
    }
    if info.len() > MAX_FILE_BYTES {
        return Err(refused(format!("has {} bytes; the limit is {MAX_FILE_BYTES}", info.len())));
    }
    let bytes = std::fs::read(path).map_err(failed)?;
    photo(&format!("--image {}", path.display()), &bytes, side)
}

/// Like [`open_photo`], for the content of a file; `name` is its name in error messages.
///
/// # Errors
/// If it is not an image.
pub fn photo(name: &str, bytes: &[u8], side: usize) -> Result<RgbImage> {
    let image = decode(bytes).map_err(|reason| {
        Error::user(format!("{name}: {reason}")).hint(format!("give a {} file", formats::READABLE))
    })?;
    let region = center(image.width(), image.height());
    Ok(to_square(&image, Some(region), side as u32))
}
