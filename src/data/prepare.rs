//! `data prepare`: converts a source of any layout to an archive.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use rayon::ThreadPoolBuilder;
use rayon::prelude::*;

use super::archive::{ArchiveWriter, output};
use super::budget::Budget;
use super::crop::{self, Crop};
use super::decode::{Decoded, Encoded, encode_png};
use super::formats;
use super::manifest::Manifest;
use super::own_pictures::is_own;
use super::record::{ImageRecord, Provenance, Skipped, Split};
use super::sources::{self, CaptionSource, CubSplit, Format, ListOptions, Listing, SourceItem};
use super::zip_file;
use crate::device::STACK;
use crate::error::{Error, Result};
use crate::interrupt::Interrupt;

/// The message of an interrupted command.
const INTERRUPTED: &str = "interrupted; nothing was written";
/// Number of images that are in memory at a time, on all threads together.
const CHUNK: usize = 128;
/// Shortest time between two reports of progress within a chunk.
const REPORT_EVERY: Duration = Duration::from_secs(1);
/// Longest time between two looks for an interruption.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Size of all image files that are in memory at a time.
const FILE_BYTES: u64 = 1 << 30;
/// Size of all decoded images that are in memory at a time.
const PIXEL_BYTES: u64 = 3 << 29;

/// How the source of an archive is read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceOptions {
    /// Its layout.
    pub format: Format,
    /// The part of each image that is resized to a square.
    pub crop: Crop,
    /// The division of CUB into training and test data.
    pub cub_split: CubSplit,
    /// Column or key of the metadata that contains the captions; by default one with a usual name,
    /// such as `text`.
    pub caption_column: Option<String>,
    /// Where the captions come from.
    pub captions: CaptionSource,
}

/// Options of [`prepare`].
#[derive(Debug, Clone)]
pub struct PrepareOptions {
    /// Folder or zip of the source.
    pub src: PathBuf,
    /// How it is read.
    pub source: SourceOptions,
    /// The archive to write; an existing one is replaced once the new one is complete.
    pub out: PathBuf,
    /// Side of the images: a power of two, 4 to 1024.
    pub resolution: u32,
    /// Keep only this part of the data; None keeps all.
    pub split: Option<Split>,
    /// Interrupts the operation; then no archive is written.
    pub stop: Interrupt,
}

/// Progress of [`prepare`] and [`synth`](super::synth::synth).
#[derive(Debug, Clone, PartialEq)]
pub enum PrepareEvent {
    /// The source has this layout and this many images.
    Listed { format: &'static str, images: usize },
    /// `done` of `total` images are processed, including skipped ones.
    Progress { done: usize, total: usize },
    /// A file was skipped.
    Skipped(Skipped),
}

/// Statistics of an archive that was just written.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// The archive.
    pub out: PathBuf,
    /// Where the images came from.
    pub source: Provenance,
    /// Side of the images in pixels.
    pub resolution: u32,
    /// Number of images.
    pub images: usize,
    /// Number of images that have captions.
    pub captioned: usize,
    /// Number of captions of all images.
    pub captions: usize,
    /// Number of images in each split, including splits without images.
    pub splits: BTreeMap<Split, usize>,
    /// Files that were skipped, and why.
    pub skipped: Vec<Skipped>,
    /// How the source was read, and which parts of it were not used: one remark per line.
    pub notes: Vec<String>,
    /// Whether the archive lists names that the remarks only count.
    pub lists_more: bool,
}

impl Summary {
    /// The statistics of the archive `out`, whose manifest is `manifest`.
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
            notes: Vec::new(),
            lists_more: !manifest.listed.is_empty(),
        }
    }
}

/// Converts the source `options.src` to the archive `options.out`.
///
/// Images that cannot be used are skipped; the summary and the archive list their names with the
/// reasons. The split of the source is kept. If it has no validation split, a tenth of the training
/// split becomes one ([`Split::carve`]). The same input gives the same bytes.
///
/// # Errors
/// A user error if no network has this resolution, if the layout is unknown or broken, if no image
/// is left, or if the archive cannot be written. Then an existing archive stays as it is.
pub fn prepare(options: &PrepareOptions, events: &mut dyn FnMut(PrepareEvent)) -> Result<Summary> {
    check_resolution(options.resolution)?;
    // This is checked first, so that the user learns of it before the work starts.
    output::check_apart(&options.out, &options.src)?;
    output::check(&options.out)?;
    let (mut listing, crop) = listed(options)?;
    let items: Arc<[SourceItem]> = in_splits(std::mem::take(&mut listing.items), options)?.into();
    let mut skipped = std::mem::take(&mut listing.skipped);
    events(PrepareEvent::Listed { format: listing.format.name(), images: items.len() });
    for skipped in &skipped {
        events(PrepareEvent::Skipped(skipped.clone()));
    }

    let mut writer = ArchiveWriter::create(&options.out, options.resolution)?;
    let total = items.len();
    let (mut several, mut damaged, mut transparent) = (Vec::new(), Vec::new(), Vec::new());
    let memory = Memory { files: Budget::new(FILE_BYTES), pixels: Budget::new(PIXEL_BYTES) };
    let events = RefCell::new(events);
    let report = |done| (events.borrow_mut())(PrepareEvent::Progress { done, total });
    let listing = Arc::new(listing);
    let (source, side) = (listing.clone(), options.resolution);
    in_order(
        &items,
        &options.stop,
        move |item| square(&source, item, crop, side, &memory),
        report,
        |at, item, square| {
            match square {
                Ok(square) => {
                    writer.add(&square.png, record(item))?;
                    if square.first_of_several {
                        several.push(item.name.clone());
                    }
                    if square.is_damaged {
                        damaged.push(item.name.clone());
                    }
                    if square.is_transparent {
                        transparent.push(item.name.clone());
                    }
                }
                Err(reason) => {
                    let one = Skipped::new(&item.name, reason);
                    (events.borrow_mut())(PrepareEvent::Skipped(one.clone()));
                    skipped.push(one);
                }
            }
            if (at + 1) % CHUNK == 0 || at + 1 == total {
                report(at + 1);
            }
            Ok(())
        },
    )?;
    let mut listing = Arc::into_inner(listing)
        .ok_or_else(|| Error::internal("a thread still reads the source"))?;
    if writer.is_empty() {
        return Err(nothing_left(&options.src, &skipped, &listing));
    }
    let source = Provenance {
        format: listing.format.name().into(),
        crop: crop.name().into(),
        split: listing.split_rule.into(),
        seed: None,
    };
    listing.remark("only the first page or frame is used", &several, "");
    listing.remark(
        "JPEG files with damaged data, parts of which may be grey or have wrong colours",
        &damaged,
        "look at them, and remove or replace those that are spoiled",
    );
    listing.remark(
        "all of the image is transparent, so it is white",
        &transparent,
        "remove these files, or save them without transparency",
    );
    let without: Vec<String> = writer.without_class().map(str::to_owned).collect();
    if without.len() < writer.len() {
        let count = format!("{} of {} images", without.len(), writer.len());
        let what = format!("{count} have no class, so the archive will have no classes");
        listing.remark(&what, &without, "");
    }
    writer.list(std::mem::take(&mut listing.listed));
    let mut notes = std::mem::take(&mut listing.notes);
    let manifest = writer.finish(source, listing.class_names, skipped)?;
    if options.split.is_none() && manifest.images.iter().all(|i| i.split != Split::Train) {
        let why = other_splits(&manifest.source.split);
        notes.push(format!("no image is in the split train, which training reads{why}"));
    }
    Ok(Summary { notes, ..Summary::of(&options.out, manifest) })
}

/// Lists the source, and decides which part of each image to use.
///
/// # Errors
/// If the layout is unknown or broken, an option does not apply to it, or it has no images.
fn listed(options: &PrepareOptions) -> Result<(Listing, Crop)> {
    let wanted = options.clone();
    let listing = options.stop.or_abandon(INTERRUPTED, move || {
        let how = ListOptions {
            format: wanted.source.format,
            cub_split: wanted.source.cub_split,
            caption_column: wanted.source.caption_column.as_deref(),
            captions: wanted.source.captions,
            out: Some(&wanted.out),
        };
        sources::list(&wanted.src, &how)
    })??;
    if options.source.cub_split == CubSplit::Class && listing.format != Format::Cub {
        return Err(Error::user(format!(
            "--cub-split class: {} has the layout {}, not cub",
            options.src.display(),
            listing.format.name()
        ))
        .hint("omit --cub-split, or give the folder of CUB-200-2011"));
    }
    let crop = match options.source.crop {
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
        let notes: String = listing.notes.iter().map(|note| format!("; {note}")).collect();
        return Err(Error::user(format!("{}: contains no images{notes}", options.src.display()))
            .hint("check SRC, or name its layout with --format"));
    }
    Ok((listing, crop))
}

/// The items of the split that is asked for. If there is no validation split, it is carved first.
///
/// # Errors
/// If the split has no items.
fn in_splits(mut items: Vec<SourceItem>, options: &PrepareOptions) -> Result<Vec<SourceItem>> {
    if !items.iter().any(|item| item.split == Split::Val) {
        Split::carve(items.iter_mut().map(|item| (item.id.as_str(), &mut item.split)));
    }
    let Some(split) = options.split else { return Ok(items) };
    let all = items.len();
    items.retain(|item| item.split == split);
    if items.is_empty() && all > 0 {
        return Err(Error::user(format!(
            "--split {split}: none of the {all} images of {} is in this split",
            options.src.display()
        ))
        .hint("use --split all"));
    }
    Ok(items)
}

/// Checks that the networks support a resolution.
pub(crate) fn check_resolution(resolution: u32) -> Result<()> {
    if resolution.is_power_of_two() && (4..=1024).contains(&resolution) {
        return Ok(());
    }
    Err(Error::user(format!("--resolution {resolution}: is not a power of two from 4 to 1024"))
        .hint("give --resolution 32, 64, 128, 256, 512 or 1024"))
}

/// Applies `work` to the items in parallel, one chunk at a time, and passes each result with its
/// number and item to `take`, in order. `worked` receives the number of items to which `work` was
/// applied, at most once per second: a chunk of large images takes minutes.
///
/// After an interruption, the threads that still work are not waited for, because one large image
/// takes seconds. So `work` must do nothing but read.
///
/// # Errors
/// An interruption, or the first error of `take`.
pub(crate) fn in_order<T, R>(
    items: &Arc<[T]>,
    stop: &Interrupt,
    work: impl Fn(&T) -> R + Send + Sync + 'static,
    mut worked: impl FnMut(usize),
    mut take: impl FnMut(usize, &T, R) -> Result<()>,
) -> Result<()>
where
    T: Send + Sync + 'static,
    R: Send + 'static,
{
    let work = Arc::new(work);
    // A pool of its own: the caller may be a worker of the global one, which would wait for itself.
    let pool = ThreadPoolBuilder::new()
        .num_threads(rayon::current_num_threads())
        .stack_size(STACK)
        .build()
        .map_err(|e| Error::internal(format!("cannot start the threads: {e}")).caused_by(e))?;
    let pool = Arc::new(pool);
    let mut reported = Instant::now();
    for before in (0..items.len()).step_by(CHUNK) {
        let chunk = before..(before + CHUNK).min(items.len());
        let mut results: Vec<Option<R>> = chunk.clone().map(|_| None).collect();
        let (sender, receiver) = mpsc::channel();
        let (all, work, stopped) = (items.clone(), work.clone(), stop.clone());
        let pool = pool.clone();
        let numbers = chunk.clone();
        let worker = thread::Builder::new()
            .spawn(move || {
                pool.install(|| {
                    numbers.into_par_iter().for_each_with(sender, |sender, at| {
                        if stopped.requested().is_none() {
                            // Nobody receives it after an interruption.
                            let _ = sender.send((at, work(&all[at])));
                        }
                    });
                });
            })
            .map_err(|e| Error::internal(format!("cannot start a thread: {e}")).caused_by(e))?;
        let mut done = 0;
        loop {
            let received = receiver.recv_timeout(LOOK_EVERY);
            if let Some(signal) = stop.requested() {
                return Err(Error::interrupted(signal.exit_code(), INTERRUPTED));
            }
            match received {
                Ok((at, result)) => {
                    results[at - before] = Some(result);
                    done += 1;
                    if reported.elapsed() >= REPORT_EVERY && done < chunk.len() {
                        worked(before + done);
                        reported = Instant::now();
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        if let Err(panic) = worker.join() {
            std::panic::resume_unwind(panic);
        }
        for (at, result) in chunk.zip(results) {
            let result = result.ok_or_else(|| Error::internal("an image was not processed"))?;
            take(at, &items[at], result)?;
        }
    }
    Ok(())
}

/// The memory that all threads share. A thread borrows memory for a file before it borrows memory
/// for pixels, never the other way round, so that threads cannot wait for each other.
struct Memory {
    files: Budget,
    pixels: Budget,
}

/// An image as the archive stores it.
struct Square {
    png: Vec<u8>,
    /// Whether the file has further pages or frames.
    first_of_several: bool,
    /// Whether parts of the file are damaged.
    is_damaged: bool,
    /// Whether all of the image is transparent.
    is_transparent: bool,
}

/// Decodes, crops, resizes and encodes one image.
fn square(
    listing: &Listing,
    item: &SourceItem,
    crop: Crop,
    side: u32,
    memory: &Memory,
) -> Result<Square, String> {
    // An image whose box cannot be used need not be read.
    let bounding_box = match (&item.bounding_box, crop) {
        (Some(found), Crop::Bbox) => Some(found.clone()?),
        (None, Crop::Bbox) => return Err("has no bounding box".into()),
        _ => None,
    };
    let file = memory.files.take(listing.size(item));
    let bytes = listing.read(item)?;
    if is_own(&bytes) {
        return Err("was made by cigan, according to its metadata; train on original images".into());
    }
    let encoded = Encoded::open(&bytes)?;
    let _pixels = memory.pixels.take(encoded.cost());
    let first_of_several = encoded.has_several();
    let Decoded { image, is_damaged, is_transparent } = encoded.decode()?;
    drop((bytes, file));
    let (width, height) = image.dimensions();
    let region = match (bounding_box, crop) {
        (Some(bounding_box), _) => Some(bounding_box.region(width, height)?),
        (None, Crop::None) => None,
        (None, _) => Some(crop::center(width, height)),
    };
    let png = encode_png(&crop::to_square(&image, region, side))?;
    Ok(Square { png, first_of_several, is_damaged, is_transparent })
}

/// The record of an item; the archive writer fills in the name of the entry.
fn record(item: &SourceItem) -> ImageRecord {
    ImageRecord {
        file: String::new(),
        id: item.id.clone(),
        split: item.split,
        label: item.label,
        captions: item.captions.clone(),
        phrases: item.phrases.clone(),
        derived: item.derived,
        attributes: item.attributes.clone(),
    }
}

/// What gives images other splits than train, if that was `rule` of
/// [`Provenance::split`](super::record::Provenance::split).
fn other_splits(rule: &str) -> &'static str {
    match rule {
        "folder" | "file name" => "; names such as val/ and test_1.png state other splits",
        "metadata" => "; the metadata state other splits",
        "recipe1m" => "; `partition` in layer1.json states other splits",
        "cub image" => "; train_test_split.txt states other splits",
        "cub class" => "; the lists of the split by class state other splits",
        _ => "",
    }
}

/// The error if every image was skipped, with the first reasons.
fn nothing_left(src: &Path, skipped: &[Skipped], listing: &Listing) -> Error {
    let few: Vec<String> =
        skipped.iter().take(3).map(|s| format!("{}: {}", s.file, s.reason)).collect();
    let more = skipped.len().saturating_sub(few.len());
    let more =
        if more > 0 { format!("; and {more} more, which --verbose lists") } else { String::new() };
    let notes: String = listing.notes.iter().map(|note| format!("; {note}")).collect();
    let usual = match formats::advice(skipped.iter().map(|s| s.reason.as_str())) {
        Some(advice) => advice,
        None if skipped.iter().all(|s| zip_file::is_unsupported(&s.reason)) => zip_file::REPACK,
        None => "check that SRC is complete, and that --format names its layout",
    };
    Error::user(format!(
        "{}: no image could be used: {}{more}{notes}",
        src.display(),
        few.join("; ")
    ))
    .hint(listing.link_hint().unwrap_or_else(|| usual.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::interrupt::Signal;

    /// A chunk of large images takes minutes.
    #[test]
    fn a_chunk_reports_progress_and_can_be_interrupted() {
        let slow = |item: &usize| {
            thread::sleep(Duration::from_millis(300));
            *item
        };
        let items: Arc<[usize]> = (0..4 * rayon::current_num_threads()).collect();
        let (mut reports, mut taken) = (Vec::new(), Vec::new());
        let stop = Interrupt::manual();
        in_order(
            &items,
            &stop,
            slow,
            |done| reports.push(done),
            |at, item, result| {
                assert_eq!((at, *item), (result, result));
                taken.push(result);
                Ok(())
            },
        )
        .unwrap();
        assert_eq!(taken, *items);
        assert!(
            !reports.is_empty() && reports.iter().all(|done| *done < items.len()),
            "{reports:?}"
        );
        let worked = Arc::new(AtomicUsize::new(0));
        let stop = Interrupt::manual();
        let (count, raise) = (worked.clone(), stop.clone());
        let work = move |item: &usize| {
            count.fetch_add(1, Ordering::SeqCst);
            raise.raise(Signal::Interrupt);
            slow(item)
        };
        let error = in_order(&items, &stop, work, |_| (), |_, _, _| Ok(())).unwrap_err();
        assert_eq!(error.kind.exit_code(), 130);
        thread::sleep(Duration::from_secs(1));
        let worked = worked.load(Ordering::SeqCst);
        assert!(worked <= rayon::current_num_threads() + 1, "{worked} of {}", items.len());
    }

    /// Decoding a large image takes seconds, and cannot look for an interruption.
    #[test]
    fn an_interruption_does_not_wait_for_the_images_in_work() {
        let items: Arc<[usize]> = (0..4).collect();
        let stop = Interrupt::manual();
        let raise = stop.clone();
        let work = move |_: &usize| {
            raise.raise(Signal::Terminate);
            thread::sleep(Duration::from_secs(20));
        };
        let start = Instant::now();
        let error = in_order(&items, &stop, work, |_| (), |_, _, ()| Ok(())).unwrap_err();
        assert_eq!(error.kind.exit_code(), 143);
        assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    }
}
