//! The vectors of training captions, which condition a generator.

use std::collections::HashMap;
use std::ops::Range;

use burn::tensor::{Device, Tensor};
use rand::Rng;

use crate::data::Archive;
use crate::error::Result;
use crate::language::Captions;
use crate::model::Model;

/// Captions that are read between two reports of progress.
const CHUNK: usize = 1024;
/// Name in models: vectors of training captions `[K, size]`, for samples without a prompt.
pub const SENTENCES: &str = "R_sentences";

/// The captions of all training images, one after the other.
pub struct CaptionRows<'a> {
    /// The captions.
    pub texts: Vec<&'a str>,
    /// The rows of the captions of each image, by its index in the archive.
    pub rows: HashMap<usize, Range<usize>>,
}

impl<'a> CaptionRows<'a> {
    /// The captions of an archive.
    pub fn of(captions: &Captions, archive: &'a Archive) -> Self {
        let (mut texts, mut rows) = (Vec::new(), HashMap::new());
        for &image in captions.images() {
            let own = &archive.images()[image].captions;
            rows.insert(image, texts.len()..texts.len() + own.len());
            texts.extend(own.iter().map(String::as_str));
        }
        Self { texts, rows }
    }

    /// Reads the captions in chunks. `observe` receives the number of captions that were read and
    /// of all.
    ///
    /// # Errors
    /// The first one of `read`.
    pub fn read(
        &self,
        mut read: impl FnMut(&[&str]) -> Result<()>,
        mut observe: impl FnMut(usize, usize),
    ) -> Result<()> {
        let mut done = 0;
        for chunk in self.texts.chunks(CHUNK) {
            read(chunk)?;
            done += chunk.len();
            observe(done, self.texts.len());
        }
        Ok(())
    }
}

/// The captions of the training images, encoded by a fixed encoder.
pub trait CaptionVectors {
    /// The captions of a batch.
    type Captions;

    /// Whether an image has captions.
    fn has(&self, image: usize) -> bool;

    /// For each image, `most` random captions (all if it has fewer), and whether one of them names a
    /// side of the image. An image without captions gets one of another image.
    fn of_images(
        &self,
        images: &[usize],
        most: usize,
        rng: &mut impl Rng,
        device: &Device,
    ) -> (Self::Captions, Vec<bool>);

    /// Vectors of single random training captions: `[N, size]`.
    fn draw(&self, count: usize, rng: &mut impl Rng, device: &Device) -> Tensor<2>;

    /// Writes vectors of captions at equal distances into a model, for samples without a prompt.
    fn store(&self, model: &mut Model, device: &Device);
}
