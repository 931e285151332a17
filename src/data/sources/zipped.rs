//! A zip of images, such as those of the official StyleGAN2 dataset tool, whose `dataset.json` is
//! `{"labels": [[file, class], …] or null}`. Our own archives are such zips too; when they are
//! prepared again, they keep their captions and split.

use std::path::Path;

use super::listing::{Format, Listing, Picture, SourceItem};
use crate::data::manifest::{self, AnyManifest, MANIFEST_FILE, Manifest};
use crate::data::zip_file::{self, Zip};
use crate::error::{Error, Result};

/// Lists the images of a zip: as recorded in our archives, by name in others.
pub(super) fn list(src: &Path) -> Result<Listing> {
    let mut zip = zip_file::open(src)?;
    let manifest = match zip.index_for_name(MANIFEST_FILE) {
        Some(entry) => {
            manifest::parse(src, &zip_file::read_entry(&mut zip, src, entry, u64::MAX)?)?
        }
        None => AnyManifest::Official(None),
    };
    let mut listing = match manifest {
        AnyManifest::Ours(manifest) => list_archive(src, &zip, *manifest)?,
        AnyManifest::Official(labels) => {
            let names = (0..zip.len()).map(|entry| zip.name_for_index(entry).unwrap_or_default());
            let (images, skipped) = manifest::plain_images(names, &labels);
            let mut listing = Listing::new(Format::Zip, "hash");
            listing.skipped = skipped;
            for image in images {
                let picture = Picture::ZipEntry(image.entry);
                let mut item = SourceItem::new(&image.name, &image.name, picture);
                item.label = image.label;
                listing.items.push(item);
            }
            listing
        }
    };
    listing.zip = Some((src.to_owned(), zip));
    Ok(listing)
}

fn list_archive(src: &Path, zip: &Zip, manifest: Manifest) -> Result<Listing> {
    let mut listing = Listing::new(Format::Zip, "archive");
    listing.class_names = manifest.class_names;
    listing.skipped = manifest.skipped;
    for image in manifest.images {
        let Some(entry) = zip.index_for_name(&image.file) else {
            return Err(Error::user(format!(
                "{}: {MANIFEST_FILE} lists {}, which is not in the zip",
                src.display(),
                image.file
            ))
            .hint("the file is damaged; prepare it again"));
        };
        listing.items.push(SourceItem {
            id: image.id,
            name: image.file,
            picture: Picture::ZipEntry(entry),
            bounding_box: None,
            split: image.split,
            label: image.label,
            captions: image.captions,
            phrases: image.phrases,
            attributes: image.attributes,
        });
    }
    Ok(listing)
}
