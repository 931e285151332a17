//! The layouts of captioned image data, each listed as [`SourceItem`]s.
//!
//! Listing a source reads its indices and captions only; the images are read later, when an
//! archive is prepared.

mod cub;
mod files;
mod folder;
mod listing;
mod recipe1m;
mod zipped;

use std::path::Path;

use super::decode::IMAGE_EXTENSIONS;
use crate::error::{Error, Result};
pub use listing::{CubSplit, Format, Listing, Picture, SourceItem};

/// Detects the layout of `src`.
///
/// # Errors
/// A user error that lists the layouts that were tried.
fn detect(src: &Path) -> Result<Format> {
    if src.is_file() {
        return Ok(Format::Zip);
    }
    if !src.exists() {
        return Err(Error::user(format!("{}: no such file or folder", src.display()))
            .hint("check the path of SRC"));
    }
    if cub::root(src).is_some() {
        Ok(Format::Cub)
    } else if recipe1m::root(src).is_some() {
        Ok(Format::Recipe1m)
    } else if folder::holds_images(src)? {
        Ok(Format::Folder)
    } else {
        Err(Error::user(format!(
            "{}: no known layout; looked for images.txt or CUB_200_2011/images.txt (cub), \
             layer1.json (recipe1m), metadata.jsonl, metadata.csv or image files ({}) at any \
             depth (folder), and a zip",
            src.display(),
            IMAGE_EXTENSIONS.join(", ")
        ))
        .hint("check the path of SRC, or name its layout with --format"))
    }
}

/// Lists the images of a source. [`Format::Auto`] detects its layout.
///
/// # Errors
/// A user error if the source does not have this layout, or if an index file is broken.
pub fn list(src: &Path, format: Format, cub_split: CubSplit) -> Result<Listing> {
    match format {
        Format::Auto => list(src, detect(src)?, cub_split),
        Format::Cub => cub::list(src, cub_split),
        Format::Recipe1m => recipe1m::list(src),
        Format::Folder => folder::list(src),
        Format::Zip => zipped::list(src),
    }
}
