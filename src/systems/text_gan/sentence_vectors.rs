//! The vectors of captions that condition a generator, computed once before training.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use burn::tensor::{Device, Tensor, TensorData};
use rand::Rng;

use super::caption_vectors::{CaptionRows, CaptionVectors, SENTENCES};
use crate::data::{Archive, spread};
use crate::draws;
use crate::error::{Error, Result};
use crate::language::Captions;
use crate::model::Model;
use crate::nn::params::{from_host, to_host, to_vec};
use crate::systems::damsm::Damsm;
use crate::systems::damsm::views::names_a_side;

/// Number of captions that a model keeps.
const KEPT: usize = 1024;

/// The vectors of all training captions. The text encoder is fixed, so they never change.
pub struct SentenceVectors {
    archive: Arc<Archive>,
    /// `[captions, size]`, row-major.
    values: Vec<f32>,
    size: usize,
    /// Rows of the captions of each image, by its index in the archive.
    rows: HashMap<usize, Range<usize>>,
}

impl SentenceVectors {
    /// Encodes all captions of the training images. `observe` receives the number of captions that
    /// are done and of all.
    ///
    /// # Errors
    /// If a caption cannot be read.
    pub fn new(
        captions: &Captions,
        archive: &Arc<Archive>,
        damsm: &Damsm,
        observe: impl FnMut(usize, usize),
    ) -> Result<Self> {
        let captions = CaptionRows::of(captions, archive);
        let mut values = Vec::new();
        let mut encode = |texts: &[&str]| {
            values.extend(to_vec(damsm.sentences(texts)?));
            Ok(())
        };
        captions.read(&mut encode, observe)?;
        let size = values.len() / captions.texts.len().max(1);
        let rows = captions.rows;
        Ok(Self { archive: archive.clone(), values, size, rows })
    }

    /// Length of a vector.
    pub fn size(&self) -> usize {
        self.size
    }

    fn row(&self, index: usize) -> &[f32] {
        &self.values[index * self.size..(index + 1) * self.size]
    }

    fn select(&self, rows: &[usize], device: &Device) -> Tensor<2> {
        let values: Vec<f32> = rows.iter().flat_map(|&row| self.row(row)).copied().collect();
        Tensor::from_data(TensorData::new(values, [rows.len(), self.size]), device)
    }
}

impl CaptionVectors for SentenceVectors {
    /// The mean vectors of the captions of each image: `[N, size]`.
    type Captions = Tensor<2>;

    fn has(&self, image: usize) -> bool {
        self.rows.contains_key(&image)
    }

    fn of_images(
        &self,
        images: &[usize],
        most: usize,
        rng: &mut impl Rng,
        device: &Device,
    ) -> (Tensor<2>, Vec<bool>) {
        let mut means = Vec::with_capacity(images.len() * self.size);
        let mut sides = Vec::with_capacity(images.len());
        for image in images {
            let Some(rows) = self.rows.get(image).cloned() else {
                let all = self.values.len() / self.size;
                means.extend_from_slice(self.row(rng.random_range(0..all)));
                sides.push(false);
                continue;
            };
            let mut chosen = draws::permutation(rng, rows.len());
            chosen.truncate(most);
            let captions = &self.archive.images()[*image].captions;
            sides.push(chosen.iter().any(|&at| names_a_side(&captions[at as usize])));
            let mut mean = vec![0.0; self.size];
            for &at in &chosen {
                let row = self.row(rows.start + at as usize);
                mean.iter_mut().zip(row).for_each(|(sum, v)| *sum += v / chosen.len() as f32);
            }
            means.extend(mean);
        }
        let means = TensorData::new(means, [images.len(), self.size]);
        (Tensor::from_data(means, device), sides)
    }

    fn draw(&self, count: usize, rng: &mut impl Rng, device: &Device) -> Tensor<2> {
        let all = self.values.len() / self.size;
        let rows: Vec<usize> = (0..count).map(|_| rng.random_range(0..all)).collect();
        self.select(&rows, device)
    }

    fn store(&self, model: &mut Model, device: &Device) {
        let all: Vec<usize> = (0..self.values.len() / self.size).collect();
        model.put_tensor(SENTENCES, to_host(self.select(&spread(&all, KEPT), device)));
    }
}

/// The vectors of training captions of a model: `[K, size]`.
///
/// # Errors
/// If the model is damaged.
pub fn load_sentences(model: &Model, size: usize, device: &Device) -> Result<Tensor<2>> {
    let damaged = |finding: &str| {
        Error::user(format!("{}: tensor `{SENTENCES}` {finding}", model.name()))
            .hint("the file is damaged; use another snapshot of the run")
    };
    let tensor = model.tensor(SENTENCES).ok_or_else(|| damaged("is missing"))?;
    if !matches!(tensor.shape[..], [rows, found] if rows > 0 && found == size) {
        return Err(damaged(&format!("has shape {:?}", tensor.shape)));
    }
    if !tensor.is_finite() {
        return Err(damaged("contains NaN or infinite numbers"));
    }
    Ok(from_host(tensor, device))
}
