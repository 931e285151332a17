//! The kernels that a training iteration launches on a GPU, counted on wgpu's noop backend, which
//! accepts everything and computes nothing.
//!
//! The bound is the count at the time of writing, rounded up a little. A change that needs more
//! launches must say why; one that needs fewer should lower the bound. `CIGAN_LAUNCHES=1` prints
//! the table of `docs/PERFORMANCE.md` and every kernel's share; `CIGAN_LAUNCHES_PRESET=small256`
//! counts another preset, without a bound, and `CIGAN_LAUNCHES_ROUND=32` rounds of another size.
#![cfg(feature = "noop")]

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use burn::tensor::wgpu::{WgpuSetup, wgpu};
use burn::tensor::{Device, Tensor};
use cigan::data::Archive;
use cigan::data::synth::{SynthOptions, synth};
use cigan::interrupt::Interrupt;
use cigan::kernels::{self, KeptWeights};
use cigan::model::Model;
use cigan::nn::Init;
use cigan::settings::Layers;
use cigan::systems::cigan::inversion::codes::Codes;
use cigan::systems::cigan::inversion::train::InversionTrainer;
use cigan::systems::cigan::inversion::{Encoder, InversionSettings};
use cigan::systems::cigan::text::TextSettings;
use cigan::systems::cigan::text::train::TextTrainer;
use cigan::systems::gan::AdversarialLoss;
use cigan::systems::stylegan::precision::Precision;
use cigan::systems::stylegan::section::load_discriminator;
use cigan::systems::stylegan::settings::AugmentMode;
use cigan::systems::stylegan::train::{Part, StyleganTrainer};
use cigan::systems::stylegan::{
    DiscriminatorFeatures, NetworkSettings, STYLEGAN, StyleganSettings,
};
use cigan::train::Trainer;
use cigan::vision::{Features, Perceptual};
use cubecl::logging::{LaunchObservation, LaunchObserver};

/// The most launches of an iteration of small64 with the non-saturating loss, over the schedule of
/// its regularisers.
const BOUND: f64 = 490.0;
/// The same in mixed precision.
const MIXED_BOUND: f64 = 520.0;

/// The most launches of a step of stage 2.
const INVERSION_BOUND: f64 = 982.0;
/// The most launches of a step of stage 3.
const TEXT_BOUND: f64 = 332.0;
/// The most bytes that an iteration of small64 binds, over the schedule of its regularisers, in f32 and in
/// mixed precision, and the most uploads.
const MOST_BOUND: [f64; 2] = [5.1e9, 2.9e9];
const MOST_UPLOADS: f64 = 2.0;
/// Bytes in which the sizes of any launch are written.
const LAUNCH_SIZES: u64 = 1024;

/// One test at a time: launches are observed in the whole process.
static ALONE: Mutex<()> = Mutex::new(());

/// Launches by kernel.
#[derive(Default)]
struct Launches(Mutex<BTreeMap<&'static str, usize>>);

impl LaunchObserver for Launches {
    fn launched(&self, kernel: &'static str) {
        *self.0.lock().unwrap().entry(kernel).or_default() += 1;
    }
}

/// A device of the noop backend with the limits of a desktop GPU, whose work is recorded in a folder.
fn noop(trace: wgpu::Trace) -> Device {
    let limits = wgpu::Limits {
        max_buffer_size: 1 << 31,
        max_storage_buffer_binding_size: (1 << 31) - 4,
        max_compute_workgroup_storage_size: 48 << 10,
        max_compute_invocations_per_workgroup: 1024,
        max_compute_workgroup_size_x: 1024,
        max_compute_workgroup_size_y: 1024,
        max_storage_buffers_per_shader_stage: 64,
        max_buffers_and_acceleration_structures_per_shader_stage: 96,
        ..wgpu::Limits::default()
    };
    let features = wgpu::Features::SHADER_F16 | wgpu::Features::SUBGROUP;
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends = wgpu::Backends::NOOP;
    descriptor.backend_options.noop = wgpu::NoopBackendOptions {
        enable: true,
        limits: Some(limits.clone()),
        features: Some(features),
        device_type: Some(wgpu::DeviceType::DiscreteGpu),
        ..Default::default()
    };
    let instance = wgpu::Instance::new(descriptor);
    let adapter = pollster::block_on(instance.enumerate_adapters(wgpu::Backends::NOOP)).remove(0);
    let (device, queue) = pollster::block_on(adapter.request_device(&wgpu::DeviceDescriptor {
        required_features: features,
        required_limits: limits,
        trace,
        ..Default::default()
    }))
    .unwrap();
    let setup = WgpuSetup { instance, adapter, device, queue, backend: wgpu::Backend::Noop };
    Device::wgpu_options().setup(setup).init().unwrap()
}

/// The work of one part of an iteration.
#[derive(Default)]
struct Counted {
    /// Launches by kernel.
    launches: BTreeMap<&'static str, usize>,
    traffic: Traffic,
}

/// What wgpu was asked to do.
#[derive(Default, Debug)]
struct Traffic {
    /// Bytes of the buffers that launches bind: an upper bound of what they read and write.
    bound: u64,
    /// Writes from the host to buffers that hold more than the sizes of a launch.
    uploads: u64,
    /// Copies between buffers, with which a read by the host begins.
    copies: u64,
}

/// The record that wgpu keeps of a device's work.
struct Trace {
    file: PathBuf,
    /// Bytes that have been read.
    seen: u64,
}

impl Trace {
    /// The work since the last call. The device must have been flushed.
    fn take(&mut self) -> Traffic {
        let mut file = File::open(&self.file).unwrap();
        file.seek(SeekFrom::Start(self.seen)).unwrap();
        let mut text = String::new();
        self.seen += file.read_to_string(&mut text).unwrap() as u64;
        let number = |line: &str, before: &str, after: &str| -> Option<u64> {
            let (_, rest) = line.split_once(before)?;
            rest.split_once(after)?.0.parse().ok()
        };
        let mut traffic = Traffic::default();
        // An action begins in the first column.
        let mut action = "";
        for line in text.lines() {
            if line.starts_with(char::is_alphabetic) {
                action = line.split(['(', ' ']).next().unwrap_or_default();
            }
            let line = line.trim_start();
            match action {
                "CreateBindGroup" => {
                    traffic.bound += number(line, "size: Some(", ")").unwrap_or(0);
                }
                "WriteBuffer" => {
                    let size = number(line, "size: ", ",").unwrap_or(0);
                    traffic.uploads += u64::from(size > LAUNCH_SIZES);
                }
                "Submit" if line.starts_with("CopyBufferToBuffer") => traffic.copies += 1,
                _ => {}
            }
        }
        traffic
    }
}

/// An archive of synthetic birds.
fn birds(folder: &Path, count: usize, resolution: u32) -> Arc<Archive> {
    let out = folder.join("birds.zip");
    let stop = Interrupt::manual();
    let options = SynthOptions { out: out.clone(), count, resolution, seed: 1, stop };
    synth(&options, &mut |_| {}).unwrap();
    Arc::new(Archive::open(&out).unwrap())
}

/// A device and the record of its work.
fn recorded(folder: &Path) -> (Device, Trace) {
    let folder = folder.join("trace");
    std::fs::create_dir(&folder).unwrap();
    let device = noop(wgpu::Trace::Directory(folder.clone()));
    (device, Trace { file: folder.join("trace.ron"), seen: 0 })
}

/// The launches of the parts of an iteration, without augmentation.
fn count(preset: &str, precision: Precision) -> BTreeMap<Part, Counted> {
    let resolution = preset.trim_start_matches(char::is_alphabetic).parse().unwrap();
    let layers = Layers::new().preset(preset).unwrap();
    let mut settings: StyleganSettings =
        layers.resolve("stylegan", &StyleganSettings::auto(resolution, None)).unwrap();
    settings.augment.mode = AugmentMode::None;
    settings.precision = precision;
    // The bounds were measured with the non-saturating loss, which all presets used at the time.
    (settings.loss, settings.r2_gamma) = (AdversarialLoss::NonSaturating, 0.0);
    if let Ok(round) = std::env::var("CIGAN_LAUNCHES_ROUND") {
        settings.round = round.parse().unwrap();
    }
    // Not by chance: every phase mixes styles.
    settings.style_mixing = 1.0;
    let folder = tempfile::tempdir().unwrap();
    let archive = birds(folder.path(), settings.batch, resolution as u32);
    let (device, mut trace) = recorded(folder.path());
    let mut trainer = StyleganTrainer::new(settings, 1, archive, &device).unwrap();
    let launches = Arc::new(Launches::default());
    let watching = LaunchObservation::new(launches.clone());
    let mut parts = BTreeMap::new();
    // The first iteration has all parts; the second one has the parts of every iteration, now
    // without the first step's preparations.
    for _ in 0..2 {
        device.sync().unwrap();
        launches.0.lock().unwrap().clear();
        trace.take();
        trainer
            .step_in_parts(|part| {
                let launches = std::mem::take(&mut *launches.0.lock().unwrap());
                device.sync().unwrap();
                parts.insert(part, Counted { launches, traffic: trace.take() });
                Ok(())
            })
            .unwrap();
    }
    drop(watching);
    parts
}

/// The mean of an iteration, over the schedule of the regularisers.
fn mean(parts: &BTreeMap<Part, Counted>, of: impl Fn(&Counted) -> f64) -> f64 {
    parts
        .iter()
        .map(|(part, counted)| match part {
            Part::GRegular => of(counted) / 4.0,
            Part::DRegular => of(counted) / 16.0,
            _ => of(counted),
        })
        .sum()
}

fn total(counted: &Counted) -> f64 {
    counted.launches.values().sum::<usize>() as f64
}

fn report(title: &str, parts: &BTreeMap<Part, Counted>) {
    let mut lines = vec![format!("{title}: launches")];
    for (part, counted) in parts {
        lines.push(format!("  {:<8} {:>8}", part.name(), total(counted)));
    }
    lines.push(format!("  {:<8} {:>8.0}", "mean", mean(parts, total)));
    lines.push(format!(
        "  bound: {:.2} GB; uploads: {:.1}; copies between buffers: {:.1}",
        mean(parts, |counted| counted.traffic.bound as f64) / 1e9,
        mean(parts, |counted| counted.traffic.uploads as f64),
        mean(parts, |counted| counted.traffic.copies as f64),
    ));
    let mut kernels: BTreeMap<&str, f64> = BTreeMap::new();
    for name in parts.values().flat_map(|counted| counted.launches.keys()) {
        let of = |counted: &Counted| counted.launches.get(name).copied().unwrap_or(0) as f64;
        kernels.insert(name, mean(parts, of));
    }
    let mut kernels: Vec<_> = kernels.into_iter().collect();
    kernels.sort_by(|a, b| b.1.total_cmp(&a.1));
    lines.push(format!(
        "  {:>8} in {}",
        "mean",
        parts.keys().map(|p| p.name()).collect::<Vec<_>>().join(", ")
    ));
    lines.extend(kernels.iter().take(40).map(|(name, count)| {
        let of_part = |counted: &Counted| counted.launches.get(name).copied().unwrap_or(0);
        let each: Vec<String> =
            parts.values().map(|counted| format!("{:>5}", of_part(counted))).collect();
        format!("  {count:>8.1} {} {name}", each.join(" "))
    }));
    eprintln!("{}", lines.join("\n"));
}

#[test]
fn an_iteration_stays_within_its_bounds() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let other = std::env::var("CIGAN_LAUNCHES_PRESET").ok();
    let preset = other.as_deref().unwrap_or("small64");
    let cases = [(Precision::F32, BOUND), (Precision::Mixed, MIXED_BOUND)];
    for ((precision, bound), most) in cases.into_iter().zip(MOST_BOUND) {
        let parts = count(preset, precision);
        if std::env::var_os("CIGAN_LAUNCHES").is_some() || other.is_some() {
            report(&format!("{preset}, {precision:?}"), &parts);
        }
        if other.is_none() {
            let launches = mean(&parts, total);
            assert!(launches < bound, "{precision:?}: {launches} launches");
            let bytes = mean(&parts, |counted| counted.traffic.bound as f64);
            // A record that cannot be read would have none.
            assert!((1e9..most).contains(&bytes), "{precision:?}: {bytes} bytes");
            let uploads = mean(&parts, |counted| counted.traffic.uploads as f64);
            assert!((1.0..MOST_UPLOADS).contains(&uploads), "{precision:?}: {uploads} uploads");
            assert_eq!(mean(&parts, |counted| counted.traffic.copies as f64), 0.0, "host reads");
        }
    }
}

/// A convolution with so many results that its weights are copied into another order.
#[test]
fn kept_weights_are_arranged_once() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let device = noop(wgpu::Trace::Off);
    let tensor = |shape| Tensor::<4>::zeros(shape, &device);
    let (x, w) = (tensor([1, 3, 1203, 1210]), tensor([4, 3, 3, 3]));
    let launches = Arc::new(Launches::default());
    let watching = LaunchObservation::new(launches.clone());
    let arranged = || {
        launches.0.lock().unwrap().clear();
        for _ in 0..3 {
            let _ = kernels::conv2d(x.clone(), w.clone(), 1, 1);
        }
        let counted = launches.0.lock().unwrap();
        counted.iter().filter(|(name, _)| name.contains("arrange")).map(|(_, n)| n).sum::<usize>()
    };
    let kept = KeptWeights::new();
    assert_eq!([arranged(), arranged()], [1, 0], "kept");
    drop(kept);
    assert_eq!(arranged(), 3, "not kept");
    drop(watching);
}

/// A step of stages 2 and 3 with the sizes of small32, except that codes have 512 numbers, with which
/// the bounds were measured; the first step prepares what later ones use.
#[test]
fn steps_of_later_stages_stay_within_their_bounds() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().unwrap();
    let archive = birds(folder.path(), 80, 32);
    let (device, mut trace) = recorded(folder.path());
    let layers = Layers::new().preset("small32").unwrap();
    let layers =
        layers.set("stylegan.network.z_dim", 512_i64).set("stylegan.network.w_dim", 512_i64);
    let stylegan = layers.resolve("stylegan", &StyleganSettings::auto(32, None)).unwrap();
    let mut first = StyleganTrainer::new(stylegan, 1, archive.clone(), &device).unwrap();
    let base = Model::from_file(first.model().unwrap(), "base");
    let inversion: InversionSettings =
        layers.resolve("inversion", &InversionSettings::default()).unwrap();
    let network: NetworkSettings = base.settings(&STYLEGAN).unwrap();
    let init = &mut Init::new(1, "encoder", &device);
    let encoder = Encoder::new(&inversion.network, &network, init);
    let codes = Codes::encode(&archive, &encoder, &device, |_| Ok(())).unwrap();
    let features = DiscriminatorFeatures::new(&load_discriminator(&base, &device).unwrap());
    let image = Tensor::zeros([1, 3, 32, 32], &device);
    let units = vec![0.7; features.extract(image).len()];
    let perceptual = Perceptual::with_units(Box::new(features), units, &device).unwrap();
    let second =
        InversionTrainer::new(inversion, 1, archive.clone(), base.clone(), perceptual, &device);
    let text: TextSettings = layers.resolve("text", &TextSettings::default()).unwrap();
    let third = TextTrainer::new(text, 1, archive, codes, base, &device);
    let mut second = second.unwrap();
    let mut third = third.unwrap();
    // Launches and bytes at most; uploads and reads by the host.
    type Stage<'a> = (&'a str, &'a mut dyn FnMut(), f64, u64, (u64, u64));
    let stages: [Stage; 2] = [
        ("stage 2", &mut || second.step().unwrap(), INVERSION_BOUND, 2_800_000_000, (2, 0)),
        ("stage 3", &mut || third.step().unwrap(), TEXT_BOUND, 2_300_000_000, (5, 0)),
    ];
    for (name, step, bound, most, host) in stages {
        step();
        device.sync().unwrap();
        trace.take();
        let launches = Arc::new(Launches::default());
        let watching = LaunchObservation::new(launches.clone());
        step();
        let launches = std::mem::take(&mut *launches.0.lock().unwrap());
        drop(watching);
        device.sync().unwrap();
        let parts = BTreeMap::from([(Part::GMain, Counted { launches, traffic: trace.take() })]);
        if std::env::var_os("CIGAN_LAUNCHES").is_some() {
            report(name, &parts);
        }
        let launches = mean(&parts, total);
        assert!(launches < bound, "{name}: {launches} launches");
        let Traffic { bound, uploads, copies } = parts[&Part::GMain].traffic;
        assert!((1_000_000_000..most).contains(&bound), "{name}: {bound} bytes");
        assert_eq!((uploads, copies), host, "{name}: uploads and host reads");
    }
}
