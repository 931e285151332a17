//! Our own archives as a source: a zip, or the folder that it was extracted to. When they are
//! prepared again, they keep their captions and split.

use std::collections::BTreeSet;

use super::listing::{Format, Listing, Picture, SourceItem};
use super::tree::{Found, Tree};
use crate::data::manifest::{MANIFEST_FILE, Manifest};
use crate::error::{Error, Result};

/// Lists the images of an archive whose `dataset.json` is in `folder`.
pub(super) fn list(tree: Tree, folder: &str, manifest: Manifest) -> Result<Listing> {
    let mut listing = Listing::new(Format::Zip, "archive");
    listing.class_names = manifest.class_names;
    listing.skipped = manifest.skipped;
    let mut used = BTreeSet::new();
    used.extend(tree.find(folder, MANIFEST_FILE).file());
    for image in manifest.images {
        let Found::File(at) = tree.find(folder, &image.file) else {
            return Err(Error::user(format!(
                "{}: {MANIFEST_FILE} lists {}, which is not in the zip",
                tree.src().display(),
                image.file
            ))
            .hint("the file is damaged or incomplete; copy or prepare it again"));
        };
        used.insert(at);
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
    listing.skipped.extend(tree.problems.iter().cloned());
    let others: Vec<String> = (0..tree.len())
        .filter(|at| !used.contains(at))
        .map(|at| tree.name(at).to_owned())
        .collect();
    listing.remark(
        &format!("not used, because {MANIFEST_FILE} of the archive does not list them"),
        &others,
        "move them to a folder of their own, or read all images, without the captions of the \
         archive, with --format folder",
    );
    listing.tree = Some(tree);
    Ok(listing)
}
