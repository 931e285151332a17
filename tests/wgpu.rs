//! The same numbers on a GPU: our kernels on the CPU against what wgpu computes, and all five
//! commands through it.
//!
//! Needs an adapter; a software one will do (Debian: libegl1 libgl1-mesa-dri). Where there is
//! none, the tests say so and pass, unless CIGAN_REQUIRE_GPU is set.
#![cfg(feature = "wgpu")]

mod common;

use std::path::Path;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use cigan::device::{self, Api, Choice};
use cigan::draws;
use cigan::kernels::{self, Activation, Fir, Groups, Sequences, Smooth, Warp};
use cigan::nn::params::{self, NamedGradients, to_vec};
use cigan::nn::{Dual, Init};
use cigan::systems::gan::adversarial;
use cigan::systems::gan::gradient_penalty;
use cigan::systems::stylegan::augment::Transform;
use cigan::systems::stylegan::losses::PathLength;
use cigan::systems::stylegan::{Discriminator, Generator, Noise, StyleganSettings};
use cigan::tensorfile::TensorFile;
use common::program::Cigan;

/// One test at a time: OpenGL's context is current on one thread alone, and a device is opened once
/// in a process.
static ALONE: Mutex<()> = Mutex::new(());
static OPENED: OnceLock<Option<(String, Device)>> = OnceLock::new();

/// The device under test, for the holder of the guard: CIGAN_TEST_DEVICE, or the first of gl and
/// auto that opens. OpenGL comes first because Debian's software Vulkan crashes on SPIR-V of matrix
/// products.
fn gpu() -> Option<(MutexGuard<'static, ()>, String, Device)> {
    let guard = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let (name, device) = OPENED.get_or_init(open).clone()?;
    Some((guard, name, device))
}

fn open() -> Option<(String, Device)> {
    let choices = match std::env::var("CIGAN_TEST_DEVICE") {
        Ok(choice) => vec![choice.parse().expect("CIGAN_TEST_DEVICE is a --device")],
        Err(_) => vec![Choice::Gpu(Api::Gl, None), Choice::Auto],
    };
    for choice in choices {
        match device::open(choice) {
            Ok(opened) if !opened.is_cpu => return Some((choice.to_string(), opened.device)),
            Ok(_) => {}
            Err(error) => eprintln!("{error}"),
        }
    }
    assert!(std::env::var_os("CIGAN_REQUIRE_GPU").is_none(), "no adapter, and one is required");
    eprintln!("skipped: no GPU adapter found, not even a software one");
    None
}

fn random<const D: usize>(name: &str, shape: [usize; D], device: &Device) -> Tensor<D> {
    let values = draws::normal(&mut draws::stream(7, name, 0), shape.iter().product());
    Tensor::from_data(TensorData::new(values, shape), device)
}

#[track_caller]
fn close(name: &str, found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expected.len(), "{name}");
    let scale = expected.iter().fold(1e-12f32, |m, v| m.max(v.abs()));
    let error = found.iter().zip(expected).fold(0f32, |m, (a, b)| m.max((a - b).abs())) / scale;
    assert!(error < tolerance, "{name}: relative difference {error}");
}

/// Values and gradients of an operation on several inputs, on both devices.
fn compare<const N: usize>(
    name: &str,
    gpu: &Device,
    shapes: [&[usize]; N],
    f: impl Fn([Tensor<4>; N]) -> Tensor<4>,
) {
    let run = |device: &Device| -> Vec<Vec<f32>> {
        let inputs: [Tensor<4>; N] = std::array::from_fn(|i| {
            let mut shape = [1; 4];
            shape[..shapes[i].len()].copy_from_slice(shapes[i]);
            random(&format!("{name}.{i}"), shape, device).autodiff().require_grad()
        });
        let out = f(inputs.clone());
        let weight = random(&format!("{name}.r"), out.dims(), device);
        let gradients = (out.clone() * weight).sum().backward();
        let mut found = vec![to_vec(out.inner())];
        found.extend(
            inputs.iter().map(|x| x.grad(&gradients).map_or_else(Vec::new, |g| to_vec(g.inner()))),
        );
        found
    };
    let (expected, found) = (run(&Device::flex()), run(gpu));
    for (i, (found, expected)) in found.iter().zip(&expected).enumerate() {
        close(&format!("{name} [{i}]"), found, expected, 1e-4);
    }
}

#[test]
fn kernels_agree() {
    let Some((_alone, _, device)) = gpu() else { return };
    let (x, w) = ([2, 3, 8, 8].as_slice(), [4, 3, 3, 3].as_slice());
    compare("conv2d", &device, [x, w], |[x, w]| kernels::conv2d(x, w, 1, 1));
    let down = Smooth { taps: [0.125, 0.375, 0.375, 0.125], padding: 2 };
    compare("down", &device, [x, w], |[x, w]| kernels::conv2d_down(x, w, down));
    compare("up", &device, [&[2, 4, 4, 4], w], |[x, w]| kernels::conv2d_up(x, w, down));
    compare("transposed", &device, [&[2, 4, 4, 4], w], |[x, w]| {
        kernels::conv2d_transposed(x, w, 2, 0)
    });
    for (up, down) in [(1, 1), (2, 1), (1, 2)] {
        let taps = [0.1, 0.2, 0.3, 0.4].into();
        let fir = Fir { taps, up, down, pad: [[2, 1]; 2], flip: false, gain: 1.5 };
        compare("upfirdn", &device, [x], |[x]| kernels::upfirdn2d(x, &fir));
    }
    for act in [Activation::LRELU, Activation::LRELU.clamped(Some(0.7)), Activation::LINEAR] {
        compare("bias_act", &device, [x, &[3]], |[x, b]| kernels::bias_act(x, b.reshape([3]), act));
        compare("act_slope", &device, [x, x], |[t, y]| kernels::act_slope(t, y, act));
    }
    compare("scale", &device, [x, &[2, 3]], |[x, s]| kernels::scale_planes(x, s.reshape([2, 3])));
    let groups = Groups { count: 2, eps: 1e-5, act: Activation::LRELU };
    compare("group_norm", &device, [&[2, 4, 8, 8], &[4], &[4]], |[x, weight, bias]| {
        kernels::group_norm(x, weight.reshape([4]), bias.reshape([4]), groups)
    });
    let maps = [[0.9, 0.1, 0.3, -0.2, 1.1, 0.2], [1.2, 0.0, -0.5, 0.1, 0.8, 0.4]];
    let warp = Warp { maps: maps.into(), input: [8, 8], output: [6, 7] };
    compare("warp", &device, [x], |[x]| kernels::warp(x, &warp));
    for backward in [false, true] {
        let sequences = Sequences { lengths: [5, 3, 1].into(), backward };
        compare("lstm", &device, [&[5, 3, 16], &[16, 4]], |[gates, w]| {
            let states = kernels::lstm(gates.reshape([5, 3, 16]), w.reshape([16, 4]), &sequences);
            states.reshape([1, 5, 3, 4])
        });
    }
}

/// Gradients of every phase of stage 1, by parameter.
fn phases(device: &Device) -> Vec<(String, Vec<f32>)> {
    let mut settings = StyleganSettings::auto(16, Some(4));
    let network = &mut settings.network;
    (network.z_dim, network.w_dim) = (8, 8);
    (network.channel_base, network.channel_max) = (64, 4);
    let g = Generator::new(network, &mut Init::new(1, "g", device)).train();
    let d = Discriminator::new(network, &mut Init::new(1, "d", device)).train();
    let transform = Transform::draw(1, "test", 0, 4, 0.8, [16, 16]);
    let shown = |x: Tensor<4>| transform.apply(x.into()).value;
    let noise = g.synthesis.draw_noise(&mut draws::stream(1, "noise", 0), 4, device);
    let z = random("z", [4, 8], device);
    let real = random("real", [4, 3, 16, 16], device);
    let ws = |g: &Generator| {
        let w = g.mapping.forward(Some(z.clone()), None);
        cigan::systems::stylegan::mapping::broadcast(w, g.synthesis.num_ws())
    };
    let mut found = Vec::new();
    let mut keep = |phase: &str, file: &TensorFile, gradients: &NamedGradients| {
        for name in file.tensors.keys() {
            if let Some(gradient) = gradients.get(name) {
                found.push((format!("{phase} {name}"), to_vec(gradient.clone())));
            }
        }
    };
    let (mut g_names, mut d_names) = (TensorFile::default(), TensorFile::default());
    params::collect(&g, "", &mut g_names);
    params::collect(&d, "", &mut d_names);

    let fake = g.synthesis.forward(ws(&g).into(), &noise).value;
    let loss = adversarial::generator(d.valid().apply(shown(fake.clone()), None));
    keep("Gmain", &g_names, &NamedGradients::of(&g, &loss.backward()));
    let loss = adversarial::discriminator_fake(d.apply(shown(fake.inner()), None))
        + adversarial::discriminator_real(d.apply(shown(real.clone()), None));
    keep("Dmain", &d_names, &NamedGradients::of(&d, &loss.backward()));
    let r1 = gradient_penalty::R1::new(&d, real, 10.0, |d, x: Dual<4>| {
        d.forward(transform.apply(x), None)
    });
    keep("Dreg", &d_names, &NamedGradients::of(&d, &r1.surrogate.backward()));
    let step = PathLength { weight: 2.0, decay: 0.01 }.step(
        &g.synthesis,
        &g.synthesis.valid(),
        ws(&g),
        &noise,
        random("y", [4, 3, 16, 16], device) / 16.0,
        Tensor::zeros([1], device),
    );
    keep("Greg", &g_names, &NamedGradients::of(&g, &step.surrogate.backward()));
    let image = g.valid().synthesize(ws(&g.valid()), &Noise::Const);
    found.push(("image".into(), to_vec(image)));
    found
}

#[test]
fn every_phase_agrees() {
    let Some((_alone, _, device)) = gpu() else { return };
    let (expected, found) = (phases(&Device::flex()), phases(&device));
    assert!(expected.len() > 60, "only {} tensors were compared", expected.len());
    for ((name, expected), (_, found)) in expected.iter().zip(&found) {
        let size = expected.iter().fold(0f32, |m, v| m.max(v.abs()));
        if size > 1e-8 {
            close(name, found, expected, 1e-3);
        }
    }
}

/// The five commands of the design at a tiny size.
#[test]
fn the_five_commands_run() {
    let Some((_alone, name, _)) = gpu() else { return };
    let cigan = Cigan::on(&name);
    let data = cigan.synth(16, 8);
    let stylegan = cigan.train(&["train-stylegan", "--data", &data], "0.016").display().to_string();
    let inverted = cigan
        .train(&["invert", "--data", &data, "--model", &stylegan], "0.008")
        .display()
        .to_string();
    let model = cigan
        .train(&["align-text", "--data", &data, "--model", &inverted], "0.032")
        .display()
        .to_string();
    let out = cigan.path("generated");
    let text = "a bird with a red crown";
    let generate = ["generate", "--model", &model, "--text", text, "--seeds", "0-1", "--out", &out];
    cigan.run(&generate).ok();
    // The CPU draws the same pictures from the same model.
    let on_cpu = cigan.path("on-cpu");
    let words = [
        "--device",
        "cpu",
        "sample",
        "--model",
        &model,
        "--seeds",
        "0-1",
        "--format",
        "safetensors",
        "--out",
        &on_cpu,
    ];
    cigan.run(&words).ok();
    let on_gpu = cigan.path("on-gpu");
    cigan.run(&[&["--device", &name][..], &words[2..9], &["--out", &on_gpu]].concat()).ok();
    let images = |folder: &str| {
        let file = TensorFile::read(Path::new(folder).join("images.safetensors")).unwrap();
        file.tensor("images").unwrap().to_f32()
    };
    let (gpu, cpu) = (images(&on_gpu), images(&on_cpu));
    let worst = gpu.iter().zip(&cpu).fold(0f32, |m, (a, b)| m.max((a - b).abs()));
    assert!(worst < 1e-3, "pictures differ by {worst}");
    let photo = format!("{out}/seed0000.png");
    let edited = cigan.path("edited");
    cigan
        .run(&[
            "edit", "--model", &model, "--image", &photo, "--text", text, "--steps", "2", "--out",
            &edited,
        ])
        .ok();
    assert!(Path::new(&edited).join("seed0000-edited.png").is_file());
}
