//! Batches of training images. A background thread decodes the next batch while the current one is
//! in use.

use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use super::archive::Archive;
use super::record::ImageRecord;
use super::sampler::{Item, Sampler};
use crate::error::{Error, Result};

/// One batch of the stream: pixels, labels and captions.
///
/// Labels and captions are those of the archive, which the batch shares: no text is copied.
#[derive(Debug, Clone)]
pub struct Batch {
    /// Number of its first item in the stream.
    pub nimg: u64,
    /// The images of [`part`](Self::part), `[N, H, W, 3]`, RGB, 0–255, already mirrored where
    /// [`Item::mirrored`] says so.
    pub pixels: Vec<u8>,
    /// The items whose images were read.
    pub part: Range<usize>,
    /// Which image each item shows.
    pub items: Vec<Item>,
    archive: Arc<Archive>,
}

impl Batch {
    /// Number of items.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether the batch has no items.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The record of each item's image: id, label, captions, phrases.
    pub fn images(&self) -> impl ExactSizeIterator<Item = &ImageRecord> + Clone {
        let images = self.archive.images();
        self.items.iter().map(|item| &images[item.index])
    }

    /// The class number of each item's image; None if the image has no class.
    pub fn labels(&self) -> impl ExactSizeIterator<Item = Option<u32>> + Clone {
        self.images().map(|image| image.label)
    }

    /// All captions of each item's image; an empty slice if the image has none.
    pub fn captions(&self) -> impl ExactSizeIterator<Item = &[String]> + Clone {
        self.images().map(|image| image.captions.as_slice())
    }
}

/// Batches are equal if they show equal images with equal records, whatever archive they come from.
impl PartialEq for Batch {
    fn eq(&self, other: &Self) -> bool {
        self.nimg == other.nimg
            && self.items == other.items
            && self.pixels == other.pixels
            && self.images().eq(other.images())
    }
}

impl Eq for Batch {}

/// Reads the batches that a [`Sampler`] draws. A batch is a pure function of `nimg`; a background
/// thread decodes the one that follows the last one.
#[derive(Debug)]
pub struct Loader {
    batch: usize,
    part: Range<usize>,
    archive: Arc<Archive>,
    /// None only while the loader is dropped.
    requests: Option<SyncSender<(u64, Range<usize>)>>,
    batches: Receiver<Result<Batch>>,
    /// `nimg` of the batch that the background thread works on.
    expected: Option<u64>,
    worker: Option<JoinHandle<()>>,
}

impl Loader {
    /// A loader for batches of `batch` images.
    ///
    /// # Errors
    /// If the background thread cannot be started.
    pub fn new(archive: Arc<Archive>, sampler: Sampler, batch: usize) -> Result<Self> {
        // Each channel holds one message, so that neither side blocks the other for long.
        let (requests, todo) = sync_channel::<(u64, Range<usize>)>(1);
        let (done, batches) = sync_channel(1);
        let source = archive.clone();
        // A pool of its own: all workers of the global one may be waiting for the next batch.
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads((rayon::current_num_threads() / 2).max(1))
            .thread_name(|i| format!("cigan-decoder-{i}"))
            .build()
            .map_err(|e| Error::internal(format!("cannot start the loader's threads: {e}")))?;
        let work = move || {
            for (nimg, part) in todo {
                let made = pool.install(|| make(&source, &sampler, nimg, batch, part));
                if done.send(made).is_err() {
                    break;
                }
            }
        };
        let worker = std::thread::Builder::new()
            .name("cigan-loader".into())
            .spawn(work)
            .map_err(|e| Error::internal(format!("cannot start the loader's thread: {e}")))?;
        Ok(Self {
            batch,
            part: 0..batch,
            archive,
            requests: Some(requests),
            batches,
            expected: None,
            worker: Some(worker),
        })
    }

    /// Reads the images of only these items of each batch.
    pub fn of_part(mut self, part: Range<usize>) -> Self {
        self.part = part;
        self
    }

    /// The archive that is read.
    pub fn archive(&self) -> &Archive {
        &self.archive
    }

    /// Number of images in each batch.
    pub fn batch_size(&self) -> usize {
        self.batch
    }

    /// The batch that starts at item `nimg` of the stream. Consecutive batches are decoded ahead;
    /// any other batch is decoded on demand.
    ///
    /// # Errors
    /// A user error that names the image if one is damaged.
    pub fn batch(&mut self, nimg: u64) -> Result<Batch> {
        if self.expected != Some(nimg) {
            if self.expected.take().is_some() {
                let _unwanted = self.answer()?;
            }
            self.request(nimg)?;
        }
        self.expected = None;
        let batch = self.answer()??;
        self.request(nimg + self.batch as u64)?;
        Ok(batch)
    }

    fn request(&mut self, nimg: u64) -> Result<()> {
        let sent = self
            .requests
            .as_ref()
            .is_some_and(|requests| requests.send((nimg, self.part.clone())).is_ok());
        self.expected = Some(nimg);
        if sent { Ok(()) } else { Err(gone()) }
    }

    fn answer(&self) -> Result<Result<Batch>> {
        self.batches.recv().map_err(|_| gone())
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        // This ends the loop of the background thread, whose last answer fits into the channel.
        self.requests = None;
        if let Some(worker) = self.worker.take() {
            let _ = worker.join();
        }
    }
}

/// The error if the background thread is gone.
fn gone() -> Error {
    Error::internal("the loader's thread ended unexpectedly")
}

/// Decodes the items `part` of the batch that starts at item `nimg`.
fn make(
    archive: &Arc<Archive>,
    sampler: &Sampler,
    nimg: u64,
    batch: usize,
    part: Range<usize>,
) -> Result<Batch> {
    let items = sampler.items(nimg, batch);
    let indices: Vec<usize> = items[part.clone()].iter().map(|item| item.index).collect();
    let mut pixels = archive.pixels(&indices)?;
    let side = archive.resolution();
    for (image, item) in pixels.chunks_exact_mut(side * side * 3).zip(&items[part.clone()]) {
        if item.mirrored {
            mirror(image, side);
        }
    }
    Ok(Batch { nimg, pixels, part, items, archive: archive.clone() })
}

/// Flips pixels `[H, W, 3]` horizontally.
pub fn mirror(image: &mut [u8], side: usize) {
    for row in image.chunks_exact_mut(side * 3) {
        for x in 0..side / 2 {
            let (left, right) = row.split_at_mut((side - 1 - x) * 3);
            left[x * 3..x * 3 + 3].swap_with_slice(&mut right[..3]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirroring_swaps_columns_and_keeps_colours() {
        let mut image: Vec<u8> = (0..4 * 4 * 3).collect();
        let before = image.clone();
        mirror(&mut image, 4);
        assert_eq!(image[..12], [9, 10, 11, 6, 7, 8, 3, 4, 5, 0, 1, 2]);
        mirror(&mut image, 4);
        assert_eq!(image, before);
    }
}
