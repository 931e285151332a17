//! `data prepare`: any source → one archive.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use image::RgbImage;
use rayon::prelude::*;

use super::archive::ArchiveWriter;
use super::crop::{self, Crop};
use super::decode::{decode, encode_png};
use super::record::{ImageRecord, Manifest, Provenance, Skipped, Split};
use super::sources::{self, CubSplit, Format, Listing, SourceItem};
use crate::error::{Error, Result};
use crate::interrupt::Interrupt;

/// Pictures in memory at a time, all threads together.
const CHUNK: usize = 128;

/// What `data prepare` is asked to do.
#[derive(Debug, Clone)]
pub struct PrepareOptions {
    /// Folder or zip of the source.
    pub src: PathBuf,
    /// The archive to write; an existing one is replaced once the new one is complete.
    pub out: PathBuf,
    pub format: Format,
    /// Side of the images: a power of two, 4 to 1024.
    pub resolution: u32,
    pub crop: Crop,
    /// Keep only this part of the data; None keeps all.
    pub split: Option<Split>,
    pub cub_split: CubSplit,
    /// Asks for an end; the archive is then not written.
    pub stop: Interrupt,
}

/// What a long operation on data tells whoever watches.
#[derive(Debug, Clone, PartialEq)]
pub enum PrepareEvent {
    /// The source was recognised, and holds this many images to look at.
    Listed { format: &'static str, images: usize },
    /// So many images are done, skipped ones included.
    Progress { done: usize, total: usize },
    /// A file was left out.
    Skipped(Skipped),
}

/// What an archive holds, counted.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    pub out: PathBuf,
    pub source: Provenance,
    pub resolution: u32,
    pub images: usize,
    /// Images with a caption at least.
    pub captioned: usize,
    /// Captions in all.
    pub captions: usize,
    pub splits: BTreeMap<Split, usize>,
    pub skipped: Vec<Skipped>,
}

impl Summary {
    pub(crate) fn of(out: &Path, manifest: Manifest) -> Self {
        let mut splits: BTreeMap<Split, usize> = Split::ALL.map(|s| (s, 0)).into();
        for image in &manifest.images {
            *splits.entry(image.split).or_default() += 1;
        }
        Self {
            out: out.to_owned(),
            source: manifest.source,
            resolution: manifest.resolution,
            images: manifest.images.len(),
            captioned: manifest.images.iter().filter(|i| !i.captions.is_empty()).count(),
            captions: manifest.images.iter().map(|i| i.captions.len()).sum(),
            splits,
            skipped: manifest.skipped,
        }
    }
}

/// Reads `options.src` and writes the archive `options.out`.
///
/// Pictures that cannot be used are skipped and listed, by name and with the reason, in the
/// summary and in the archive. The source's split is kept; where it has no validation part, one is
/// carved out of the training part ([`Split::carve`]). Equal input gives an equal file.
///
/// # Errors
/// A user error: a resolution that no network has, an unknown or broken layout, no image left, or
/// an archive that cannot be written (what existed under its name is then untouched).
pub fn prepare(options: &PrepareOptions, events: &mut dyn FnMut(PrepareEvent)) -> Result<Summary> {
    check_resolution(options.resolution)?;
    let mut listing = sources::list(&options.src, options.format, options.cub_split)?;
    if options.cub_split == CubSplit::Class && listing.format != Format::Cub {
        return Err(Error::user(format!(
            "--cub-split class: {} is of the layout {}, not cub",
            options.src.display(),
            listing.format.name()
        ))
        .hint("leave --cub-split out, or give the folder of CUB"));
    }
    let crop = match options.crop {
        Crop::Auto if listing.has_boxes() => Crop::Bbox,
        Crop::Auto => Crop::Center,
        Crop::Bbox if !listing.has_boxes() => {
            return Err(Error::user(format!(
                "--crop bbox: {} has no bounding boxes",
                options.src.display()
            ))
            .hint("use --crop center or --crop none"));
        }
        crop => crop,
    };
    if listing.items.is_empty() && listing.skipped.is_empty() {
        return Err(Error::user(format!("{}: holds no images", options.src.display()))
            .hint("check SRC, or say which layout it is with --format"));
    }
    let mut items = std::mem::take(&mut listing.items);
    let mut skipped = std::mem::take(&mut listing.skipped);
    if !items.iter().any(|item| item.split == Split::Val) {
        items.iter_mut().for_each(|item| item.split = item.split.carve(&item.id));
    }
    if let Some(split) = options.split {
        let all = items.len();
        items.retain(|item| item.split == split);
        if items.is_empty() && all > 0 {
            return Err(Error::user(format!(
                "--split {split}: none of the {all} images of {} is in it",
                options.src.display()
            ))
            .hint("use --split all"));
        }
    }
    events(PrepareEvent::Listed { format: listing.format.name(), images: items.len() });
    for skipped in &skipped {
        events(PrepareEvent::Skipped(skipped.clone()));
    }

    let mut writer = ArchiveWriter::create(&options.out, options.resolution)?;
    let total = items.len();
    in_order(
        &items,
        &options.stop,
        |item| square(&listing, item, crop, options.resolution),
        |at, item, made| {
            match made {
                Ok(png) => writer.add(&png, record(item))?,
                Err(reason) => {
                    let one = Skipped::new(&item.name, reason);
                    events(PrepareEvent::Skipped(one.clone()));
                    skipped.push(one);
                }
            }
            if (at + 1) % CHUNK == 0 || at + 1 == total {
                events(PrepareEvent::Progress { done: at + 1, total });
            }
            Ok(())
        },
    )?;
    if writer.is_empty() {
        return Err(nothing_left(&options.src, &skipped));
    }
    let source = Provenance {
        format: listing.format.name().into(),
        crop: crop.name().into(),
        split: listing.split_rule.into(),
        seed: None,
    };
    let manifest = writer.finish(source, listing.class_names, skipped)?;
    Ok(Summary::of(&options.out, manifest))
}

/// Refuses resolutions that the networks do not have.
pub(crate) fn check_resolution(resolution: u32) -> Result<()> {
    if resolution.is_power_of_two() && (4..=1024).contains(&resolution) {
        return Ok(());
    }
    Err(Error::user(format!("--resolution {resolution}: is not a power of two from 4 to 1024"))
        .hint("give --resolution 32, 64, 128, 256, 512 or 1024"))
}

/// Works on `items` in parallel, a chunk at a time, and hands the results on in order.
pub(crate) fn in_order<T: Sync, R: Send>(
    items: &[T],
    stop: &Interrupt,
    work: impl Fn(&T) -> R + Sync,
    mut take: impl FnMut(usize, &T, R) -> Result<()>,
) -> Result<()> {
    for (number, chunk) in items.chunks(CHUNK).enumerate() {
        if let Some(signal) = stop.requested() {
            return Err(Error::interrupted(signal.exit_code(), "interrupted; nothing was written"));
        }
        let results: Vec<R> = chunk.par_iter().map(&work).collect();
        for (i, (item, result)) in chunk.iter().zip(results).enumerate() {
            take(number * CHUNK + i, item, result)?;
        }
    }
    Ok(())
}

/// Decodes, crops, resizes and encodes one picture.
fn square(listing: &Listing, item: &SourceItem, crop: Crop, side: u32) -> Result<Vec<u8>, String> {
    // A box that cannot be used is known before the picture is read.
    let bounding_box = match (&item.bounding_box, crop) {
        (Some(found), Crop::Bbox) => Some(found.clone()?),
        (None, Crop::Bbox) => return Err("has no bounding box".into()),
        _ => None,
    };
    let image: RgbImage = decode(&listing.read(item)?)?;
    let (width, height) = image.dimensions();
    let region = match (bounding_box, crop) {
        (Some(bounding_box), _) => Some(bounding_box.region(width, height)?),
        (None, Crop::None) => None,
        (None, _) => Some(crop::center(width, height)),
    };
    encode_png(&crop::to_square(&image, region, side))
}

fn record(item: &SourceItem) -> ImageRecord {
    ImageRecord {
        file: String::new(),
        id: item.id.clone(),
        split: item.split,
        label: item.label,
        captions: item.captions.clone(),
        phrases: item.phrases.clone(),
        attributes: item.attributes.clone(),
    }
}

fn nothing_left(src: &Path, skipped: &[Skipped]) -> Error {
    let few: Vec<String> =
        skipped.iter().take(3).map(|s| format!("{}: {}", s.file, s.reason)).collect();
    let more = skipped.len().saturating_sub(few.len());
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    Error::user(format!("{}: no image could be used: {}{more}", src.display(), few.join("; ")))
        .hint("check that SRC is complete and is the layout you mean (--format)")
}
