//! Measuring the samples of a generator while it trains: the same seeds against the same held-out
//! images at every snapshot.

use burn::tensor::Device;

use super::quality::{distances, samples};
use super::{Observer, Setting};
use crate::data::{Archive, Split};
use crate::error::{Error, Result};
use crate::interrupt::Interrupt;
use crate::metrics::Cloud;
use crate::report::Metrics;
use crate::train::evaluator::{Evaluator, EvaluatorRequest, SampleNoise, Sampler};
use crate::train::{Evaluation, Event, EventSink};
use crate::vision::FeatureChoice;

/// Samples that a snapshot is measured on.
const SAMPLES: usize = 2000;
/// Held-out images below which nothing is measured.
const FEWEST: usize = 10;

/// Measures a generator again and again.
pub struct Watch {
    observer: Observer,
    real: Cloud,
    samples: usize,
    seed: u64,
}

impl Watch {
    /// Computes the features of the reference once.
    ///
    /// # Errors
    /// If its images cannot be read, or are too few.
    pub fn new(
        observer: Observer,
        setting: &Setting,
        indices: &[usize],
        part: &str,
        progress: impl FnMut(usize),
    ) -> Result<Self> {
        let real = observer.real(setting, indices, part, progress)?;
        let (samples, seed) = (setting.samples, setting.seed);
        Ok(Self { observer, real, samples, seed })
    }

    /// `eval/fid` (or its kin), `eval/kid`, precision and recall. KID is the score, because a small
    /// reference cannot fill a covariance.
    ///
    /// # Errors
    /// If the images are not finite; those of `check`, which is asked between batches.
    pub fn measure(
        &self,
        sampler: &dyn Sampler,
        check: impl Fn() -> Result<()>,
    ) -> Result<Evaluation> {
        let batches = samples(sampler, 1.0, SampleNoise::Random, self.seed, self.samples);
        let checked = batches.map(|images| {
            check()?;
            images
        });
        let fake = self.observer.look(checked)?;
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

/// Opens the evaluator that a training run asks for: an
/// [`OpenEvaluator`](crate::train::evaluator::OpenEvaluator).
///
/// # Errors
/// If the archive or the features do not suit.
pub fn open(
    request: &EvaluatorRequest,
    device: &Device,
    interrupt: &Interrupt,
    events: &mut dyn EventSink,
) -> Result<Option<(Evaluator, String)>> {
    let Some(path) = &request.archive else {
        if request.features.is_some() {
            return Err(Error::user("--eval-features without --eval")
                .hint("give the archive to measure against with --eval FILE.zip"));
        }
        return Ok(None);
    };
    let choice = match &request.features {
        None => FeatureChoice::Pixels,
        Some(text) => text.parse().map_err(|e| {
            Error::user(format!("--eval-features {text}: {e}")).hint("give --eval-features again")
        })?,
    };
    if choice == FeatureChoice::Discriminator {
        return Err(Error::user("--eval-features discriminator: it changes while it trains")
            .hint("use inception=FILE, squeezenet=FILE or pixels"));
    }
    let archive = Archive::open(path)?;
    let side = request.resolution;
    if archive.resolution() != side {
        return Err(Error::user(format!(
            "--eval {}: images of {2}×{2}, but --data has images of {1}×{1}",
            path.display(),
            side,
            archive.resolution()
        ))
        .hint(format!("prepare it with --resolution {side}")));
    }
    let (split, indices) = held_out(&archive);
    if indices.len() < FEWEST {
        return Err(Error::user(format!(
            "--eval {}: {} images are not enough to compare with",
            path.display(),
            indices.len()
        ))
        .hint("give an archive with some hundred held-out images"));
    }
    if split == Split::Train && archive.hash()? == request.training {
        return Err(Error::user(format!(
            "--eval {}: fewer than ten of its images are held out from training",
            path.display()
        ))
        .hint("give an archive with other images; `data prepare` keeps a tenth for validation"));
    }
    let none = || Err(Error::internal("the features of a discriminator were refused"));
    let observer = Observer::open(&choice, none, "", device)?;
    let measured_by = format!("{} of archive {}", observer.name(), archive.hash()?);
    let setting = Setting {
        archive: &archive,
        split,
        device,
        seed: request.seed,
        samples: SAMPLES,
        truncation: 1.0,
        guidance: Default::default(),
        editing: Default::default(),
        measured_by: String::new(),
        cache: super::cache(),
    };
    let total = indices.len() as u64;
    let watch = Watch::new(observer, &setting, &indices, split.name(), |done| {
        let what = "computing features of held-out images".to_owned();
        events.emit(&Event::Working { what, done: done as u64, total });
    })?;
    let stop = interrupt.clone();
    let evaluator: Evaluator = Box::new(move |sampler| {
        watch.measure(sampler, || match stop.requested() {
            None => Ok(()),
            Some(signal) => Err(Error::interrupted(signal.exit_code(), "interrupted")),
        })
    });
    Ok(Some((evaluator, measured_by)))
}

/// What training does not see: the validation split, else the test split; of an archive that is for
/// evaluation alone, everything.
fn held_out(archive: &Archive) -> (Split, Vec<usize>) {
    for split in [Split::Val, Split::Test] {
        let indices = archive.indices_of(split);
        if indices.len() >= FEWEST {
            return (split, indices);
        }
    }
    (Split::Train, archive.indices_of(Split::Train))
}
