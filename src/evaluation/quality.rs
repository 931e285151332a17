//! Do samples look like pictures that were not trained on?

use burn::tensor::{Device, Tensor};

use super::features::CHUNK;
use super::{Observer, Row, Setting, Subject, Table};
use crate::draws;
use crate::error::Result;
use crate::metrics::frechet::{Gaussian, frechet_distance};
use crate::metrics::inception_score::{SPLITS, inception_score};
use crate::metrics::kid::{KidSettings, kid};
use crate::metrics::precision_recall::{NEIGHBOURS, precision_recall};
use crate::metrics::{Cloud, Spread};
use crate::report::Metrics;
use crate::systems::cigan::guidance::generate::latents;
use crate::systems::stylegan::Generator;
use crate::systems::stylegan::generator::Truncation;
use crate::systems::stylegan::train::Conditions;
use crate::train::Evaluation;

/// Pictures a dimension, below which a covariance is mostly noise.
const FILLED: usize = 4;

/// Samples of seeds `first..first + count`, each with noise of its own, some at a time; `ws` gives
/// the codes [N, num_ws, w_dim] of seeds.
pub fn samples<'a>(
    generator: &'a Generator,
    ws: impl Fn(&[u64]) -> Result<Tensor<3>> + 'a,
    first: u64,
    count: usize,
    device: &'a Device,
) -> impl Iterator<Item = Result<Tensor<4>>> + 'a {
    (0..count).step_by(CHUNK).map(move |start| {
        let seeds: Vec<u64> =
            (start..(start + CHUNK).min(count)).map(|i| first + i as u64).collect();
        let ws = ws(&seeds)?;
        let mut rngs: Vec<_> =
            seeds.iter().map(|&seed| draws::stream(seed, "noise.sample", 0)).collect();
        let noise = generator.synthesis.draw_noise_each(&mut rngs, device);
        Ok(generator.synthesize(ws, &noise))
    })
}

/// The first `count` samples of an evaluation.
pub fn drawn<'a>(
    subject: &'a Subject,
    setting: &'a Setting,
    count: usize,
) -> impl Iterator<Item = Result<Tensor<4>>> + 'a {
    let ws = |seeds: &[u64]| subject.ws(seeds, setting.truncation, setting.device);
    samples(&subject.generator, ws, setting.seed, count, setting.device)
}

/// Measures a generator again and again while it trains: the same seeds against the same pictures.
pub struct Watch {
    observer: Observer,
    real: Cloud,
    samples: usize,
    seed: u64,
    device: Device,
}

impl Watch {
    /// Looks at the reference once.
    ///
    /// # Errors
    /// If its pictures cannot be read, or are too few.
    pub fn new(
        observer: Observer,
        setting: &Setting,
        indices: &[usize],
        part: &str,
        progress: impl FnMut(usize),
    ) -> Result<Self> {
        let real = observer.real(setting, indices, part, progress)?;
        let (samples, seed) = (setting.samples, setting.seed);
        Ok(Self { observer, real, samples, seed, device: setting.device.clone() })
    }

    /// `eval/fid` (or its kin), `eval/kid`, precision and recall; KID is the score, because a small
    /// reference cannot fill a covariance.
    ///
    /// # Errors
    /// If the pictures are not finite; those of `conditions`, and of `check`, which is asked between
    /// batches.
    pub fn measure(
        &self,
        generator: &Generator,
        conditions: &Conditions,
        check: impl Fn() -> Result<()>,
    ) -> Result<Evaluation> {
        let ws = |seeds: &[u64]| {
            check()?;
            let z = latents(seeds, None, generator.mapping.z_dim(), &self.device);
            Ok(generator.ws(z, conditions(seeds)?, Truncation::NONE))
        };
        let batches = samples(generator, ws, self.seed, self.samples, &self.device);
        let fake = self.observer.look(batches)?;
        let mut metrics = Metrics::new();
        let mut score = f64::INFINITY;
        for (name, value) in distances(&self.real, &fake, &self.observer, self.seed)? {
            if name == "kid" {
                score = value;
            }
            metrics.set(format!("eval/{name}"), value);
        }
        Ok(Evaluation { metrics, score })
    }
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
        let batches = drawn(subject, setting, setting.samples).map(|images| {
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
    let captions = match subjects.iter().any(|subject| subject.sentences.is_some()) {
        true => " (of text-conditional models: of training captions as they occur)",
        false => "",
    };
    rows.extend(training_pictures(&real, observer, setting, &mut progress)?);
    Ok(Table {
        title: "Samples".into(),
        note: format!(
            "{} samples of each model{captions}, ψ {}, random noise, against {} pictures of `{}`; {}; KID: {} subsets of {}; precision and recall: k = {NEIGHBOURS}{thin}",
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
