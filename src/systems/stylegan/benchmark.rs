//! The speed of training stage 1.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use burn::tensor::Device;
use serde_json::{Map, Value, json};

use super::StyleganSettings;
use super::precision::Precision;
use super::settings::AugmentMode;
use super::train::{Part, StyleganTrainer};
use crate::data::Archive;
use crate::data::synth::{SynthOptions, synth};
use crate::error::{Error, Result};
use crate::interrupt::Interrupt;
use crate::settings::Checked;
use crate::settings::limits::within;
use crate::systems::benchmark::{Benchmark, BenchmarkRequest, wait};

/// Iterations of one cycle of the lazy regularisers: R1 every 16, path length every 4.
const CYCLE: usize = 16;
/// Probability of augmentation, where it is on.
const AUGMENTED: f64 = 0.3;

/// Times iterations of stage 1 on synthetic birds. A round is a cycle of 16 iterations.
pub(super) struct TrainingBenchmark;

impl Benchmark for TrainingBenchmark {
    fn name(&self) -> &'static str {
        "train"
    }

    fn about(&self) -> &'static str {
        "Training iterations of stage 1"
    }

    fn activity(&self) -> &'static str {
        "training"
    }

    fn check(&self, request: &BenchmarkRequest) -> Result<()> {
        check(request)
    }

    fn least_memory(&self, request: &BenchmarkRequest) -> u64 {
        settings(request).least_memory()
    }

    /// The time per thousand images, and that of each part of an iteration.
    fn measure(
        &self,
        request: &BenchmarkRequest,
        device: &Device,
        interrupt: &Interrupt,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Map<String, Value>> {
        let folder = tempfile::tempdir()
            .map_err(|e| Error::io(std::env::temp_dir(), "create a temporary folder", e))?;
        let options = SynthOptions {
            out: folder.path().join("birds.zip"),
            count: 4 * request.batch.max(16),
            resolution: u32::try_from(request.resolution).unwrap_or(u32::MAX),
            seed: request.seed,
            stop: interrupt.clone(),
        };
        synth(&options, &mut |_| {})?;
        let archive = Arc::new(Archive::open(&options.out)?);
        let mut trainer = StyleganTrainer::new(settings(request), request.seed, archive, device)?;
        // One round to warm up, the timed rounds, and one that waits for the device after each part.
        let total = ((request.rounds + 2) * CYCLE) as u64;
        let mut done = 0;
        let mut cycle = |trainer: &mut StyleganTrainer,
                         after: &mut dyn FnMut(Part) -> Result<()>| {
            for _ in 0..CYCLE {
                trainer.step_in_parts(&mut *after)?;
                done += 1;
                progress(done, total);
            }
            wait(device)
        };
        cycle(&mut trainer, &mut |_| Ok(()))?;
        let began = Instant::now();
        for _ in 0..request.rounds {
            cycle(&mut trainer, &mut |_| Ok(()))?;
        }
        let kimg = (CYCLE * request.batch) as f64 / 1000.0;
        let seconds_per_kimg = began.elapsed().as_secs_f64() / request.rounds as f64 / kimg;
        let mut parts: BTreeMap<Part, f64> = BTreeMap::new();
        let mut last = Instant::now();
        cycle(&mut trainer, &mut |part| {
            wait(device)?;
            *parts.entry(part).or_default() += last.elapsed().as_secs_f64() / kimg;
            last = Instant::now();
            Ok(())
        })?;
        let parts: Map<String, Value> = Part::ALL
            .into_iter()
            .filter_map(|part| Some((part.name().to_owned(), (*parts.get(&part)?).into())))
            .collect();
        Ok(Map::from_iter([
            ("aug".to_owned(), request.augmented.into()),
            ("mixed".to_owned(), request.mixed.into()),
            ("iterations".to_owned(), (request.rounds * CYCLE).into()),
            ("sec_per_kimg".to_owned(), seconds_per_kimg.into()),
            ("parts_sec_per_kimg".to_owned(), json!(parts)),
        ]))
    }
}

/// The settings of the networks and of their training.
pub(in crate::systems) fn settings(request: &BenchmarkRequest) -> StyleganSettings {
    let mut settings = StyleganSettings::auto(request.resolution, Some(request.batch));
    settings.network.channel_base = request.channel_base;
    settings.network.channel_max = request.channel_max;
    settings.network.mapping_layers = 2;
    settings.round = request.batch;
    settings.precision = if request.mixed { Precision::Mixed } else { Precision::F32 };
    settings.r1_interval = 16;
    settings.pl_interval = 4;
    settings.mirror = false;
    settings.augment.mode = if request.augmented { AugmentMode::Fixed } else { AugmentMode::None };
    settings.augment.p = AUGMENTED;
    settings
}

/// Checks the sizes of the networks.
///
/// # Errors
/// If a number is out of range. The message names its flag or setting.
pub(in crate::systems) fn check(request: &BenchmarkRequest) -> Result<()> {
    // The defaults are computed from the resolution, so it is checked before the settings are.
    within("--resolution", request.resolution, 8..=1024)?;
    settings(request).check()
}
