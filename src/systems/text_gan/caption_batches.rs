//! Batches for GANs: real images, the vectors of their captions, and real images that do not fit.

use std::sync::Arc;

use burn::tensor::{Device, Tensor};
use rand::Rng;
use serde::{Deserialize, Serialize};

use super::caption_vectors::CaptionVectors;
use super::{MismatchedImages, SentenceVectors};
use crate::data::{Archive, Loader, Sampler, Split, mirror};
use crate::draws;
use crate::error::Result;
use crate::language::Captions;
use crate::picture;

/// The training images of a text-to-image GAN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TrainingImages {
    /// Images with captions only.
    Captioned,
    /// Half of a batch are images with captions, and the rest are any images.
    All,
}

/// Batches of real images, mirrored at random.
pub struct ImageBatches {
    archive: Arc<Archive>,
    /// One loader for each group of images. Their batches make up the whole batch.
    loaders: Vec<Loader>,
    batch: usize,
    mirror: bool,
    seed: u64,
    device: Device,
}

impl ImageBatches {
    /// Batches of `batch` training images of an archive.
    ///
    /// # Errors
    /// If there are none.
    pub fn new(
        archive: &Arc<Archive>,
        batch: usize,
        mirror: bool,
        seed: u64,
        device: &Device,
    ) -> Result<Self> {
        let all = archive.indices_of(Split::Train);
        Self::of_groups(archive, vec![(all, batch)], mirror, seed, device)
    }

    /// Batches that consist of a number of images of each group.
    fn of_groups(
        archive: &Arc<Archive>,
        groups: Vec<(Vec<usize>, usize)>,
        mirror: bool,
        seed: u64,
        device: &Device,
    ) -> Result<Self> {
        let batch = groups.iter().map(|(_, count)| count).sum();
        let loader = |(images, count)| {
            Loader::new(archive.clone(), Sampler::new(images, false, seed)?, count)
        };
        let loaders = groups.into_iter().map(loader).collect::<Result<_>>()?;
        let (archive, device) = (archive.clone(), device.clone());
        Ok(Self { archive, loaders, batch, mirror, seed, device })
    }

    /// The images of the batch that starts at `nimg`: `[N, 3, res, res]`.
    ///
    /// # Errors
    /// If an image cannot be read.
    pub fn batch(&mut self, nimg: u64) -> Result<Tensor<4>> {
        let (indices, pixels) = self.read(nimg)?;
        let mut rng = self.stream("baseline.mirror", nimg);
        let flips = self.flips(&vec![false; indices.len()], &mut rng);
        Ok(self.mirrored(pixels, &flips))
    }

    fn stream(&self, purpose: &str, nimg: u64) -> impl Rng + use<> {
        draws::stream(self.seed, purpose, nimg)
    }

    /// The images of the batch that starts at `nimg`, as indices and pixels.
    fn read(&mut self, nimg: u64) -> Result<(Vec<usize>, Vec<u8>)> {
        let (mut indices, mut pixels) = (Vec::new(), Vec::new());
        for loader in &mut self.loaders {
            // Each group advances by its own share of the batch.
            let at = nimg / self.batch as u64 * loader.batch_size() as u64;
            let batch = loader.batch(at)?;
            indices.extend(batch.items.iter().map(|item| item.index));
            pixels.extend(batch.pixels);
        }
        Ok((indices, pixels))
    }

    /// Which images to mirror: some of those whose captions do not name a side.
    fn flips(&self, names_a_side: &[bool], rng: &mut impl Rng) -> Vec<bool> {
        let flip = |side: &bool| rng.random::<bool>() && self.mirror && !side;
        names_a_side.iter().map(flip).collect()
    }

    /// Pixels as a tensor, after mirroring some of the images.
    fn mirrored(&self, mut pixels: Vec<u8>, flips: &[bool]) -> Tensor<4> {
        let side = self.archive.resolution();
        for (image, flip) in pixels.chunks_exact_mut(side * side * 3).zip(flips) {
            if *flip {
                mirror(image, side);
            }
        }
        picture::to_tensor(&pixels, side, &self.device)
    }
}

/// How captions and images are put together.
#[derive(Debug, Clone, Copy)]
pub struct BatchOptions {
    /// Images of a batch.
    pub batch: usize,
    /// Which images.
    pub images: TrainingImages,
    /// Captions of an image whose vectors are averaged.
    pub captions: usize,
    /// Mirror images at random, except with captions that name a side.
    pub mirror: bool,
    /// Draw images that do not fit the captions.
    pub mismatched: bool,
}

/// A batch of images with captions `C`.
pub struct CaptionBatch<C = Tensor<2>> {
    /// Real images `[N, 3, res, res]`.
    pub real: Tensor<4>,
    /// Their captions, or those of other images if they have none.
    pub captions: C,
    /// The rows of the images that have captions.
    pub captioned: Vec<usize>,
    /// Real images that do not fit the caption, for each of the captioned images.
    pub mismatched: Option<Tensor<4>>,
}

/// Batches of images with captions that `V` encodes.
pub struct CaptionBatches<V = SentenceVectors> {
    images: ImageBatches,
    captions: Captions,
    vectors: V,
    mismatched_images: MismatchedImages,
    options: BatchOptions,
}

impl<V: CaptionVectors> CaptionBatches<V> {
    /// Batches of the training images of an archive.
    ///
    /// # Errors
    /// If there are no captions.
    pub fn new(
        archive: &Arc<Archive>,
        vectors: V,
        options: BatchOptions,
        seed: u64,
        device: &Device,
    ) -> Result<Self> {
        let captions = Captions::of(archive)?;
        let captioned = captions.images().to_vec();
        let all = archive.indices_of(Split::Train);
        let half = options.batch.div_ceil(2);
        let groups = match options.images {
            TrainingImages::All if all.len() > captioned.len() && half < options.batch => {
                vec![(captioned.clone(), half), (all, options.batch - half)]
            }
            _ => vec![(captioned.clone(), options.batch)],
        };
        let images = ImageBatches::of_groups(archive, groups, options.mirror, seed, device)?;
        let mismatched_images = MismatchedImages::new(archive, captioned);
        Ok(Self { images, captions, vectors, mismatched_images, options })
    }

    /// The captions of the training images.
    pub fn captions(&self) -> &Captions {
        &self.captions
    }

    /// The vectors of the captions.
    pub fn vectors(&self) -> &V {
        &self.vectors
    }

    /// The batch that starts at `nimg`.
    ///
    /// # Errors
    /// If an image cannot be read.
    pub fn batch(&mut self, nimg: u64) -> Result<CaptionBatch<V::Captions>> {
        let (indices, pixels) = self.images.read(nimg)?;
        let images = &self.images;
        let mut rng = images.stream("baseline.caption", nimg);
        let most = self.options.captions;
        let (captions, sides) = self.vectors.of_images(&indices, most, &mut rng, &images.device);
        let captioned: Vec<usize> =
            (0..indices.len()).filter(|&row| self.vectors.has(indices[row])).collect();
        let mut rng = images.stream("baseline.mirror", nimg);
        let flips = images.flips(&sides, &mut rng);
        let mismatched = match self.options.mismatched {
            false => None,
            true => {
                let own: Vec<usize> = captioned.iter().map(|&row| indices[row]).collect();
                let mut draws = images.stream("baseline.wrong", nimg);
                let others = self.mismatched_images.draw(&own, &mut draws);
                let flips = images.flips(&vec![false; others.len()], &mut rng);
                Some(images.mirrored(images.archive.pixels(&others)?, &flips))
            }
        };
        Ok(CaptionBatch { real: images.mirrored(pixels, &flips), captions, captioned, mismatched })
    }
}
