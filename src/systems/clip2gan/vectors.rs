//! The vectors of training images and captions, computed once before training.

use std::collections::HashMap;

use burn::tensor::{Device, Tensor, TensorData};

use super::encoders::Encoders;
use crate::data::{Archive, Item, Split, spread};
use crate::error::Result;
use crate::language::captions::captioned;
use crate::nn::params::to_vec;
use crate::picture;
use crate::systems::ImageTextSimilarity;
use crate::systems::encoding::CHUNK;

/// Captions that are encoded between two reports of progress.
const CAPTIONS: usize = 1024;
/// Largest number of captions that are encoded. More would hardly change their mean, and encoders of
/// texts may be slow.
const MOST_CAPTIONS: usize = 8192;
/// Number of captions whose vectors a model keeps.
const KEPT: usize = 1024;

/// Receives the number of items that are done and of all. An error stops the work.
pub type Observe<'a> = &'a mut dyn FnMut(usize, usize) -> Result<()>;

/// The vectors of all training images, and of their mirror images.
pub struct ImageVectors {
    /// `[images, size]`, row-major: the images, then the mirror images.
    values: Vec<f32>,
    size: usize,
    /// Rows of images, by their index in the archive.
    rows: HashMap<usize, usize>,
}

impl ImageVectors {
    /// Encodes the training images of an archive, with their mirror images if training sees them.
    ///
    /// # Errors
    /// If an image cannot be read, or `observe` fails.
    pub fn encode(
        archive: &Archive,
        encoders: &Encoders,
        mirror: bool,
        device: &Device,
        observe: Observe,
    ) -> Result<Self> {
        let images = archive.indices_of(Split::Train);
        let (mut values, mut mirrored) = (Vec::new(), Vec::new());
        for (chunk, indices) in images.chunks(CHUNK).enumerate() {
            observe(chunk * CHUNK, images.len())?;
            let pixels = archive.pixels(indices)?;
            let images = picture::to_tensor(&pixels, archive.resolution(), device);
            if mirror {
                mirrored.extend(to_vec(encoders.images(images.clone().flip([3]))));
            }
            values.extend(to_vec(encoders.images(images)));
        }
        observe(images.len(), images.len())?;
        values.append(&mut mirrored);
        let rows = images.into_iter().enumerate().map(|(row, image)| (image, row)).collect();
        Ok(Self { values, size: encoders.size(), rows })
    }

    /// The mean of all vectors: `[1, size]`.
    pub fn mean(&self, device: &Device) -> Tensor<2> {
        let mut mean = Mean::new(self.size);
        mean.add(&self.values);
        mean.tensor(device)
    }

    /// The vectors of items of the training stream: `[N, size]`.
    pub fn of(&self, items: &[Item], device: &Device) -> Tensor<2> {
        let row = |item: &Item| {
            let row = self.rows[&item.index] + if item.mirrored { self.rows.len() } else { 0 };
            &self.values[row * self.size..(row + 1) * self.size]
        };
        let values: Vec<f32> = items.iter().flat_map(row).copied().collect();
        Tensor::from_data(TensorData::new(values, [items.len(), self.size]), device)
    }
}

/// The vectors of the captions of an archive's training images.
pub struct CaptionVectors {
    /// Their mean `[1, size]`, over captions at equal distances if there are many.
    pub mean: Tensor<2>,
    /// Vectors of some of them, at equal distances: `[K, size]`.
    pub kept: Tensor<2>,
}

impl CaptionVectors {
    /// Encodes captions of the training images; `None` if there is none.
    ///
    /// # Errors
    /// If a caption cannot be read, or `observe` fails.
    pub fn encode(
        archive: &Archive,
        encoders: &Encoders,
        device: &Device,
        observe: Observe,
    ) -> Result<Option<Self>> {
        let images = captioned(archive, Split::Train);
        let captions = images.iter().flat_map(|&image| &archive.images()[image].captions);
        let every: Vec<&str> = captions.map(String::as_str).collect();
        if every.is_empty() {
            return Ok(None);
        }
        let places: Vec<usize> = (0..every.len()).collect();
        let chosen = spread(&places, MOST_CAPTIONS);
        let texts: Vec<&str> = chosen.into_iter().map(|place| every[place]).collect();
        let size = encoders.size();
        let (mut mean, mut kept) = (Mean::new(size), Vec::new());
        let all: Vec<usize> = (0..texts.len()).collect();
        let mut wanted = spread(&all, KEPT).into_iter().peekable();
        for (chunk, part) in texts.chunks(CAPTIONS).enumerate() {
            let first = chunk * CAPTIONS;
            observe(first, texts.len())?;
            let values = to_vec(encoders.texts(part)?);
            mean.add(&values);
            while let Some(row) = wanted.next_if(|row| *row < first + part.len()) {
                kept.extend_from_slice(&values[(row - first) * size..(row - first + 1) * size]);
            }
        }
        observe(texts.len(), texts.len())?;
        let rows = kept.len() / size;
        let kept = Tensor::from_data(TensorData::new(kept, [rows, size]), device);
        Ok(Some(Self { mean: mean.tensor(device), kept }))
    }
}

/// A mean of vectors, in double precision.
struct Mean {
    sum: Vec<f64>,
    count: usize,
}

impl Mean {
    fn new(size: usize) -> Self {
        Self { sum: vec![0.0; size], count: 0 }
    }

    /// Adds vectors `[N, size]`, row-major.
    fn add(&mut self, values: &[f32]) {
        for row in values.chunks_exact(self.sum.len()) {
            self.sum.iter_mut().zip(row).for_each(|(sum, v)| *sum += f64::from(*v));
            self.count += 1;
        }
    }

    fn tensor(&self, device: &Device) -> Tensor<2> {
        let count = self.count.max(1) as f64;
        let values: Vec<f32> = self.sum.iter().map(|sum| (sum / count) as f32).collect();
        Tensor::from_data(TensorData::new(values, [1, self.sum.len()]), device)
    }
}
