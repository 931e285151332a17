//! Single images from the user, cropped to the size of a model.

use std::path::{Path, PathBuf};

use image::RgbImage;

use super::crop::{center, to_square};
use super::decode::{Decoded, Encoded, MAX_FILE_BYTES, TOO_LARGE};
use super::formats;
use crate::error::{Error, Result};
use crate::input;

/// Reads an image file of any size and resizes its largest centred square to `side`² pixels. The
/// EXIF orientation is applied, and transparency is blended over white.
///
/// # Errors
/// If the file is missing or not an image.
pub fn open_photo(path: &Path, side: usize) -> Result<RgbImage> {
    open(path, side).map(|decoded| decoded.image)
}

/// Reads several image files; see [`open_photo`]. `warn` receives a remark about each file whose
/// data is damaged.
///
/// # Errors
/// If one of them is missing or not an image.
pub fn open_photos(
    paths: &[PathBuf],
    side: usize,
    warn: &mut dyn FnMut(&str),
) -> Result<Vec<RgbImage>> {
    let mut photos = Vec::with_capacity(paths.len());
    for path in paths {
        let Decoded { image, is_damaged } = open(path, side)?;
        if is_damaged {
            warn(&format!(
                "--image {}: its data is damaged; parts of it may be grey or have wrong colours",
                path.display()
            ));
        }
        photos.push(image);
    }
    Ok(photos)
}

fn open(path: &Path, side: usize) -> Result<Decoded> {
    let bytes = input::read(path, "read the image", MAX_FILE_BYTES)
        .map_err(|error| error.context("--image"))?;
    decoded(&format!("--image {}", path.display()), &bytes, side)
}

/// Like [`open_photo`], for the content of a file; `name` is its name in error messages.
///
/// # Errors
/// If it is not an image.
pub fn photo(name: &str, bytes: &[u8], side: usize) -> Result<RgbImage> {
    decoded(name, bytes, side).map(|decoded| decoded.image)
}

fn decoded(name: &str, bytes: &[u8], side: usize) -> Result<Decoded> {
    let opened = Encoded::open(bytes);
    // What the header already tells is no damage.
    let format = || format!("give a {} file", formats::READABLE);
    let hint = match &opened {
        Err(reason) if reason.starts_with(TOO_LARGE) => "use a smaller image".to_owned(),
        Err(reason) if !reason.starts_with("truncated") => format(),
        _ => "copy or download it again, or save it as a PNG file in another program".to_owned(),
    };
    let decoded = opened.and_then(|encoded| encoded.decode());
    let Decoded { image, is_damaged } =
        decoded.map_err(|reason| Error::user(format!("{name}: {reason}")).hint(hint))?;
    let region = center(image.width(), image.height());
    Ok(Decoded { image: to_square(&image, Some(region), side as u32), is_damaged })
}
