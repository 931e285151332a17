//! Evaluates a generator during training: at every snapshot, samples of the same seeds are compared
//! with the same held-out images. Several ranks draw an equal share of the samples each.

use burn::tensor::Device;

use super::features::CHUNK;
use super::quality::{distances, samples};
use super::{EvaluationContext, FeatureExtractor};
use crate::data::{Archive, Split};
use crate::error::{Error, Result};
use crate::interrupt::Interrupt;
use crate::metrics::Cloud;
use crate::ranks::Ranks;
use crate::report::Metrics;
use crate::train::evaluator::{
    Evaluator, EvaluatorRequest, ImageSampler, OpenedEvaluator, SampleNoise,
};
use crate::train::rounds::own_images;
use crate::train::{Evaluation, Event, EventSink};
use crate::vision::FeatureChoice;

/// Number of samples per snapshot.
const SAMPLES: usize = 2000;
/// Smallest number of held-out images to compare with.
const FEWEST: usize = 10;

/// Evaluates the snapshots of a generator against a fixed set of images.
pub struct SnapshotEvaluator {
    extractor: FeatureExtractor,
    /// Features of the reference images; only rank 0 has them.
    real: Option<Cloud>,
    samples: usize,
    seed: u64,
    ranks: Ranks,
}

impl SnapshotEvaluator {
    /// Computes the features of the reference images, once for all snapshots. `ranks` share the
    /// samples.
    ///
    /// # Errors
    /// Fails if the images cannot be read or their features are not finite.
    pub fn new(
        extractor: FeatureExtractor,
        setting: &EvaluationContext,
        indices: &[usize],
        part: &str,
        ranks: &Ranks,
        progress: impl FnMut(usize),
    ) -> Result<Self> {
        let real = match ranks.is_first() {
            true => Some(extractor.archive_features(setting, indices, part, progress)?),
            false => None,
        };
        let (samples, seed) = (setting.samples, setting.seed);
        Ok(Self { extractor, real, samples, seed, ranks: ranks.clone() })
    }

    /// Measures `eval/fid` (or `eval/fsd`, `eval/frechet`), `eval/kid`, `eval/precision` and
    /// `eval/recall` of a generator. KID is the score, because small references do not suffice to
    /// estimate a covariance. All ranks call it; only rank 0 gets the values.
    ///
    /// # Errors
    /// Fails if images are not finite, or if `check`, which runs between batches, fails on a rank.
    pub fn measure(
        &self,
        sampler: &dyn ImageSampler,
        check: impl Fn() -> Result<()>,
    ) -> Result<Evaluation> {
        // Whole batches, so that all values are those of a single process.
        let own = own_images(&self.ranks, self.samples, CHUNK);
        let first = self.seed + own.start as u64;
        let batches = samples(sampler, 1.0, SampleNoise::Random, first, own.len());
        let checked = batches.map(|images| {
            check()?;
            images
        });
        let own = self.extractor.embed(checked);
        let own = own.map(|cloud| bytemuck::cast_slice(cloud.values()).to_vec());
        let all = self.ranks.gather_work(own)?;
        let mut metrics = Metrics::new();
        let mut score = f64::INFINITY;
        let Some(real) = &self.real else { return Ok(Evaluation { metrics, score }) };
        let values = all.iter().flat_map(|part| bytemuck::pod_collect_to_vec::<u8, f32>(part));
        let fake = Cloud::new(values.collect(), self.extractor.dim())?;
        for (name, value) in distances(real, &fake, &self.extractor, self.seed)? {
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
) -> Result<Option<OpenedEvaluator>> {
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
    let weights = extractor.weights().to_owned();
    let setting = EvaluationContext {
        archive: &archive,
        split,
        device,
        seed: request.seed,
        samples: SAMPLES,
        truncation: 1.0,
        strength: None,
        candidates: 1,
        editing: Default::default(),
        projection: Default::default(),
        tuning: Default::default(),
        edit_bands: false,
        perceptual_note: String::new(),
        cache: super::cache(),
    };
    let total = indices.len() as u64;
    let watch = SnapshotEvaluator::new(
        extractor,
        &setting,
        &indices,
        split.name(),
        &request.ranks,
        |done| {
            let what = "computing features of held-out images".to_owned();
            events.emit(&Event::Working { what, done: done as u64, total });
        },
    )?;
    let stop = interrupt.clone();
    let evaluator: Evaluator = Box::new(move |sampler| {
        watch.measure(sampler, || match stop.requested() {
            None => Ok(()),
            Some(signal) => Err(Error::interrupted(signal.exit_code(), "interrupted")),
        })
    });
    Ok(Some(OpenedEvaluator { evaluator, measured_by, weights }))
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

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use burn::tensor::{Tensor, TensorData};

    use super::*;
    use crate::draws;
    use crate::ranks::{Reduce, threads};

    /// Random images, and the seeds that were asked for.
    #[derive(Default)]
    struct Images(RefCell<Vec<u64>>);

    impl ImageSampler for Images {
        fn images(&self, seeds: &[u64], _psi: f32, _noise: SampleNoise) -> Result<Tensor<4>> {
            self.0.borrow_mut().extend(seeds);
            let image = |&seed: &u64| draws::normal(&mut draws::stream(seed, "image", 0), 3 * 64);
            let values: Vec<f32> = seeds.iter().flat_map(image).collect();
            Ok(Tensor::from_data(TensorData::new(values, [seeds.len(), 3, 8, 8]), &Device::flex()))
        }
    }

    /// The seeds that one of the ranks draws, and what it measures.
    fn measured(ranks: Ranks) -> (Vec<u64>, Result<Evaluation>) {
        let none = || Err(Error::internal("pixels have no network"));
        let extractor =
            FeatureExtractor::open(&FeatureChoice::Pixels, none, "", &Device::flex()).unwrap();
        let seeds: Vec<u64> = (1000..1024).collect();
        let real = Images::default().images(&seeds, 1.0, SampleNoise::None);
        let real = ranks.is_first().then(|| extractor.embed([real]).unwrap());
        let watch = SnapshotEvaluator { extractor, real, samples: 4 * CHUNK + 1, seed: 7, ranks };
        let images = Images::default();
        let evaluation = watch.measure(&images, || Ok(()));
        (images.0.into_inner(), evaluation)
    }

    #[test]
    fn ranks_share_the_samples_and_measure_the_same() {
        let (all, alone) = measured(Ranks::alone());
        let alone = alone.unwrap();
        assert_eq!(all, (7..7 + 4 * CHUNK as u64 + 1).collect::<Vec<_>>());
        // The last of eight ranks has fewer images, and some have none.
        for size in [2, 3, 8] {
            let found: Vec<_> = std::thread::scope(|scope| {
                let ranks = threads(size, Reduce::Exact).into_iter();
                let running: Vec<_> =
                    ranks.map(|ranks| scope.spawn(move || measured(ranks))).collect();
                running.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            let seeds: Vec<u64> = found.iter().flat_map(|(seeds, _)| seeds.clone()).collect();
            assert_eq!(seeds, all, "{size} ranks");
            assert!(found.iter().all(|(seeds, _)| seeds.len() <= 3 * CHUNK));
            let first = found[0].1.as_ref().unwrap();
            assert_eq!((&first.metrics, first.score), (&alone.metrics, alone.score));
        }
    }
}
