//! `cigan bench`: measures the speed of training, generating and editing on this machine.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use clap::{Args, ValueEnum};
use serde_json::json;

use super::common::Common;
use super::terminal::Terminal;
use crate::data::Archive;
use crate::data::synth::{SynthOptions, synth};
use crate::draws;
use crate::error::{Error, Result};
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
use crate::train::peak_mb;
use crate::vision::Perceptual;

/// Iterations of one cycle of the lazy regularisers: R1 every 16, path length every 4.
const CYCLE: usize = 16;
/// Probability of augmentation under `--aug`.
const AUGMENTED: f64 = 0.3;

/// Measure the speed of training, generating or editing with random weights.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
`train` times iterations of stage 1 with two mapping layers, R1 every 16 iterations, path length
regularisation every 4, and the moving average of G. It always times whole rounds of 16 iterations.
`generate` and `edit` time all optimisation steps of a batch of images. A warm-up comes first.

Examples:
  cigan bench train --resolution 32 --channel-base 2048 --channel-max 128 --threads 2
  cigan bench train --resolution 64 --channel-base 4096 --channel-max 128 --aug --json")]
pub struct BenchArgs {
    /// Task to measure.
    #[arg(value_enum)]
    pub work: Work,
    /// Image resolution in pixels.
    #[arg(long, value_name = "N", default_value_t = 32)]
    pub resolution: usize,
    /// Feature maps of a layer, multiplied by its resolution.
    #[arg(long, value_name = "N", default_value_t = 2048)]
    pub channel_base: usize,
    /// Maximum number of feature maps of a layer.
    #[arg(long, value_name = "N", default_value_t = 128)]
    pub channel_max: usize,
    /// Batch size.
    #[arg(long, value_name = "N", default_value_t = 16)]
    pub batch: usize,
    /// Apply all augmentations, each with probability 0.3.
    #[arg(long)]
    pub aug: bool,
    /// Number of rounds of 16 iterations (`train`) or of batches (`generate`, `edit`).
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub rounds: usize,
    /// Print the result as a JSON object.
    #[arg(long)]
    pub json: bool,
}

/// Largest number of rounds.
const MAX_ROUNDS: usize = 1_000_000;

/// The task of `cigan bench`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Work {
    /// Training iterations of stage 1.
    Train,
    /// Generating images from text.
    Generate,
    /// Editing images, with the preservation term.
    Edit,
}

impl BenchArgs {
    fn settings(&self) -> StyleganSettings {
        let mut settings = StyleganSettings::auto(self.resolution, Some(self.batch));
        settings.network.channel_base = self.channel_base;
        settings.network.channel_max = self.channel_max;
        settings.network.mapping_layers = 2;
        settings.round = self.batch;
        settings.r1_interval = 16;
        settings.pl_interval = 4;
        settings.mirror = false;
        settings.augment.mode = if self.aug { AugmentMode::Fixed } else { AugmentMode::None };
        settings.augment.p = AUGMENTED;
        settings
    }
}

pub(super) fn run(args: &BenchArgs, common: &Common, terminal: &mut Terminal) -> Result<()> {
    within("--rounds", args.rounds, 1..=MAX_ROUNDS)?;
    within("--batch", args.batch, 1..=MAX_BATCH)?;
    // The defaults are computed from the resolution, so it is checked before the settings are.
    within("--resolution", args.resolution, 8..=1024)?;
    terminal.exit_when_interrupted();
    let settings = args.settings();
    settings.check()?;
    let opened = common.open_device(terminal)?;
    if opened.is_cpu {
        check_memory(settings.least_memory())?;
    }
    let device = opened.device;
    let mut object = json!({
        "device": opened.name,
        "threads": rayon::current_num_threads(),
        "resolution": args.resolution,
        "channel_base": args.channel_base,
        "channel_max": args.channel_max,
        "batch": args.batch,
    });
    let found = match args.work {
        Work::Train => train(args, settings, common.seed(), &device, terminal)?,
        Work::Generate => guide(args, &settings, &device, false, terminal)?,
        Work::Edit => guide(args, &settings, &device, true, terminal)?,
    };
    if let (Some(object), Some(found)) = (object.as_object_mut(), found.as_object()) {
        object.extend(found.clone());
        object.insert("peak_mb".into(), peak_mb().into());
    }
    if args.json {
        terminal.print(&object.to_string());
    } else {
        let lines = object.as_object().into_iter().flatten().map(|(name, value)| match value {
            serde_json::Value::String(text) => format!("{name:<16}{text}"),
            other => format!("{name:<16}{other}"),
        });
        terminal.print(&lines.collect::<Vec<_>>().join("\n"));
    }
    Ok(())
}

/// Waits until the device has finished all its work.
fn wait(device: &Device) -> Result<()> {
    device.sync().map_err(|e| Error::internal(format!("the device does not respond: {e}")))
}

/// Rounds to four significant digits: more would be noise.
fn rounded(value: f64) -> f64 {
    let digits = 10f64.powf(3.0 - value.abs().max(1e-9).log10().floor());
    (value * digits).round() / digits
}

fn train(
    args: &BenchArgs,
    settings: StyleganSettings,
    seed: u64,
    device: &Device,
    terminal: &mut Terminal,
) -> Result<serde_json::Value> {
    let folder = tempfile::tempdir()
        .map_err(|e| Error::io(std::env::temp_dir(), "create a temporary folder", e))?;
    let out = folder.path().join("birds.zip");
    let resolution = u32::try_from(args.resolution).unwrap_or(u32::MAX);
    let count = 4 * args.batch.max(16);
    synth(
        &SynthOptions {
            out: out.clone(),
            count,
            resolution,
            seed,
            stop: terminal.interrupt().clone(),
        },
        &mut |_| {},
    )?;
    let archive = Arc::new(Archive::open(&out)?);
    let mut trainer = StyleganTrainer::new(settings, seed, archive, device)?;
    // One round to warm up, the timed rounds, and one that waits for the device after each part.
    let total = ((args.rounds + 2) * CYCLE) as u64;
    let mut done = 0;
    let mut cycle = |trainer: &mut StyleganTrainer, after: &mut dyn FnMut(Part) -> Result<()>| {
        for _ in 0..CYCLE {
            trainer.step_in_parts(&mut *after)?;
            done += 1;
            terminal.progress("training", done, total);
        }
        wait(device)
    };
    cycle(&mut trainer, &mut |_| Ok(()))?;
    let began = Instant::now();
    for _ in 0..args.rounds {
        cycle(&mut trainer, &mut |_| Ok(()))?;
    }
    let kimg = (CYCLE * args.batch) as f64 / 1000.0;
    let seconds = began.elapsed().as_secs_f64() / args.rounds as f64 / kimg;
    let mut parts: BTreeMap<Part, f64> = BTreeMap::new();
    let mut last = Instant::now();
    cycle(&mut trainer, &mut |part| {
        wait(device)?;
        *parts.entry(part).or_default() += last.elapsed().as_secs_f64() / kimg;
        last = Instant::now();
        Ok(())
    })?;
    let parts: serde_json::Map<String, serde_json::Value> = Part::ALL
        .into_iter()
        .filter_map(|part| Some((part.name().to_owned(), rounded(*parts.get(&part)?).into())))
        .collect();
    Ok(json!({
        "work": "train",
        "aug": args.aug,
        "iterations": args.rounds * CYCLE,
        "sec_per_kimg": rounded(seconds),
        "parts_sec_per_kimg": parts,
    }))
}

/// Times all steps of Eq. (9) for a batch, including the final images.
fn guide(
    args: &BenchArgs,
    settings: &StyleganSettings,
    device: &Device,
    edit: bool,
    terminal: &mut Terminal,
) -> Result<serde_json::Value> {
    let network = &settings.network;
    let generator = Generator::new(network, &mut Init::new(0, "generator", device)).valid();
    // Strength 1 is never reached early, so every step runs.
    let guidance = GuidanceSettings { strength: 1.0, ..Default::default() };
    let seeds: Vec<u64> = (0..args.batch as u64).collect();
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
    for round in 0..args.rounds {
        once()?;
        terminal.progress("optimising", round as u64 + 1, args.rounds as u64);
    }
    let seconds = began.elapsed().as_secs_f64() / args.rounds as f64;
    Ok(json!({
        "work": if edit { "edit" } else { "generate" },
        "steps": steps,
        "sec_per_batch": rounded(seconds),
        "sec_per_image": rounded(seconds / args.batch as f64),
    }))
}
