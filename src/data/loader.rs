//! Batches of training images, the next one decoded while the present one is used.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use super::archive::Archive;
use super::sampler::{Item, Sampler};
use crate::error::{Error, Result};

/// One batch of the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Number of its first item in the stream.
    pub nimg: u64,
    /// `[N, H, W, 3]`, RGB, 0–255, mirroring applied.
    pub pixels: Vec<u8>,
    /// Which image each is.
    pub items: Vec<Item>,
}

/// Hands out the batches of a [`Sampler`]. A batch is a pure function of `nimg`; a background
/// thread decodes the one that is likely to be asked for next.
#[derive(Debug)]
pub struct Loader {
    batch: usize,
    archive: Arc<Archive>,
    /// None only while being dropped.
    requests: Option<SyncSender<u64>>,
    batches: Receiver<Result<Batch>>,
    /// What the background thread is working on.
    expected: Option<u64>,
    worker: Option<JoinHandle<()>>,
}

impl Loader {
    /// Batches of `batch` images.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn new(archive: Arc<Archive>, sampler: Sampler, batch: usize) -> Result<Self> {
        // One request waits and one answer waits: neither side ever blocks the other for long.
        let (requests, todo) = sync_channel::<u64>(1);
        let (done, batches) = sync_channel(1);
        let source = archive.clone();
        let work = move || {
            for nimg in todo {
                if done.send(make(&source, &sampler, nimg, batch)).is_err() {
                    break;
                }
            }
        };
        let worker = std::thread::Builder::new()
            .name("cigan-loader".into())
            .spawn(work)
            .map_err(|e| Error::internal(format!("no thread for the loader: {e}")))?;
        Ok(Self {
            batch,
            archive,
            requests: Some(requests),
            batches,
            expected: None,
            worker: Some(worker),
        })
    }

    /// The archive that is read.
    pub fn archive(&self) -> &Archive {
        &self.archive
    }

    /// Images of a batch.
    pub fn batch_size(&self) -> usize {
        self.batch
    }

    /// The batch that starts at item `nimg` of the stream. Asked for `nimg + batch` next, it is
    /// ready or under way; any other `nimg` is decoded on demand.
    ///
    /// # Errors
    /// A user error that names an image that is damaged.
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
        let sent = self.requests.as_ref().is_some_and(|requests| requests.send(nimg).is_ok());
        self.expected = Some(nimg);
        if sent { Ok(()) } else { Err(gone()) }
    }

    fn answer(&self) -> Result<Result<Batch>> {
        self.batches.recv().map_err(|_| gone())
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        // Ends the worker's loop; its last answer fits into the channel.
        self.requests = None;
        if let Some(worker) = self.worker.take() {
            let _ = worker.join();
        }
    }
}

fn gone() -> Error {
    Error::internal("the loader's thread ended unexpectedly")
}

fn make(archive: &Archive, sampler: &Sampler, nimg: u64, batch: usize) -> Result<Batch> {
    let items = sampler.items(nimg, batch);
    let indices: Vec<usize> = items.iter().map(|item| item.index).collect();
    let mut pixels = archive.pixels(&indices)?;
    let side = archive.resolution();
    for (image, item) in pixels.chunks_exact_mut(side * side * 3).zip(&items) {
        if item.mirrored {
            mirror(image, side);
        }
    }
    Ok(Batch { nimg, pixels, items })
}

/// Flips `[H, W, 3]` pixels in x.
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
