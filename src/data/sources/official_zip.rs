//! A zip of the official StyleGAN2 dataset tool: images, and `dataset.json` with
//! `{"labels": [[file, class], …] or null}`. Our own archives are such zips and keep their
//! captions and split when they are prepared again.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde::de::IgnoredAny;
use zip::ZipArchive;

use super::{Format, Listing, Picture, SourceItem, is_image_name};
use crate::data::archive::{MANIFEST_FILE, SharedFile, read_entry};
use crate::data::record::Manifest;
use crate::error::{Error, Result};

/// Class by file name, where there are classes.
pub(crate) type Labels = Option<BTreeMap<String, u32>>;

/// What a `dataset.json` turned out to be.
pub(crate) enum ParsedManifest {
    Ours(Box<Manifest>),
    Official(Labels),
}

/// The `dataset.json` of a zip; a zip without one is images without classes.
pub(super) fn manifest_of(path: &Path, zip: &mut ZipArchive<SharedFile>) -> Result<ParsedManifest> {
    match zip.index_for_name(MANIFEST_FILE) {
        Some(entry) => parse_manifest(path, &read_entry(zip, path, entry)?),
        None => Ok(ParsedManifest::Official(None)),
    }
}

/// Reads a `dataset.json` of either kind.
///
/// # Errors
/// A user error when it is not JSON, is of a newer version, or has labels that are no classes.
pub(crate) fn parse_manifest(path: &Path, json: &[u8]) -> Result<ParsedManifest> {
    #[derive(Deserialize)]
    struct Probe {
        version: Option<u32>,
        images: Option<IgnoredAny>,
    }
    #[derive(Deserialize)]
    struct Official {
        #[serde(default)]
        labels: Option<Vec<(String, serde_json::Value)>>,
    }
    let broken = |e: serde_json::Error| {
        Error::user(format!("{}: {MANIFEST_FILE} is broken: {e}", path.display()))
            .hint("prepare the archive again")
    };
    let probe: Probe = serde_json::from_slice(json).map_err(broken)?;
    if let (Some(version), Some(_)) = (probe.version, &probe.images) {
        if version > Manifest::VERSION {
            return Err(Error::user(format!(
                "{}: {MANIFEST_FILE} has version {version}; this program reads up to {}",
                path.display(),
                Manifest::VERSION
            ))
            .hint("use a newer cigan"));
        }
        return Ok(ParsedManifest::Ours(Box::new(serde_json::from_slice(json).map_err(broken)?)));
    }
    let official: Official = serde_json::from_slice(json).map_err(broken)?;
    let Some(rows) = official.labels else { return Ok(ParsedManifest::Official(None)) };
    let labels = rows
        .into_iter()
        .map(|(file, label)| match label.as_u64().map(u32::try_from) {
            Some(Ok(class)) => Ok((file, class)),
            _ => Err(Error::user(format!(
                "{}: {MANIFEST_FILE} labels {file} as {label}; only class numbers are understood",
                path.display()
            ))
            .hint("remove `labels` from the file, or give whole numbers from 0")),
        })
        .collect::<Result<_>>()?;
    Ok(ParsedManifest::Official(Some(labels)))
}

/// Lists the images of a zip: ours as recorded, others by name.
pub(crate) fn list(
    path: &Path,
    zip: &ZipArchive<SharedFile>,
    manifest: ParsedManifest,
) -> Result<Listing> {
    match manifest {
        ParsedManifest::Ours(manifest) => list_ours(path, zip, *manifest),
        ParsedManifest::Official(labels) => {
            let mut listing = Listing::new(Format::Zip, "hash");
            for entry in 0..zip.len() {
                let name = zip.name_for_index(entry).unwrap_or_default();
                if is_image_name(name) && !name.starts_with("__MACOSX/") {
                    let mut item = SourceItem::new(name, name, Picture::ZipEntry(entry));
                    item.label = labels.as_ref().and_then(|l| l.get(name).copied());
                    listing.items.push(item);
                }
            }
            listing.items.sort_by(|a, b| a.name.cmp(&b.name));
            for name in labels.iter().flat_map(BTreeMap::keys) {
                if zip.index_for_name(name).is_none() {
                    listing.skip(name, format!("listed in {MANIFEST_FILE}, but not in the zip"));
                }
            }
            Ok(listing)
        }
    }
}

fn list_ours(path: &Path, zip: &ZipArchive<SharedFile>, manifest: Manifest) -> Result<Listing> {
    let mut listing = Listing::new(Format::Zip, "archive");
    listing.class_names = manifest.class_names;
    listing.skipped = manifest.skipped;
    for image in manifest.images {
        let Some(entry) = zip.index_for_name(&image.file) else {
            return Err(Error::user(format!(
                "{}: {MANIFEST_FILE} lists {}, which is not in the zip",
                path.display(),
                image.file
            )));
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
