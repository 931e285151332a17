//! The kernels that a training iteration launches on a GPU, counted on wgpu's noop backend, which
//! accepts everything and computes nothing.
//!
//! The bound is the count at the time of writing, rounded up a little. A change that needs more
//! launches must say why; one that needs fewer should lower the bound. `CIGAN_LAUNCHES=1` prints
//! the table of `docs/PERFORMANCE.md` and every kernel's share; `CIGAN_LAUNCHES_PRESET=small256`
//! counts another preset, without a bound.
#![cfg(feature = "noop")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use burn::tensor::wgpu::{WgpuSetup, wgpu};
use burn::tensor::{Device, Tensor};
use cigan::data::Archive;
use cigan::data::synth::{SynthOptions, synth};
use cigan::interrupt::Interrupt;
use cigan::kernels::{self, KeptWeights};
use cigan::settings::Layers;
use cigan::systems::stylegan::StyleganSettings;
use cigan::systems::stylegan::settings::AugmentMode;
use cigan::systems::stylegan::train::{Part, StyleganTrainer};
use cubecl::logging::{LaunchObservation, LaunchObserver};

/// The most launches of an iteration of small64, over the schedule of its regularisers.
const BOUND: f64 = 506.0;

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

/// A device of the noop backend with the limits of a desktop GPU.
fn noop() -> Device {
    let limits = wgpu::Limits {
        max_buffer_size: 1 << 31,
        max_storage_buffer_binding_size: (1 << 31) - 4,
        max_compute_workgroup_storage_size: 48 << 10,
        max_compute_invocations_per_workgroup: 1024,
        max_compute_workgroup_size_x: 1024,
        max_compute_workgroup_size_y: 1024,
        max_storage_buffers_per_shader_stage: 64,
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
        ..Default::default()
    }))
    .unwrap();
    let setup = WgpuSetup { instance, adapter, device, queue, backend: wgpu::Backend::Noop };
    Device::wgpu_options().setup(setup).init().unwrap()
}

/// Launches of one part of an iteration, by kernel.
type Counted = BTreeMap<&'static str, usize>;

/// The launches of the parts of an iteration, without augmentation.
fn count(preset: &str) -> BTreeMap<Part, Counted> {
    let resolution = preset.trim_start_matches(char::is_alphabetic).parse().unwrap();
    let layers = Layers::new().preset(preset).unwrap();
    let mut settings: StyleganSettings =
        layers.resolve("stylegan", &StyleganSettings::auto(resolution, None)).unwrap();
    settings.augment.mode = AugmentMode::None;
    // Not by chance: every phase mixes styles.
    settings.style_mixing = 1.0;
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("birds.zip");
    let options = SynthOptions {
        out: out.clone(),
        count: settings.batch,
        resolution: resolution as u32,
        seed: 1,
        stop: Interrupt::manual(),
    };
    synth(&options, &mut |_| {}).unwrap();
    let archive = Arc::new(Archive::open(&out).unwrap());
    let mut trainer = StyleganTrainer::new(settings, 1, archive, &noop()).unwrap();
    let launches = Arc::new(Launches::default());
    let watching = LaunchObservation::new(launches.clone());
    let mut parts = BTreeMap::new();
    // The first iteration has all parts; the second one has the parts of every iteration, now
    // without the first step's preparations.
    for _ in 0..2 {
        launches.0.lock().unwrap().clear();
        trainer
            .step_in_parts(|part| {
                parts.insert(part, std::mem::take(&mut *launches.0.lock().unwrap()));
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
    counted.values().sum::<usize>() as f64
}

fn report(preset: &str, parts: &BTreeMap<Part, Counted>) {
    let mut lines = vec![format!("{preset}: launches")];
    for (part, counted) in parts {
        lines.push(format!("  {:<8} {:>8}", part.name(), total(counted)));
    }
    lines.push(format!("  {:<8} {:>8.0}", "mean", mean(parts, total)));
    let mut kernels: BTreeMap<&str, f64> = BTreeMap::new();
    for name in parts.values().flat_map(BTreeMap::keys) {
        let of = |counted: &Counted| counted.get(name).copied().unwrap_or(0) as f64;
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
        let of_part = |counted: &Counted| counted.get(name).copied().unwrap_or(0);
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
    let parts = count(preset);
    if std::env::var_os("CIGAN_LAUNCHES").is_some() || other.is_some() {
        report(preset, &parts);
    }
    if other.is_none() {
        let launches = mean(&parts, total);
        assert!(launches < BOUND, "{launches} launches");
    }
}

/// A convolution with so many results that its weights are copied into another order.
#[test]
fn kept_weights_are_arranged_once() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let device = noop();
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
