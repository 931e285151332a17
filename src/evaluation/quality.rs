//! Do samples look like pictures that were not trained on?

use burn::tensor::Tensor;

use super::features::CHUNK;
use super::subject::conditions_note;
use super::{Observer, Row, Setting, Subject, Table};
use crate::error::Result;
use crate::metrics::frechet::{Gaussian, frechet_distance};
use crate::metrics::inception_score::{SPLITS, inception_score};
use crate::metrics::kid::{KidSettings, kid};
use crate::metrics::precision_recall::{NEIGHBOURS, precision_recall};
use crate::metrics::{Cloud, Spread};
use crate::systems::{SampleNoise, Sampler};

/// Pictures a dimension, below which a covariance is mostly noise.
const FILLED: usize = 4;

/// Samples of the seeds `first..first + count` at truncation ψ, some at a time.
pub fn samples<'a>(
    sampler: &'a dyn Sampler,
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

/// The first `count` samples of an evaluation.
pub fn drawn<'a>(
    sampler: &'a dyn Sampler,
    setting: &Setting,
    count: usize,
) -> impl Iterator<Item = Result<Tensor<4>>> + 'a {
    samples(sampler, setting.truncation, SampleNoise::Random, setting.seed, count)
}

/// The distances of two clouds that every table of pictures has.
///
/// # Errors
/// If a cloud has too few pictures.
pub fn distances(
    real: &Cloud,
    fake: &Cloud,
    observer: &Observer,
    seed: u64,
) -> Result<Vec<(&'static str, f64)>> {
    let frechet = frechet_distance(&Gaussian::of(real)?, &Gaussian::of(fake)?)?;
    let Spread { mean, std } = kid(real, fake, KidSettings::default(), seed)?;
    let near = precision_recall(real, fake, NEIGHBOURS)?;
    Ok(vec![
        (observer.distance_name(), frechet),
        ("kid", mean),
        ("kid_std", std),
        ("precision", near.precision),
        ("recall", near.recall),
    ])
}

/// One row a model, and the training pictures as a control: what a perfect generator would reach.
///
/// # Errors
/// If pictures cannot be read, or there are too few.
pub fn table(
    subjects: &[Subject],
    observer: &Observer,
    setting: &Setting,
    mut progress: impl FnMut(&str, usize, usize),
) -> Result<Table> {
    let held_out = setting.archive.indices_of(setting.split);
    let real = observer.real(setting, &held_out, setting.split.name(), |done| {
        progress("looking at real pictures", done, held_out.len());
    })?;
    let mut rows = Vec::new();
    for subject in subjects {
        let mut done = 0;
        let sampler = subject.sampler()?;
        let batches = drawn(&*sampler, setting, setting.samples).map(|images| {
            let images = images?;
            done += images.dims()[0];
            progress(&format!("looking at samples of {}", subject.name), done, setting.samples);
            Ok(images)
        });
        let fake = observer.look(batches)?;
        rows.push(row(subject.name.clone(), &real, &fake, observer, setting)?);
    }
    let thin = match real.len().min(setting.samples) < FILLED * observer.dim() {
        true => {
            "; so few pictures do not fill the covariance, which even real ones pay for: compare models by KID"
        }
        false => "",
    };
    let conditions = conditions_note(subjects)?;
    rows.extend(training_pictures(&real, observer, setting, &mut progress)?);
    Ok(Table {
        title: "Samples".into(),
        note: format!(
            "{} samples of each model{conditions}, ψ {}, random noise, against {} pictures of `{}`; {}; KID: {} subsets of {}; precision and recall: k = {NEIGHBOURS}{thin}",
            setting.samples,
            setting.truncation,
            real.len(),
            setting.split.name(),
            observer.note(),
            KidSettings::default().subsets,
            KidSettings::default().subset(real.len(), setting.samples),
        ),
        rows,
        charts: Vec::new(),
    })
}

/// As many training pictures as there are samples, where they are not the reference themselves.
fn training_pictures(
    real: &Cloud,
    observer: &Observer,
    setting: &Setting,
    progress: &mut impl FnMut(&str, usize, usize),
) -> Result<Option<Row>> {
    use crate::data::Split;
    let indices = setting.archive.some_of(Split::Train, setting.samples);
    if setting.split == Split::Train || indices.len() < 10 {
        return Ok(None);
    }
    let cloud = observer.real(setting, &indices, "train-spread", |done| {
        progress("looking at training pictures", done, indices.len());
    })?;
    let name = format!("training pictures ({})", cloud.len());
    row(name, real, &cloud, observer, setting).map(Some)
}

fn row(
    name: String,
    real: &Cloud,
    other: &Cloud,
    observer: &Observer,
    setting: &Setting,
) -> Result<Row> {
    let mut row = Row::new(name, distances(real, other, observer, setting.seed)?);
    if let Some(logits) = observer.logits(other, setting.device) {
        let score = inception_score(&logits?, SPLITS)?;
        row.metrics.set("is", score.mean);
        row.metrics.set("is_std", score.std);
    }
    Ok(row)
}
