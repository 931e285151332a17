//! Our own archives as a source: a zip, or the folder that it was extracted to. When they are
//! prepared again, they keep their captions and split.

use super::listing::{Format, Listing, Picture, SourceItem};
use super::tree::{Found, Tree};
use crate::data::manifest::{MANIFEST_FILE, Manifest};
use crate::error::{Error, Result};

/// Lists the images of an archive whose `dataset.json` is in `folder`.
pub(super) fn list(tree: Tree, folder: &str, manifest: Manifest) -> Result<Listing> {
    let mut listing = Listing::new(Format::Zip, "archive");
    listing.class_names = manifest.class_names;
    listing.skipped = manifest.skipped;
    for image in manifest.images {
        let Found::File(at) = tree.find(folder, &image.file) else {
            return Err(Error::user(format!(
                "{}: {MANIFEST_FILE} lists {}, which is not in the zip",
                tree.src().display(),
                image.file
            ))
            .hint("the file is damaged or incomplete; copy or prepare it again"));
        };
        listing.items.push(SourceItem {
            id: image.id,
            name: image.file,
            picture: Picture::Entry(at),
            bounding_box: None,
            split: image.split,
            label: image.label,
            captions: image.captions,
            phrases: image.phrases,
            derived: image.derived,
            attributes: image.attributes,
        });
    }
    listing.tree = Some(tree);
    Ok(listing)
}
