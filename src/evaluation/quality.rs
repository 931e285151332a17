//! Evaluates samples against held-out images: Fréchet distance, KID, precision and recall,
//! Inception score.

use burn::tensor::Tensor;

use super::features::CHUNK;
use super::subject::samples_note;
use super::{EvaluationContext, FeatureExtractor, Row, Subject, Table};
use crate::error::Result;
use crate::metrics::frechet::{Gaussian, frechet_distance};
use crate::metrics::inception_score::{SPLITS, inception_score};
use crate::metrics::kid::{KidSettings, kid};
use crate::metrics::precision_recall::{NEIGHBOURS, precision_recall};
use crate::metrics::{Cloud, Spread};
use crate::systems::{ImageSampler, SampleNoise};

/// Images per feature dimension below which a covariance estimate is mostly noise.
const FILLED: usize = 4;

/// Batches of samples for the seeds `first..first + count` at truncation ψ.
pub fn samples<'a>(
    sampler: &'a dyn ImageSampler,
    psi: f32,
    noise: SampleNoise,
    first: u64,
    count: usize,
) -> impl Iterator<Item = Result<Tensor<4>>> + 'a {
    (0..count).step_by(CHUNK).map(move |start| {
        let seeds: Vec<u64> =
            (start..(start + CHUNK).min(count)).map(|i| first + i as u64).collect();
        sampler.images(&seeds, psi, noise)
    })
}

/// The first `count` samples of an evaluation, in batches.
pub fn drawn<'a>(
    sampler: &'a dyn ImageSampler,
    setting: &EvaluationContext,
    count: usize,
) -> impl Iterator<Item = Result<Tensor<4>>> + 'a {
    samples(sampler, setting.truncation, SampleNoise::Random, setting.seed, count)
}

/// Fréchet distance, KID, precision and recall of two sets of feature vectors.
///
/// # Errors
/// Fails if a set is too small.
pub fn distances(
    real: &Cloud,
    fake: &Cloud,
    extractor: &FeatureExtractor,
    seed: u64,
) -> Result<Vec<(&'static str, f64)>> {
    let frechet = frechet_distance(&Gaussian::of(real)?, &Gaussian::of(fake)?)?;
    let Spread { mean, std } = kid(real, fake, KidSettings::default(), seed)?;
    let near = precision_recall(real, fake, NEIGHBOURS)?;
    Ok(vec![
        (extractor.distance_name(), frechet),
        ("kid", mean),
        ("kid_std", std),
        ("precision", near.precision),
        ("recall", near.recall),
    ])
}

/// The table "Samples": one row per model. Training images are the control: they show what a
/// perfect generator would reach.
///
/// # Errors
/// Fails if images cannot be read or there are too few.
pub fn table(
    subjects: &[Subject],
    extractor: &FeatureExtractor,
    setting: &EvaluationContext,
    mut progress: impl FnMut(&str, usize, usize),
) -> Result<Table> {
    let held_out = setting.archive.indices_of(setting.split);
    let real = extractor.archive_features(setting, &held_out, setting.split.name(), |done| {
        progress("computing features of real images", done, held_out.len());
    })?;
    let mut rows = Vec::new();
    for subject in subjects {
        let mut done = 0;
        let sampler = subject.sampler()?;
        let batches = drawn(&*sampler, setting, setting.samples).map(|images| {
            let images = subject.fitted(images?)?;
            done += images.dims()[0];
            progress(&format!("sampling from {}", subject.name), done, setting.samples);
            Ok(images)
        });
        let fake = extractor.embed(batches)?;
        rows.push(row(subject.name.clone(), &real, &fake, extractor, setting)?);
    }
    let thin = match real.len().min(setting.samples) < FILLED * extractor.dim() {
        true => {
            "; too few images to estimate the covariance well, which raises the Fréchet distance even for real images: compare models by KID"
        }
        false => "",
    };
    let conditions = samples_note(subjects)?;
    rows.extend(training_images(&real, extractor, setting, &mut progress)?);
    Ok(Table {
        title: "Samples".into(),
        note: format!(
            "{} samples of each model{conditions}, ψ {}, random noise, against {} images of `{}`; {}; KID: {} subsets of {}; precision and recall: k = {NEIGHBOURS}{thin}",
            setting.samples,
            setting.truncation,
            real.len(),
            setting.split.name(),
            extractor.note(),
            KidSettings::default().subsets,
            KidSettings::default().subset(real.len(), setting.samples),
        ),
        rows,
        charts: Vec::new(),
    })
}

/// Control row of as many training images as samples; `None` if they are the reference themselves.
fn training_images(
    real: &Cloud,
    extractor: &FeatureExtractor,
    setting: &EvaluationContext,
    progress: &mut impl FnMut(&str, usize, usize),
) -> Result<Option<Row>> {
    use crate::data::Split;
    let indices = setting.archive.some_of(Split::Train, setting.samples);
    if setting.split == Split::Train || indices.len() < 10 {
        return Ok(None);
    }
    let cloud = extractor.archive_features(setting, &indices, "train-spread", |done| {
        progress("computing features of training images", done, indices.len());
    })?;
    let name = format!("training images ({})", cloud.len());
    row(name, real, &cloud, extractor, setting).map(Some)
}

fn row(
    name: String,
    real: &Cloud,
    other: &Cloud,
    extractor: &FeatureExtractor,
    setting: &EvaluationContext,
) -> Result<Row> {
    let mut row = Row::new(name, distances(real, other, extractor, setting.seed)?);
    if let Some(logits) = extractor.logits(other, setting.device) {
        let score = inception_score(&logits?, SPLITS)?;
        row.metrics.set("is", score.mean);
        row.metrics.set("is_std", score.std);
    }
    Ok(row)
}
