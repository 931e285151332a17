//! The speed of training, generating and editing on a device, with random weights.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};

use crate::data::Archive;
use crate::data::synth::{SynthOptions, synth};
use crate::device::OpenDevice;
use crate::draws;
use crate::error::{Error, Result};
use crate::interrupt::Interrupt;
use crate::nn::Init;
use crate::nn::params::to_vec;
use crate::settings::Checked;
use crate::settings::limits::{MAX_BATCH, check_memory, within};
use crate::systems::cigan::guidance::edit::Edit;
use crate::systems::cigan::guidance::generate::generate;
use crate::systems::guidance::{GuidanceSettings, Guided};
use crate::systems::requests::Change;
use crate::systems::stylegan::sample::{render, starts};
use crate::systems::stylegan::settings::AugmentMode;
use crate::systems::stylegan::train::{Part, StyleganTrainer};
use crate::systems::stylegan::{Discriminator, DiscriminatorFeatures, Generator, StyleganSettings};
use crate::vision::Perceptual;

/// Iterations of one cycle of the lazy regularisers: R1 every 16, path length every 4.
const CYCLE: usize = 16;
/// Probability of augmentation, where it is on.
const AUGMENTED: f64 = 0.3;
/// Largest number of rounds.
const MAX_ROUNDS: usize = 1_000_000;

/// The size of what is measured.
#[derive(Debug, Clone)]
pub struct SpeedRequest {
    /// Image resolution in pixels.
    pub resolution: usize,
    /// Feature maps of a layer, multiplied by its resolution.
    pub channel_base: usize,
    /// Maximum number of feature maps of a layer.
    pub channel_max: usize,
    /// Batch size.
    pub batch: usize,
    /// Whether training applies all augmentations.
    pub augmented: bool,
    /// Number of rounds of 16 iterations, or of batches.
    pub rounds: usize,
    /// Seed of the training images and of the training.
    pub seed: u64,
}

/// The speed of training.
#[derive(Debug, Clone)]
pub struct TrainingSpeed {
    /// Number of timed iterations.
    pub iterations: usize,
    /// Time per thousand images in seconds.
    pub seconds_per_kimg: f64,
    /// The same for each part of an iteration, with the part's name, measured one after the other.
    pub parts: Vec<(&'static str, f64)>,
}

/// The speed of the optimisation that follows a text.
#[derive(Debug, Clone)]
pub struct GuidanceSpeed {
    /// Number of optimisation steps.
    pub steps: usize,
    /// Time of a batch in seconds.
    pub seconds_per_batch: f64,
}

impl SpeedRequest {
    /// The settings of the networks and of their training.
    fn settings(&self) -> StyleganSettings {
        let mut settings = StyleganSettings::auto(self.resolution, Some(self.batch));
        settings.network.channel_base = self.channel_base;
        settings.network.channel_max = self.channel_max;
        settings.network.mapping_layers = 2;
        settings.round = self.batch;
        settings.r1_interval = 16;
        settings.pl_interval = 4;
        settings.mirror = false;
        settings.augment.mode = if self.augmented { AugmentMode::Fixed } else { AugmentMode::None };
        settings.augment.p = AUGMENTED;
        settings
    }

    /// Checks the sizes.
    ///
    /// # Errors
    /// If a number is out of range. The message names its flag.
    pub fn check(&self) -> Result<()> {
        within("--rounds", self.rounds, 1..=MAX_ROUNDS)?;
        within("--batch", self.batch, 1..=MAX_BATCH)?;
        // The defaults are computed from the resolution, so it is checked before the settings are.
        within("--resolution", self.resolution, 8..=1024)?;
        self.settings().check()
    }

    /// Checks that training fits into the memory of a CPU. That of a GPU is not known.
    ///
    /// # Errors
    /// If it does not fit.
    pub fn fits(&self, device: &OpenDevice) -> Result<()> {
        match device.is_cpu {
            true => check_memory(self.settings().least_memory()),
            false => Ok(()),
        }
    }

    /// Times iterations of stage 1, after a round that warms up. `progress` receives the number of
    /// iterations done and of all.
    ///
    /// # Errors
    /// If no temporary file can be written, or training diverges.
    pub fn training(
        &self,
        device: &Device,
        interrupt: &Interrupt,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<TrainingSpeed> {
        let folder = tempfile::tempdir()
            .map_err(|e| Error::io(std::env::temp_dir(), "create a temporary folder", e))?;
        let options = SynthOptions {
            out: folder.path().join("birds.zip"),
            count: 4 * self.batch.max(16),
            resolution: u32::try_from(self.resolution).unwrap_or(u32::MAX),
            seed: self.seed,
            stop: interrupt.clone(),
        };
        synth(&options, &mut |_| {})?;
        let archive = Arc::new(Archive::open(&options.out)?);
        let mut trainer = StyleganTrainer::new(self.settings(), self.seed, archive, device)?;
        // One round to warm up, the timed rounds, and one that waits for the device after each part.
        let total = ((self.rounds + 2) * CYCLE) as u64;
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
        for _ in 0..self.rounds {
            cycle(&mut trainer, &mut |_| Ok(()))?;
        }
        let kimg = (CYCLE * self.batch) as f64 / 1000.0;
        let seconds_per_kimg = began.elapsed().as_secs_f64() / self.rounds as f64 / kimg;
        let mut parts: BTreeMap<Part, f64> = BTreeMap::new();
        let mut last = Instant::now();
        cycle(&mut trainer, &mut |part| {
            wait(device)?;
            *parts.entry(part).or_default() += last.elapsed().as_secs_f64() / kimg;
            last = Instant::now();
            Ok(())
        })?;
        let parts =
            Part::ALL.into_iter().filter_map(|part| Some((part.name(), *parts.get(&part)?)));
        Ok(TrainingSpeed {
            iterations: self.rounds * CYCLE,
            seconds_per_kimg,
            parts: parts.collect(),
        })
    }

    /// Times all steps of Eq. (9) for a batch, including the final images, after one batch that
    /// warms up. With `edit`, the preservation term is part of the objective.
    ///
    /// # Errors
    /// If the optimisation diverges.
    pub fn guidance(
        &self,
        edit: bool,
        device: &Device,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<GuidanceSpeed> {
        let network = &self.settings().network;
        let generator = Generator::new(network, &mut Init::new(0, "generator", device)).valid();
        // Strength 1 is never reached early, so every step runs.
        let guidance = GuidanceSettings { strength: 1.0, ..Default::default() };
        let seeds: Vec<u64> = (0..self.batch as u64).collect();
        let text = draws::normal(&mut draws::stream(0, "bench.text", 0), network.w_dim);
        let text = text.into_iter().map(|v| v * 10.0).collect::<Vec<_>>();
        let text = Tensor::<3>::from_data(TensorData::new(text, [1, 1, network.w_dim]), device);
        let discriminator =
            Discriminator::new(network, &mut Init::new(0, "discriminator", device)).valid();
        let features = DiscriminatorFeatures::new(&discriminator);
        let perceptual = Perceptual::without_unit(Box::new(features), device);
        let codes = starts(&generator, &seeds, None, 1, guidance.truncation, device);
        let images = render(&generator, codes.clone());
        let once = || -> Result<Guided> {
            let guided = if edit {
                let edit = Edit {
                    generator: &generator,
                    perceptual: &perceptual,
                    settings: &guidance,
                    layers: None,
                    marks: &[],
                };
                let change = Change::To(text.clone());
                edit.run(images.clone(), codes.clone(), &change, |_| true)?
            } else {
                generate(&generator, text.clone(), codes.clone(), &guidance, &[], |_| true)?
            };
            to_vec(render(&generator, guided.codes.clone()));
            Ok(guided)
        };
        let steps = once()?.curve.len() - 1;
        let began = Instant::now();
        for round in 0..self.rounds {
            once()?;
            progress(round as u64 + 1, self.rounds as u64);
        }
        let seconds_per_batch = began.elapsed().as_secs_f64() / self.rounds as f64;
        Ok(GuidanceSpeed { steps, seconds_per_batch })
    }
}

/// Waits until the device has finished all its work.
fn wait(device: &Device) -> Result<()> {
    device.sync().map_err(|e| Error::internal(format!("the device does not respond: {e}")))
}
