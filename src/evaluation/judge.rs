//! R-precision by a judge (Xu et al. 2018): how often encoders of images and texts, such as another
//! DAMSM, find the caption of a generated image among others.

use std::collections::BTreeSet;

use burn::tensor::Tensor;

use super::features::CHUNK;
use super::illustrate::illustrate;
use super::text::{captioned_reference, ranked};
use super::{EvaluationContext, Row, Subject, Table};
use crate::error::Result;
use crate::metrics::r_precision::{FOLDS, among_most_similar};
use crate::model::{Model, Section};
use crate::nn::params::to_vec;
use crate::picture;
use crate::systems::ImageTextSimilarity;
use crate::tensorfile::belongs;

/// Added to the name of a model that contains the judge.
const SELF_JUDGED: &str = " *self-judged";

/// A judge that `--judge` names.
pub struct Judge<'a> {
    /// Its encoders.
    pub encoders: &'a dyn ImageTextSimilarity,
    /// Its model.
    pub model: &'a Model,
    /// The sections that its system knows.
    pub sections: &'static [&'static Section],
}

impl Judge<'_> {
    /// Whether a model contains a network of the judge. It was probably trained with it, and then it
    /// has an advantage.
    fn is_part_of(&self, model: &Model) -> bool {
        let sections = self.sections.iter().filter(|section| self.model.has(section));
        let prefixes: BTreeSet<&str> =
            sections.flat_map(|section| section.networks.iter().copied()).collect();
        let own = &self.model.file().tensors;
        prefixes.into_iter().any(|prefix| {
            let mut tensors = own.iter().filter(|(name, _)| belongs(name, prefix)).peekable();
            tensors.peek().is_some()
                && tensors.all(|(name, tensor)| model.tensor(name) == Some(tensor))
        })
    }
}

/// The table "R-precision by a judge". Real images and shuffled captions are the controls.
///
/// # Errors
/// Fails if a model does not generate images from text, or if a caption cannot be read.
pub fn table(
    subjects: &[Subject],
    judge: &Judge,
    setting: &EvaluationContext,
    mut progress: impl FnMut(&str, usize, usize),
) -> Result<Table> {
    let archive = setting.archive;
    let indices = captioned_reference(archive, setting.split)?;
    let captions: Vec<&str> =
        indices.iter().map(|&i| archive.images()[i].captions[0].as_str()).collect();
    let candidates = ranked(archive, &indices, setting.seed)?;
    let texts = rows(judge.encoders.texts(&captions)?);
    let score = |name: String, images: &[Vec<f32>], shift: usize| -> Result<Row> {
        let of = |query: usize, caption: usize| -> f64 {
            let image = &images[(query + shift) % images.len()];
            image.iter().zip(&texts[caption]).map(|(a, b)| f64::from(a * b)).sum()
        };
        let mut numbers = Vec::new();
        for (most, mean, deviation) in
            [(1, "top_1", "top_1_std"), (2, "top_2", "top_2_std"), (3, "top_3", "top_3_std")]
        {
            let spread = among_most_similar(&candidates, FOLDS, most, of)?;
            numbers.extend([(mean, spread.mean), (deviation, spread.std)]);
        }
        Ok(Row::new(name, numbers))
    };
    let mut table_rows = Vec::new();
    for subject in subjects {
        let (mut images, mut first) = (Vec::new(), setting.seed);
        for chunk in captions.chunks(CHUNK) {
            let drawn = illustrate(subject, chunk, first, setting)?;
            images.extend(rows(judge.encoders.images(picture::as_saved(drawn.images))));
            first += chunk.len() as u64;
            progress(&format!("judging {}", subject.name), images.len(), captions.len());
        }
        let mark = if judge.is_part_of(&subject.model) { SELF_JUDGED } else { "" };
        table_rows.push(score(format!("{}{mark}", subject.name), &images, 0)?);
    }
    let mut real = Vec::new();
    for chunk in indices.chunks(CHUNK) {
        let pixels = archive.pixels(chunk)?;
        let images = picture::to_tensor(&pixels, archive.resolution(), setting.device);
        real.extend(rows(judge.encoders.images(images)));
    }
    table_rows.push(score("real images".into(), &real, 0)?);
    // Neighbours in the archive often share a class, so the captions of others are far away.
    table_rows.push(score("shuffled captions".into(), &real, (real.len() / 2).max(1))?);
    Ok(Table {
        title: "R-precision by a judge".into(),
        note: format!(
            "one image for the first caption of each of {} held-out images of `{}`, {}; \
             share of the images whose caption is among the 1, 2 or 3 that {} finds most \
             similar, of {} (the others belong to other classes); mean ± std over {} folds. A model \
             marked{SELF_JUDGED} contains the judge, with which it was trained",
            captions.len(),
            setting.split.name(),
            setting.drawn(subjects),
            judge.model.name(),
            candidates.first().map_or(0, Vec::len),
            FOLDS.min(captions.len()),
        ),
        rows: table_rows,
        charts: Vec::new(),
    })
}

fn rows(vectors: Tensor<2>) -> Vec<Vec<f32>> {
    let size = vectors.dims()[1];
    to_vec(vectors).chunks(size).map(<[f32]>::to_vec).collect()
}
