//! The order of the training images: an endless shuffled stream.

use std::sync::{Arc, Mutex, PoisonError};

use crate::draws;
use crate::error::{Error, Result};

/// One item of the stream: an image, perhaps mirrored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Item {
    /// Index into [`super::Archive::images`].
    pub index: usize,
    /// Whether the image is flipped horizontally.
    pub mirrored: bool,
}

/// An endless shuffled stream over some images of an archive. Item k is a pure function of
/// (seed, k): it belongs to epoch ⌊k / len⌋, and each epoch has its own permutation. A run that is
/// resumed at `nimg` therefore sees the same images as one that was never interrupted.
#[derive(Debug)]
pub struct Sampler {
    indices: Vec<usize>,
    mirror: bool,
    seed: u64,
    /// Cache of the last epoch's permutation.
    last: Mutex<Option<(u64, Arc<[u32]>)>>,
}

impl Sampler {
    /// A stream over the images `indices`. With `mirror`, each epoch contains every image twice,
    /// once flipped horizontally: this is how the official StyleGAN2 enlarges a dataset.
    ///
    /// # Errors
    /// A user error if `indices` is empty.
    pub fn new(indices: Vec<usize>, mirror: bool, seed: u64) -> Result<Self> {
        if indices.is_empty() {
            return Err(Error::user("--data: there are no images to draw from in this split")
                .hint(
                    "training reads the split `train`; `cigan data info FILE` counts the images of \
                     each split, and `cigan data prepare` says which names state the splits",
                ));
        }
        if indices.len() > u32::MAX as usize / 2 {
            let most = u32::MAX as usize / 2;
            return Err(Error::user(format!("--data: too many images: {}", indices.len()))
                .hint(format!("train on at most {most} images")));
        }
        Ok(Self { indices, mirror, seed, last: Mutex::new(None) })
    }

    /// Number of items of an epoch: the images, or twice as many with mirroring.
    pub fn epoch_len(&self) -> usize {
        self.indices.len() * if self.mirror { 2 } else { 1 }
    }

    /// Items `nimg..nimg + batch` of the stream.
    pub fn items(&self, nimg: u64, batch: usize) -> Vec<Item> {
        let len = self.epoch_len() as u64;
        (nimg..nimg + batch as u64)
            .map(|k| {
                let order = self.order(k / len);
                let drawn = order[(k % len) as usize] as usize;
                Item {
                    index: self.indices[drawn % self.indices.len()],
                    mirrored: drawn >= self.indices.len(),
                }
            })
            .collect()
    }

    /// The permutation of an epoch.
    fn order(&self, epoch: u64) -> Arc<[u32]> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((held, order)) = &*last
            && *held == epoch
        {
            return order.clone();
        }
        let mut rng = draws::stream(self.seed, "shuffle", epoch);
        let order: Arc<[u32]> = draws::permutation(&mut rng, self.epoch_len()).into();
        *last = Some((epoch, order.clone()));
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_epoch_is_another_permutation() {
        let indices: Vec<usize> = (0..17).map(|i| i * 3).collect();
        let sampler = Sampler::new(indices.clone(), false, 7).unwrap();
        let epoch = |e: u64| -> Vec<usize> {
            sampler.items(e * 17, 17).iter().map(|item| item.index).collect()
        };
        assert_ne!(epoch(0), epoch(1));
        for e in 0..5 {
            let mut sorted = epoch(e);
            sorted.sort_unstable();
            assert_eq!(sorted, indices);
        }
    }

    #[test]
    fn mirroring_doubles_the_epoch() {
        let sampler = Sampler::new((0..5).collect(), true, 0).unwrap();
        let mut items: Vec<_> =
            sampler.items(10, 10).iter().map(|i| (i.index, i.mirrored)).collect();
        items.sort_unstable();
        let all: Vec<_> = (0..5).flat_map(|i| [(i, false), (i, true)]).collect();
        assert_eq!(items, all);
    }

    #[test]
    fn an_item_depends_only_on_seed_and_number() {
        let a = Sampler::new((0..100).collect(), true, 3).unwrap();
        let b = Sampler::new((0..100).collect(), true, 3).unwrap();
        let stream = a.items(0, 1000);
        // Any batch, asked for in any order, across the ends of epochs.
        for (nimg, batch) in [(900, 100), (0, 1), (195, 32), (399, 2), (7, 500)] {
            assert_eq!(b.items(nimg, batch), stream[nimg as usize..nimg as usize + batch]);
        }
        assert_ne!(Sampler::new((0..100).collect(), true, 4).unwrap().items(0, 1000), stream);
    }

    #[test]
    fn an_empty_sampler_is_an_error() {
        assert!(Sampler::new(Vec::new(), false, 0).is_err());
    }
}
