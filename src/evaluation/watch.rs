//! Evaluates a generator during training: at every snapshot, samples of the same seeds are compared
//! with the same held-out images.

use burn::tensor::Device;

use super::quality::{distances, samples};
use super::{EvaluationContext, FeatureExtractor};
use crate::data::{Archive, Split};
use crate::error::{Error, Result};
use crate::interrupt::Interrupt;
use crate::metrics::Cloud;
use crate::report::Metrics;
use crate::train::evaluator::{Evaluator, EvaluatorRequest, ImageSampler, SampleNoise};
use crate::train::{Evaluation, Event, EventSink};
use crate::vision::FeatureChoice;

/// Number of samples per snapshot.
const SAMPLES: usize = 2000;
/// Smallest number of held-out images to compare with.
const FEWEST: usize = 10;

/// Evaluates the snapshots of a generator against a fixed set of images.
pub struct SnapshotEvaluator {
    extractor: FeatureExtractor,
    real: Cloud,
    samples: usize,
    seed: u64,
}

impl SnapshotEvaluator {
    /// Computes the features of the reference images, once for all snapshots.
    ///
    /// # Errors
    /// Fails if the images cannot be read or their features are not finite.
    pub fn new(
        extractor: FeatureExtractor,
        setting: &EvaluationContext,
        indices: &[usize],
        part: &str,
        progress: impl FnMut(usize),
    ) -> Result<Self> {
        let real = extractor.archive_features(setting, indices, part, progress)?;
        let (samples, seed) = (setting.samples, setting.seed);
        Ok(Self { extractor, real, samples, seed })
    }

    /// Measures `eval/fid` (or `eval/fsd`, `eval/frechet`), `eval/kid`, `eval/precision` and
    /// `eval/recall` of a generator. KID is the score, because small references do not suffice to
    /// estimate a covariance.
    ///
    /// # Errors
    /// Fails if images are not finite, or if `check`, which runs between batches, fails.
    pub fn measure(
        &self,
        sampler: &dyn ImageSampler,
        check: impl Fn() -> Result<()>,
    ) -> Result<Evaluation> {
        let batches = samples(sampler, 1.0, SampleNoise::Random, self.seed, self.samples);
        let checked = batches.map(|images| {
            check()?;
            images
        });
        let fake = self.extractor.embed(checked)?;
        let mut metrics = Metrics::new();
        let mut score = f64::INFINITY;
        for (name, value) in distances(&self.real, &fake, &self.extractor, self.seed)? {
            if name == "kid" {
                score = value;
            }
            metrics.set(format!("eval/{name}"), value);
        }
        Ok(Evaluation { metrics, score })
    }
}

/// Opens the evaluation that a training run requests with `--eval`; see
/// [`OpenEvaluator`](crate::train::evaluator::OpenEvaluator).
///
/// # Errors
/// Fails if the archive or the features are unsuitable or cannot be read.
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
            Error::user(format!("--eval-features {text}: {e}"))
                .hint("use inception=FILE, squeezenet=FILE or pixels")
        })?,
    };
    if choice == FeatureChoice::Discriminator {
        return Err(Error::user("--eval-features discriminator: it changes during training")
            .hint("use inception=FILE, squeezenet=FILE or pixels"));
    }
    let archive = Archive::open(path)?;
    let side = request.resolution;
    if archive.resolution() != side {
        return Err(Error::user(format!(
            "--eval {}: the images are {2}×{2}, but those of --data are {1}×{1}",
            path.display(),
            side,
            archive.resolution()
        ))
        .hint(format!("prepare the archive with --resolution {side}")));
    }
    let (split, indices) = held_out(&archive);
    if indices.len() < FEWEST {
        return Err(Error::user(format!(
            "--eval {}: needs at least {FEWEST} images, found {}",
            path.display(),
            indices.len()
        ))
        .hint("give an archive with a few hundred held-out images"));
    }
    if split == Split::Train && archive.hash()? == request.training {
        return Err(Error::user(format!(
            "--eval {}: fewer than {FEWEST} of its images are held out from training",
            path.display()
        ))
        .hint("give an archive with other images; `cigan data prepare` holds out a tenth"));
    }
    let none = || Err(Error::internal("discriminator features should have been rejected"));
    let extractor = FeatureExtractor::open(&choice, none, "", device)?;
    let measured_by = format!("{} of archive {}", extractor.name(), archive.hash()?);
    let setting = EvaluationContext {
        archive: &archive,
        split,
        device,
        seed: request.seed,
        samples: SAMPLES,
        truncation: 1.0,
        strength: None,
        editing: Default::default(),
        edit_project: 0,
        edit_bands: false,
        perceptual_note: String::new(),
        cache: super::cache(),
    };
    let total = indices.len() as u64;
    let watch = SnapshotEvaluator::new(extractor, &setting, &indices, split.name(), |done| {
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

/// The images to compare with: the validation split, else the test split. If both are too small,
/// the archive is taken to be for evaluation only and all its training images are used.
fn held_out(archive: &Archive) -> (Split, Vec<usize>) {
    for split in [Split::Val, Split::Test] {
        let indices = archive.indices_of(split);
        if indices.len() >= FEWEST {
            return (split, indices);
        }
    }
    (Split::Train, archive.indices_of(Split::Train))
}
