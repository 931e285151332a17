//! Single images from the user, cropped to the size of a model.

use std::path::{Path, PathBuf};

use image::RgbImage;

use super::crop::{center, to_square};
use super::decode::{MAX_FILE_BYTES, decode};
use super::formats;
use crate::error::{Error, Result};
use crate::input;

/// Reads an image file of any size and resizes its largest centred square to `side`² pixels. The
/// EXIF orientation is applied, and transparency is blended over white.
///
/// # Errors
/// If the file is missing or not an image.
pub fn open_photo(path: &Path, side: usize) -> Result<RgbImage> {
    let bytes = input::read(path, "read the image", MAX_FILE_BYTES)
        .map_err(|error| error.context("--image"))?;
    photo(&format!("--image {}", path.display()), &bytes, side)
}

/// Reads several image files; see [`open_photo`].
///
/// # Errors
/// If one of them is missing or not an image.
pub fn open_photos(paths: &[PathBuf], side: usize) -> Result<Vec<RgbImage>> {
    paths.iter().map(|path| open_photo(path, side)).collect()
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
