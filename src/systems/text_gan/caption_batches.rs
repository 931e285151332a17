//! Batches for GANs: real images, the vectors of their captions, and real images that do not fit.

use std::ops::Range;
use std::sync::Arc;

use burn::tensor::{Device, Tensor};
use rand::Rng;
use serde::{Deserialize, Serialize};

use super::caption_vectors::CaptionVectors;
use super::{MismatchedImages, SentenceVectors};
use crate::data::{Archive, Batch, Loader, Sampler, Split, mirror};
use crate::draws;
use crate::error::Result;
use crate::language::Captions;
use crate::picture;
use crate::train::rounds::BatchRounds;

/// The training images of a text-to-image GAN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TrainingImages {
    /// Images with captions only.
    Captioned,
    /// Half of a round are images with captions, and the rest are any images.
    All,
}

/// Batches of real images, mirrored at random, as the rounds of this rank.
pub struct ImageBatches {
    archive: Arc<Archive>,
    /// One loader for each group of images. Each round has an equal share of each group.
    loaders: Vec<Loader>,
    rounds: BatchRounds,
    mirror: bool,
    seed: u64,
    device: Device,
}

impl ImageBatches {
    /// Batches of training images of an archive.
    ///
    /// # Errors
    /// If there are none.
    pub fn new(
        archive: &Arc<Archive>,
        rounds: BatchRounds,
        mirror: bool,
        seed: u64,
        device: &Device,
    ) -> Result<Self> {
        let all = archive.indices_of(Split::Train);
        let whole = rounds.images_of_a_round();
        Self::of_groups(archive, vec![(all, whole)], rounds, mirror, seed, device)
    }

    /// Batches whose rounds consist of a number of images of each group.
    fn of_groups(
        archive: &Arc<Archive>,
        groups: Vec<(Vec<usize>, usize)>,
        rounds: BatchRounds,
        mirror: bool,
        seed: u64,
        device: &Device,
    ) -> Result<Self> {
        let loader = |(images, count)| {
            let sampler = Sampler::new(images, false, seed)?;
            Loader::new(archive.clone(), sampler, count * rounds.count())
        };
        let loaders = groups.into_iter().map(loader).collect::<Result<_>>()?;
        let (archive, device) = (archive.clone(), device.clone());
        Ok(Self { archive, loaders, rounds, mirror, seed, device })
    }

    /// The same batches, of which only these rounds are read.
    pub fn among(mut self, rounds: &BatchRounds) -> Self {
        self.rounds = rounds.clone();
        let part = self.own_rounds();
        let part = |loader: Loader| {
            let share = loader.batch_size() / rounds.count();
            loader.of_part(part.start * share..part.end * share)
        };
        self.loaders = std::mem::take(&mut self.loaders).into_iter().map(part).collect();
        self
    }

    /// The numbers of this rank's rounds.
    fn own_rounds(&self) -> Range<usize> {
        let (images, round) = (self.rounds.own_images(), self.rounds.images_of_a_round());
        images.start / round..images.end / round
    }

    /// The images of each round of the batch that starts at `nimg`: `[N, 3, res, res]`.
    ///
    /// # Errors
    /// If an image cannot be read.
    pub fn batch(&mut self, nimg: u64) -> Result<Vec<Tensor<4>>> {
        let (indices, pixels) = self.read(nimg)?;
        let mut rng = self.stream("baseline.mirror", nimg);
        let flips = self.flips(&vec![false; indices.len()], &mut rng);
        Ok(self.real(pixels, &flips))
    }

    fn stream(&self, purpose: &str, nimg: u64) -> impl Rng + use<> {
        draws::stream(self.seed, purpose, nimg)
    }

    /// The batch that starts at `nimg`: the indices of all its images, and the pixels of each round of
    /// this rank.
    fn read(&mut self, nimg: u64) -> Result<(Vec<usize>, Vec<Vec<u8>>)> {
        let (count, own) = (self.rounds.count(), self.own_rounds());
        let all = (count * self.rounds.images_of_a_round()) as u64;
        let mut groups: Vec<Batch> = Vec::new();
        for loader in &mut self.loaders {
            // Each group advances by its own share of the batch.
            groups.push(loader.batch(nimg / all * loader.batch_size() as u64)?);
        }
        let values = 3 * self.archive.resolution().pow(2);
        let mut indices = Vec::new();
        let mut pixels = vec![Vec::new(); own.len()];
        for round in 0..count {
            for group in &groups {
                let share = group.len() / count;
                let images = round * share..(round + 1) * share;
                indices.extend(group.items[images].iter().map(|item| item.index));
                if own.contains(&round) {
                    let (at, size) = (round - own.start, share * values);
                    pixels[at].extend_from_slice(&group.pixels[at * size..(at + 1) * size]);
                }
            }
        }
        Ok((indices, pixels))
    }

    /// The images of each round, after mirroring some of those of the batch.
    fn real(&self, pixels: Vec<Vec<u8>>, flips: &[bool]) -> Vec<Tensor<4>> {
        let rounds = pixels.into_iter().zip(self.rounds.own());
        rounds.map(|(pixels, (range, _))| self.mirrored(pixels, &flips[range])).collect()
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
#[derive(Debug, Clone)]
pub struct BatchOptions {
    /// The rounds of a batch.
    pub rounds: BatchRounds,
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
    /// The captions of all images of the batch, or those of other images if they have none.
    pub captions: C,
    /// The rows of the images that have captions, in all rounds.
    pub captioned: Vec<usize>,
    /// The images of this rank.
    pub rounds: Vec<CaptionRound>,
}

/// The images of a round.
pub struct CaptionRound {
    /// Its rows in the batch.
    pub rows: Range<usize>,
    /// Its share in the batch.
    pub share: f64,
    /// Real images `[N, 3, res, res]`.
    pub real: Tensor<4>,
    /// Its part of [`CaptionBatch::captioned`].
    pub captioned: Range<usize>,
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
        let round = options.rounds.images_of_a_round();
        let half = round.div_ceil(2);
        let groups = match options.images {
            TrainingImages::All if all.len() > captioned.len() && half < round => {
                vec![(captioned.clone(), half), (all, round - half)]
            }
            _ => vec![(captioned.clone(), round)],
        };
        let (rounds, mirror) = (options.rounds.clone(), options.mirror);
        let images = ImageBatches::of_groups(archive, groups, rounds, mirror, seed, device)?;
        let mismatched_images = MismatchedImages::new(archive, captioned);
        Ok(Self { images, captions, vectors, mismatched_images, options })
    }

    /// The same batches, of which only these rounds are read.
    pub fn among(mut self, rounds: &BatchRounds) -> Self {
        self.images = self.images.among(rounds);
        self
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
        let mismatched = self.options.mismatched.then(|| {
            let own: Vec<usize> = captioned.iter().map(|&row| indices[row]).collect();
            let mut draws = images.stream("baseline.wrong", nimg);
            let others = self.mismatched_images.draw(&own, &mut draws);
            let flips = images.flips(&vec![false; others.len()], &mut rng);
            (others, flips)
        });
        let mut rounds = Vec::new();
        for (real, (rows, share)) in
            images.real(pixels, &flips).into_iter().zip(images.rounds.own())
        {
            let place = |row: usize| captioned.partition_point(|&captioned| captioned < row);
            let of_round = place(rows.start)..place(rows.end);
            let mismatched = match &mismatched {
                None => None,
                Some((others, flips)) => {
                    let pixels = images.archive.pixels(&others[of_round.clone()])?;
                    Some(images.mirrored(pixels, &flips[of_round.clone()]))
                }
            };
            rounds.push(CaptionRound { rows, share, real, captioned: of_round, mismatched });
        }
        Ok(CaptionBatch { captions, captioned, rounds })
    }
}
