//! Single images from the user, cropped to the size of a model.

use std::path::{Path, PathBuf};

use image::RgbImage;

use super::crop::{center, to_square};
use super::decode::{Decoded, Encoded, MAX_FILE_BYTES, TOO_LARGE};
use super::formats;
use crate::error::{Error, Result};
use crate::input;

/// An image from the user.
pub struct Photo {
    /// The largest centred square of the image, at the size of the model. The EXIF orientation is
    /// applied, and transparency is blended over white.
    pub image: RgbImage,
    /// A warning that the data of the file is damaged.
    pub warning: Option<String>,
}

/// Reads an image file of any size and resizes it to `side`² pixels.
///
/// # Errors
/// If the file is missing or not an image.
pub fn open_photo(path: &Path, side: usize) -> Result<Photo> {
    let bytes = input::read(path, "read the image", MAX_FILE_BYTES)
        .map_err(|error| error.context("--image"))?;
    photo(&format!("--image {}", path.display()), &bytes, side)
}

/// Reads image files of any size and resizes them to `side`² pixels. `warn` receives the warnings.
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
        let Photo { image, warning } = open_photo(path, side)?;
        warning.iter().for_each(|warning| warn(warning));
        photos.push(image);
    }
    Ok(photos)
}

/// Like [`open_photo`], for the content of a file; `name` is its name in messages.
///
/// # Errors
/// If it is not an image.
pub fn photo(name: &str, bytes: &[u8], side: usize) -> Result<Photo> {
    let opened = Encoded::open(bytes);
    // What the header already tells is no damage.
    let format = || format!("give a {} file", formats::READABLE);
    let hint = match &opened {
        Err(reason) if reason.starts_with(TOO_LARGE) => "use a smaller image".to_owned(),
        Err(reason) if !reason.starts_with("truncated") => format(),
        _ => "copy or download it again, or save it as a PNG file in another program".to_owned(),
    };
    let decoded = opened.and_then(|encoded| encoded.decode());
    let Decoded { image, is_damaged, is_transparent } =
        decoded.map_err(|reason| Error::user(format!("{name}: {reason}")).hint(hint))?;
    let region = center(image.width(), image.height());
    let finding = match (is_damaged, is_transparent) {
        (true, _) => Some("its data is damaged; parts of it may be grey or have wrong colours"),
        (_, true) => Some("all of it is transparent, so it is white"),
        _ => None,
    };
    let warning = finding.map(|finding| format!("{name}: {finding}"));
    Ok(Photo { image: to_square(&image, Some(region), side as u32), warning })
}
