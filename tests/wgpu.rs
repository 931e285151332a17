//! The same numbers on a GPU: our kernels on the CPU against what wgpu computes, and all five
//! commands through it.
//!
//! Needs an adapter; a software one will do (Debian: libegl1 libgl1-mesa-dri). Without one, the
//! tests print a message and pass, unless CIGAN_REQUIRE_GPU is set. CIGAN_TEST_DEVICE=wgpu takes
//! Mesa's software Vulkan (mesa-vulkan-drivers) in a build without the feature `vulkan`.
#![cfg(feature = "wgpu")]

mod common;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use burn::module::Module;
use burn::tensor::{DType, Device, Tensor, TensorData};
use cigan::data::Archive;
use cigan::data::synth::{SynthOptions, synth};
use cigan::device::{self, Api, Choice};
use cigan::draws;
use cigan::interrupt::Interrupt;
use cigan::kernels::{
    self, Activation, AdamStep, Affine, Conv, Fir, Groups, Sequences, Smooth, Warp,
};
use cigan::nn::half::limited;
use cigan::nn::packed;
use cigan::nn::params::{self, NamedGradients, to_vec};
use cigan::nn::{Dual, Init};
use cigan::systems;
use cigan::systems::gan::adversarial;
use cigan::systems::gan::gradient_penalty;
use cigan::systems::stylegan::augment::Transform;
use cigan::systems::stylegan::losses::{PathGradient, PathLength};
use cigan::systems::stylegan::precision::Precision;
use cigan::systems::stylegan::settings::{AugmentMode, AugmentSettings};
use cigan::systems::stylegan::train::StyleganTrainer;
use cigan::systems::stylegan::{Discriminator, Generator, Noise, StyleganSettings};
use cigan::tensorfile::TensorFile;
use cigan::train::Trainer;
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
    assert_eq!(found.len(), expected.len(), "{name}");
    for (i, (found, expected)) in found.iter().zip(&expected).enumerate() {
        close(&format!("{name} [{i}]"), found, expected, 1e-4);
    }
}

/// Convolutions at sizes that fill no tile, with strides, filters and factors, in both orders of the
/// weight; and some that fill several tiles and divide their sums.
#[test]
fn convolutions_agree() {
    let Some((_alone, _, device)) = gpu() else { return };
    // Batch, channels in and out, height and width.
    let sizes = [
        [2, 3, 4, 8, 8],
        [1, 1, 1, 1, 1],
        [3, 5, 7, 9, 6],
        [1, 17, 70, 5, 3],
        [2, 130, 33, 4, 4],
        [5, 3, 66, 21, 13],
    ];
    for [n, i, o, h, w] in sizes {
        let name = |kind: &str| format!("{kind} {n} {i}→{o} {h}×{w}");
        let x = [n, i, h, w];
        for kernel in [1, 3] {
            let weight = [o, i, kernel, kernel];
            let padding = kernel / 2;
            compare(&name("conv2d"), &device, [&x, &weight], |[x, w]| {
                kernels::conv2d(x, w, 1, padding)
            });
            compare(&name("modulated"), &device, [&x, &[n, i], &weight], |[x, s, w]| {
                kernels::modulated_conv2d(x, s.reshape([n, i]), w, 1, padding)
            });
            if h >= kernel && w >= kernel {
                compare(&name("strided"), &device, [&x, &weight], |[x, w]| {
                    kernels::conv2d(x, w, 2, 0)
                });
            }
            let back = [i, o, kernel, kernel];
            compare(&name("transposed"), &device, [&x, &back], |[x, w]| {
                kernels::conv2d_transposed(x, w, 2, 0)
            });
            compare(&name("transposed, stride 1"), &device, [&x, &back], |[x, w]| {
                kernels::conv2d_transposed(x, w, 1, padding)
            });
        }
        let smooth = Smooth { taps: [0.125, 0.375, 0.375, 0.125], padding: 2 };
        let weight = [o, i, 3, 3];
        if h >= 3 && w >= 3 {
            compare(&name("down"), &device, [&x, &weight], |[x, w]| {
                kernels::conv2d_down(x, w, smooth)
            });
        }
        compare(&name("up"), &device, [&x, &[i, o, 3, 3]], |[x, w]| {
            kernels::conv2d_up(x, w, smooth)
        });
        compare(&name("modulated up"), &device, [&x, &[n, i], &weight], |[x, s, w]| {
            kernels::modulated_conv2d_up(x, s.reshape([n, i]), w, smooth)
        });
    }
}

/// Linear layers, demodulation, and convolutions with bias and activation.
#[test]
fn layers_agree() {
    let Some((_alone, _, device)) = gpu() else { return };
    let act = Activation::LRELU.clamped(Some(0.9)).gained(0.7);
    for [n, i, o] in [[1, 1, 1], [5, 3, 7], [16, 70, 33], [3, 600, 130]] {
        let name = |kind: &str| format!("{kind} {n} {i}→{o}");
        for act in [act, Activation::LINEAR] {
            // Sums of about 1: errors of longer ones reach the kinks of the activation.
            let affine = Affine { gain: 0.9 / (i as f32).sqrt(), bias_gain: 0.5, act };
            compare(&name("linear"), &device, [&[n, i], &[o, i], &[o]], |[x, w, b]| {
                let (x, w) = (x.reshape([n, i]), w.reshape([o, i]));
                kernels::linear(x, w, b.reshape([o]), affine).reshape([n, o, 1, 1])
            });
        }
        compare(&name("product"), &device, [&[n, i], &[o, i]], |[x, w]| {
            kernels::product(x.reshape([n, i]), w.reshape([o, i]), -0.6).reshape([n, o, 1, 1])
        });
        for k in [1, 3] {
            let shapes: [&[usize]; 3] = [&[o, i, k, k], &[n, i], &[n, i]];
            compare(&name("demodulation"), &device, shapes, |[w, s, _]| {
                demodulated(vec![w], vec![s.reshape([n, i])], vec![])
            });
            compare(&name("demodulation with tangents"), &device, shapes, |[w, s, t]| {
                demodulated(vec![w], vec![s.reshape([n, i])], vec![t.reshape([n, i])])
            });
        }
        let gain = 0.4 / (i as f32).sqrt();
        let conv = Conv::new([6, 5], 3, 1, 1).gained(gain);
        let smooth = Smooth { taps: [0.125, 0.375, 0.375, 0.125], padding: 2 };
        let down = Conv::down([6, 5], 3, smooth).gained(gain);
        let shapes: [&[usize]; 3] = [&[n, i, 6, 5], &[o, i, 3, 3], &[n, o, 6, 5]];
        compare(&name("convolve_add"), &device, shapes, |[x, w, other]| {
            kernels::convolve_add(x, w, other, conv, None)
        });
        let shapes: [&[usize]; 5] = [&[n, i, 6, 5], &[n, i], &[o, i, 1, 1], &[o], &[n, o, 6, 5]];
        compare(&name("modulated_add"), &device, shapes, |[x, s, w, b, other]| {
            let conv = Conv::new([6, 5], 1, 1, 0);
            let (s, b) = (s.reshape([n, i]), b.reshape([o]));
            kernels::modulated_conv2d_add(x, s, w, b, other, conv, None)
        });
        // The other tensor is brought from 3×3 to 6×5.
        let fir = Fir {
            taps: smooth.taps.into(),
            up: 2,
            down: 1,
            pad: [[2, 1], [2, 0]],
            flip: false,
            gain: 4.0,
        };
        let shapes: [&[usize]; 3] = [&[n, i, 6, 5], &[o, i, 3, 3], &[n, o, 3, 3]];
        compare(&name("convolve_add, resampled"), &device, shapes, |[x, w, other]| {
            kernels::convolve_add(x, w, other, conv, Some(&fir))
        });
        let shapes: [&[usize]; 5] = [&[n, i, 6, 5], &[n, i], &[o, i, 1, 1], &[o], &[n, o, 3, 3]];
        compare(&name("modulated_add, resampled"), &device, shapes, |[x, s, w, b, other]| {
            let conv = Conv::new([6, 5], 1, 1, 0);
            let (s, b) = (s.reshape([n, i]), b.reshape([o]));
            kernels::modulated_conv2d_add(x, s, w, b, other, conv, Some(&fir))
        });
        let half = Fir { up: 1, down: 2, gain: 1.0, ..fir };
        for conv in [conv, down] {
            let shapes: [&[usize]; 3] = [&[n, i, 6, 5], &[o, i, 3, 3], &[o]];
            compare(&name("convolve_act_beside"), &device, shapes, |[x, w, b]| {
                let found = kernels::convolve_act_beside(x, w, b.reshape([o]), conv, act, &half);
                in_a_row(found.map(|part| part.reshape([-1])).to_vec())
            });
        }
        for (conv, act) in [(conv, act), (down, act), (conv, Activation::LINEAR)] {
            let shapes: [&[usize]; 3] = [&[n, i, 6, 5], &[o, i, 3, 3], &[o]];
            compare(&name("convolve_act"), &device, shapes, |[x, w, b]| {
                kernels::convolve_act(x, w, b.reshape([o]), conv, act)
            });
        }
    }
}

/// Modulated convolutions with noise, bias and activation, at once: with sums that are divided and sums
/// that are not, with noise for each image and for all, and with gradients in parts.
#[test]
fn layers_with_noise_agree() {
    let Some((_alone, _, device)) = gpu() else { return };
    let smooth = Smooth { taps: [0.25, 0.75, 0.75, 0.25], padding: 2 };
    // The sums of the third have more than one part, and so have the planes of the last one.
    let sizes = [[2, 3, 4, 6, 5], [3, 20, 70, 5, 9], [2, 260, 33, 4, 4], [2, 3, 2, 96, 90]];
    for [n, i, o, h, width] in sizes {
        for up in [false, true] {
            let conv = match up {
                true => Conv { swapped: true, ..Conv::up([h, width], 3, smooth) },
                false => Conv::new([h, width], 3, 1, 1),
            };
            let [oh, ow] = if up { conv.input } else { conv.output() };
            for images in [n, 1] {
                for parts in [false, true] {
                    let name = format!("with noise {n} {i}→{o} {h}×{width} {up} {images} {parts}");
                    let shapes: [&[usize]; 6] = [
                        &[n, i, h, width],
                        &[n, i],
                        &[o, i, 3, 3],
                        &[images, 1, oh, ow],
                        &[1],
                        &[o],
                    ];
                    compare(&name, &device, shapes, |[x, s, w, noise, strength, b]| {
                        let mut found =
                            kernels::demodulation(vec![w], vec![s.reshape([n, i])], vec![]);
                        let mut own = vec![strength.reshape([1]), b.reshape([o])];
                        if parts {
                            (_, own) = kernels::together(vec![], own);
                        }
                        let operands = kernels::WithNoise {
                            bias: own.remove(1),
                            strength: own.remove(0),
                            scale: found.y.remove(0),
                            noise,
                        };
                        let (s, w) = (found.s.remove(0), found.w.remove(0));
                        let conv = Conv { parts, ..conv };
                        kernels::modulated_noise_act(x, s, w, operands, conv, up, Activation::LRELU)
                    });
                }
            }
        }
    }
}

/// Gradients in parts of weights and biases, each of one convolution and that of its tangent.
#[test]
fn gradients_in_parts_agree() {
    let Some((_alone, _, device)) = gpu() else { return };
    let smooth = Smooth { taps: [0.125, 0.375, 0.375, 0.125], padding: 2 };
    for [n, i, o, h, width] in [[1, 2, 3, 4, 5], [2, 3, 33, 65, 50], [3, 40, 70, 19, 22]] {
        for conv in [Conv::new([h, width], 3, 1, 1), Conv::down([h, width], 3, smooth)] {
            let conv = conv.gained(0.3).in_parts();
            let name = format!("in parts {n} {i}→{o} {h}×{width} {}", conv.stride);
            let x = [n, i, h, width];
            let shapes: [&[usize]; 5] = [&x, &x, &[o, i, 3, 3], &[o], &[o, o, 1, 1]];
            compare(&name, &device, shapes, |[x, t, w, b, last]| {
                let (mut w, mut b) = kernels::together(vec![w, last], vec![b.reshape([o])]);
                let (w, last, b) = (w.remove(0), w.remove(0), b.remove(0));
                let y = kernels::convolve_act(x, w.clone(), b, conv, Activation::LRELU);
                let t =
                    kernels::act_slope(kernels::convolve(t, w, conv), y.clone(), Activation::LRELU);
                let [_, _, h, width] = y.dims();
                let conv = Conv::new([h, width], 1, 1, 0).in_parts();
                kernels::convolve_add(y, last, t, conv, None)
            });
        }
    }
}

/// Weights of the same shape, one after the other, while what kernels prepare of them is kept.
#[test]
fn kept_weights_are_not_mixed_up() {
    let Some((_alone, _, device)) = gpu() else { return };
    let _kept = kernels::KeptWeights::new();
    let (x, w) = ([1, 3, 1203, 1210], [4, 3, 3, 3]);
    for name in ["one weight", "another weight"] {
        compare(name, &device, [&x, &w, &w], |[x, w, v]| {
            kernels::conv2d(x.clone(), w.clone(), 1, 1)
                + kernels::conv2d(x.clone(), v, 1, 1)
                + kernels::conv2d(x, w, 1, 1)
        });
    }
}

/// All results of [`kernels::demodulation`] in a row.
fn demodulated(w: Vec<Tensor<4>>, s: Vec<Tensor<2>>, t: Vec<Tensor<2>>) -> Tensor<4> {
    let found = kernels::demodulation(w, s, t);
    let matrices = [found.s, found.t, found.y, found.along].into_iter().flatten();
    let parts =
        matrices.map(|m| m.reshape([-1])).chain(found.w.into_iter().map(|w| w.reshape([-1])));
    in_a_row(parts.collect())
}

fn in_a_row(parts: Vec<Tensor<1>>) -> Tensor<4> {
    let all = Tensor::cat(parts, 0);
    let [length] = all.dims();
    all.reshape([1, 1, 1, length])
}

/// Styles and demodulation of more layers than one launch takes, which share inputs or have their own,
/// with results that nothing depends on.
#[test]
fn layers_of_a_network_agree() {
    let Some((_alone, _, device)) = gpu() else { return };
    const LAYERS: usize = 15;
    let (n, i) = (5, 70);
    let outputs = |layer: usize| [3, 40, 65][layer % 3];
    let act = Activation::LINEAR.gained(0.3);
    let sizes: [&[usize]; 4] = [&[n, i], &[3, i], &[40, i], &[65, i]];
    for (name, inputs) in [("one input", 1), ("two inputs", 2), ("own inputs", LAYERS)] {
        // The last of three inputs has no layers.
        let count = if inputs == 2 { 3 } else { inputs };
        for biased in [true, false] {
            let name = format!("linear layers, {name}, {biased}");
            compare(&name, &device, sizes, |[x, w0, w1, w2]| {
                let x = x.reshape([n, i]);
                let inputs_of = |layer: usize| layer * inputs / LAYERS;
                let xs = (0..count).map(|k| x.clone() * (0.5 + k as f32 * 0.1)).collect();
                let xs = Tensor::cat(xs, 0);
                let w =
                    |layer: usize| [&w0, &w1, &w2][layer % 3].clone().reshape([outputs(layer), i]);
                // Biases that have gradients.
                let b = |layer: usize| w(layer).narrow(1, 0, 1).reshape([outputs(layer)]);
                let affine = |layer| Affine { gain: 0.1, bias_gain: 0.5 + layer as f32 * 0.1, act };
                let spec = kernels::LinearLayers {
                    layers: (0..LAYERS).map(|layer| (inputs_of(layer), affine(layer))).collect(),
                    inputs: count,
                    biased,
                };
                let (w, b) = ((0..LAYERS).map(w).collect(), (0..LAYERS).map(b).collect());
                let y = kernels::linear_layers(xs, w, b, spec).into_iter();
                in_a_row(y.skip(1).map(|y| y.reshape([-1])).collect())
            });
        }
    }
    let shapes: [&[usize]; 5] = [&[3, i, 3, 3], &[40, i, 3, 3], &[65, i, 1, 1], &[n, i], &[n, i]];
    for tangent in [false, true] {
        let name = format!("demodulation of layers, {tangent}");
        compare(&name, &device, shapes, |[w0, w1, w2, s, t]| {
            let w = |layer: usize| [&w0, &w1, &w2][layer % 3].clone();
            let scaled = |x: &Tensor<4>, layer: usize| {
                x.clone().reshape([n, i]) * (0.5 + layer as f32 * 0.1)
            };
            let s = (0..LAYERS).map(|layer| scaled(&s, layer)).collect();
            let t = (0..LAYERS).filter(|_| tangent).map(|layer| scaled(&t, layer)).collect();
            let found = kernels::demodulation((0..LAYERS).map(w).collect(), s, t);
            // Layer 1 has no factors in the result, layer 2 no weight, layer 3 no style.
            let without = |skipped: usize, list: Vec<Tensor<2>>| {
                let kept = list.into_iter().enumerate().filter(move |(l, _)| *l != skipped);
                kept.map(|(_, x)| x.reshape([-1]))
            };
            let weights = found.w.into_iter().enumerate().filter(|(l, _)| *l != 2);
            let parts = without(3, found.s)
                .chain(without(4, found.t))
                .chain(without(1, found.y))
                .chain(without(5, found.along))
                .chain(weights.map(|(_, w)| w.reshape([-1])));
            in_a_row(parts.collect())
        });
    }
}

/// A product with few rows and columns and very long sums, as in the layers from and to colours.
#[test]
fn long_sums_agree() {
    let Some((_alone, _, device)) = gpu() else { return };
    let (x, w) = ([2, 6, 65, 50], [3, 6, 1, 1]);
    compare("to colours", &device, [&x, &[2, 6], &w], |[x, s, w]| {
        kernels::modulated_conv2d(x, s.reshape([2, 6]), w, 1, 0)
    });
    let (x, w) = ([2, 3, 65, 50], [6, 3, 3, 3]);
    compare("from colours", &device, [&x, &w], |[x, w]| kernels::conv2d(x, w, 1, 1));
}

/// Products with so many results that kernels read copies of the weights in another order: forwards,
/// backwards, and with a stride.
#[test]
fn large_images_agree() {
    let Some((_alone, _, device)) = gpu() else { return };
    let (x, w) = ([1, 3, 1203, 1210], [4, 3, 3, 3]);
    compare("large", &device, [&x, &w], |[x, w]| kernels::conv2d(x, w, 1, 1));
    let (x, s, w) = ([1, 3, 701, 710], [1, 3], [5, 3, 3, 3]);
    let smooth = Smooth { taps: [0.125, 0.375, 0.375, 0.125], padding: 2 };
    compare("large, up", &device, [&x, &s, &w], |[x, s, w]| {
        kernels::modulated_conv2d_up(x, s.reshape([1, 3]), w, smooth)
    });
}

#[test]
fn resampling_agrees() {
    let Some((_alone, _, device)) = gpu() else { return };
    let short: &[f32] = &[0.1, 0.2, 0.3, 0.4];
    let long: &[f32] = &[0.1, -0.2, 0.3, 0.4, 0.5, -0.1, 0.2, 0.7, 0.1, 0.05, -0.3, 0.2];
    for x in [[2, 3, 8, 8], [1, 2, 7, 13], [3, 1, 19, 5]] {
        for taps in [short, long] {
            for (up, down) in [(1, 1), (2, 1), (1, 2)] {
                let t = taps.len() as i32;
                for pad in [[[t / 2, t - 1], [t - 1, t]], [[t, -1], [-2, t + 1]]] {
                    let fir = Fir { taps: taps.into(), up, down, pad, flip: t == 4, gain: 1.5 };
                    compare(&format!("upfirdn {x:?} {up} {down} {pad:?}"), &device, [&x], |[x]| {
                        kernels::upfirdn2d(x, &fir)
                    });
                }
            }
        }
    }
    let maps = [[0.9, 0.1, 0.3, -0.2, 1.1, 0.2], [1.2, 0.0, -0.5, 0.1, 0.8, 0.4]];
    let flipped = [[-1.0, 0.0, 7.0, 0.0, 1.0, 0.0], [0.3, -2.0, 8.0, 1.7, 0.4, -3.0]];
    for maps in [maps, flipped] {
        for (input, output) in [([8, 8], [6, 7]), ([5, 9], [13, 4])] {
            let warp = Warp { maps: maps.into(), input, output };
            compare("warp", &device, [&[2, 3, input[0], input[1]]], |[x]| kernels::warp(x, &warp));
        }
    }
    // A map that all pixels share has no inverse.
    let warp =
        Warp { maps: [[0.0, 0.0, 2.25, 0.0, 0.0, 3.5]].into(), input: [8, 8], output: [4, 4] };
    compare("warp to a point", &device, [&[1, 2, 8, 8]], |[x]| kernels::warp(x, &warp));
}

#[test]
fn activations_agree() {
    let Some((_alone, _, device)) = gpu() else { return };
    let acts = [
        Activation::LRELU,
        Activation::LRELU.clamped(Some(0.7)).gained(0.5),
        Activation::LINEAR,
        Activation::LINEAR.clamped(Some(1.1)),
    ];
    // The last plane is longer than what one cube works on.
    for [n, c, h, w] in [[2, 3, 8, 8], [3, 5, 1, 1], [2, 4, 5, 7], [1, 70, 3, 2], [2, 2, 80, 131]] {
        let x = [n, c, h, w];
        for act in acts {
            let name = |kind: &str| format!("{kind} {x:?} {act:?}");
            compare(&name("bias_act"), &device, [&x, &[c]], |[x, b]| {
                kernels::bias_act(x, b.reshape([c]), act)
            });
            compare(&name("act_slope"), &device, [&x, &x], |[t, y]| kernels::act_slope(t, y, act));
            for images in [n, 1] {
                let shapes: [&[usize]; 5] = [&x, &[n, c], &[images, 1, h, w], &[1], &[c]];
                compare(&name("noise_act"), &device, shapes, |[x, scale, noise, strength, b]| {
                    kernels::noise_act(
                        x,
                        // Away from 0, as demodulation's factors are.
                        scale.reshape([n, c]).abs() + 0.3,
                        noise,
                        strength.reshape([1]),
                        b.reshape([c]),
                        act,
                    )
                });
            }
        }
        compare("softplus", &device, [&x], |[x]| kernels::softplus(x * 12.0));
        for negative in [false, true] {
            compare("mean softplus", &device, [&x], |[x]| {
                let count = x.shape().num_elements();
                kernels::mean_softplus(x.reshape([count]) * 12.0, negative).reshape([1, 1, 1, 1])
            });
        }
        compare("scale", &device, [&x, &[n, c]], |[x, s]| {
            kernels::scale_planes(x, s.reshape([n, c]))
        });
        let shapes: [&[usize]; 4] = [&[n, c, h, w], &[n, c, h, w], &[n, c], &[n, c]];
        compare(
            &format!("scale_planes_tangent {n} {c} {h} {w}"),
            &device,
            shapes,
            |[x, t, s, u]| {
                let (s, u) = (s.reshape([n, c]), u.reshape([n, c]));
                kernels::scale_planes_tangent(x, t, s, u)
            },
        );
    }
}

#[test]
fn random_numbers_agree() {
    let Some((_alone, _, device)) = gpu() else { return };
    // Incomplete blocks, one cube and several, and indices with all bits set.
    for (first, count) in [(0, 1), (0, 3), (8, 258), (1 << 30, 100_001)] {
        for (seed, index) in [(0, 0), (3, u64::MAX), (u64::MAX, 1 << 40)] {
            let sequence = draws::sequence(seed, "random numbers", index);
            let drawn = |device: &Device| {
                let plain = to_vec(kernels::normals(sequence, first, 0.3, count, device));
                let tracked = device.clone().autodiff();
                let tracked = kernels::normals(sequence, first, 0.3, count, &tracked);
                assert_eq!(to_vec(tracked), plain);
                plain
            };
            let name = format!("normals {first} {count} {seed} {index}");
            close(&name, &drawn(&device), &drawn(&Device::flex()), 1e-4);
        }
    }
    // Tensors that are drawn together hold the same numbers on both devices.
    let sequence = draws::sequence(0, "random numbers", 1);
    let drawn = |device: &Device| {
        let several = packed::normals(sequence, 1.0, [70, 1, 64, 5], device);
        several.into_iter().map(to_vec).collect::<Vec<_>>()
    };
    let (found, expected) = (drawn(&device), drawn(&Device::flex()));
    assert_eq!(expected.iter().map(Vec::len).collect::<Vec<_>>(), [70, 1, 64, 5]);
    for (found, expected) in found.iter().zip(&expected) {
        close("packed normals", found, expected, 1e-4);
    }
}

#[test]
fn normalisation_and_recurrence_agree() {
    let Some((_alone, _, device)) = gpu() else { return };
    // Planes of one element, of odd length, and in several parts; groups of one channel and of all.
    for (shape, count) in [
        ([2, 4, 8, 8], 2),
        ([3, 6, 5, 7], 3),
        ([1, 6, 1, 1], 2),
        ([2, 5, 4, 4], 5),
        ([2, 3, 96, 90], 1),
    ] {
        for act in [Activation::LRELU, Activation::RELU, Activation::LINEAR] {
            let groups = Groups { count, eps: 1e-5, act };
            let c = shape[1];
            let name = format!("group_norm {shape:?} {count} {act:?}");
            compare(&name, &device, [&shape, &[c], &[c]], |[x, weight, bias]| {
                kernels::group_norm(x, weight.reshape([c]), bias.reshape([c]), groups)
            });
        }
    }
    for (x, group) in [([6, 3, 5, 4], 3), ([4, 80, 4, 4], 4), ([2, 1, 1, 1], 1), ([9, 2, 3, 7], 9)]
    {
        compare("minibatch_std", &device, [&x], |[x]| kernels::minibatch_std(x, group));
    }
    for backward in [false, true] {
        // States that fill no cube and several ones, sequences in any order, and a single step.
        let cases: [(&[usize], usize, usize); 4] =
            [(&[5, 3, 1], 5, 4), (&[2, 7, 7, 4, 1], 7, 70), (&[1, 1], 1, 3), (&[3], 4, 5)];
        for (lengths, t, h) in cases {
            let sequences = Sequences { lengths: lengths.into(), backward };
            let n = lengths.len();
            let name = format!("lstm {lengths:?} {h} {backward}");
            compare(&name, &device, [&[t, n, 4 * h], &[4 * h, h]], |[gates, w]| {
                let gates = gates.reshape([t, n, 4 * h]);
                let states = kernels::lstm(gates, w.reshape([4 * h, h]), &sequences);
                states.reshape([1, t, n, h])
            });
        }
    }
}

/// CLIP: attention, normalisation, activations and resizing, with the gradient of images.
#[test]
fn encoders_of_images_and_texts_agree() {
    let Some((_alone, _, gpu)) = gpu() else { return };
    let golden = common::Golden::open("clip.safetensors");
    for (name, activation) in
        [("vit.quick", "quick-gelu"), ("vit.exact", "gelu"), ("resnet", "quick-gelu")]
    {
        let weights = common::clip::weights(&golden, name);
        let model = common::clip::imported(weights, activation).model;
        let run = |device: &Device| -> [Vec<f32>; 3] {
            let loaded = systems::open(&model, device).unwrap();
            let clip = loaded.similarity().unwrap();
            let texts = to_vec(clip.texts(&["a red bird", "it's yellow, not red"]).unwrap());
            let images = params::from_host::<4>(golden.file.tensor("images").unwrap(), device);
            let images = images.autodiff().require_grad();
            let codes = clip.images(images.clone());
            let weight = random("clip.r", codes.dims(), device);
            let gradients = (codes.clone() * weight).sum().backward();
            let gradient = images.grad(&gradients).unwrap();
            [texts, to_vec(codes.inner()), to_vec(gradient.inner())]
        };
        let (expected, found) = (run(&Device::flex()), run(&gpu));
        for (part, (found, expected)) in
            ["texts", "images", "gradient"].iter().zip(found.iter().zip(&expected))
        {
            close(&format!("{name}: {part}"), found, expected, 1e-3);
        }
    }
}

/// The device under test, if it has f16. OpenGL has none.
fn with_half() -> Option<(MutexGuard<'static, ()>, Device)> {
    let (guard, name, device) = gpu()?;
    if !kernels::stores_half(&device) {
        let may_lack_it = name == "gl" || std::env::var_os("CIGAN_REQUIRE_GPU").is_none();
        assert!(may_lack_it, "the adapter has no f16, and one with f16 is required");
        eprintln!("skipped: the adapter has no f16");
        return None;
    }
    Some((guard, device))
}

/// The kernels compute in f32 and store images and their gradients in f16: they differ from f32 by the
/// rounding of inputs and results. Parameters and their gradients stay in f32.
#[test]
fn half_precision_agrees() {
    let Some((_alone, device)) = with_half() else { return };
    // The first `images` of the shapes are those of images in f16.
    type Op<'a> = &'a dyn Fn(Vec<Tensor<4>>) -> Tensor<4>;
    let half = |name: &str, images: usize, shapes: &[&[usize]], f: Op| {
        let run = |dtype: DType| -> Vec<Vec<f32>> {
            let inputs: Vec<Tensor<4>> = shapes
                .iter()
                .enumerate()
                .map(|(i, shape)| {
                    let mut full = [1; 4];
                    full[..shape.len()].copy_from_slice(shape);
                    let x = random(&format!("{name}.{i}"), full, &device);
                    let x = if i < images { x.cast(dtype) } else { x };
                    x.autodiff().require_grad()
                })
                .collect();
            let out = f(inputs.clone());
            let weight = random(&format!("{name}.r"), out.dims(), &device).cast(out.dtype());
            let gradients = (out.clone() * weight).sum().backward();
            let of_inputs = inputs.iter().map(|x| {
                let gradient = x.grad(&gradients).unwrap().inner();
                assert_eq!(gradient.dtype(), x.dtype(), "{name}");
                gradient
            });
            let all: Vec<Tensor<4>> = std::iter::once(out.inner()).chain(of_inputs).collect();
            all.into_iter().map(to_vec).collect()
        };
        let (expected, found) = (run(DType::F32), run(DType::F16));
        for (i, (found, expected)) in found.iter().zip(&expected).enumerate() {
            close(&format!("{name} in f16 [{i}]"), found, expected, 1e-2);
        }
    };
    let act = Activation::LRELU;
    let smooth = Smooth { taps: [0.125, 0.375, 0.375, 0.125], padding: 2 };
    half("conv2d", 1, &[&[2, 5, 9, 7], &[6, 5, 3, 3]], &|x| {
        kernels::conv2d(x[0].clone(), x[1].clone(), 1, 1)
    });
    half("down", 1, &[&[2, 5, 9, 7], &[6, 5, 3, 3]], &|x| {
        kernels::conv2d_down(x[0].clone(), x[1].clone(), smooth)
    });
    half("up", 1, &[&[2, 5, 9, 7], &[2, 5], &[6, 5, 3, 3]], &|x| {
        let s = x[1].clone().reshape([2, 5]);
        kernels::modulated_conv2d_up(x[0].clone(), s, x[2].clone(), smooth)
    });
    half("bias_act", 1, &[&[2, 5, 9, 8], &[5]], &|x| {
        kernels::bias_act(x[0].clone(), x[1].clone().reshape([5]), act)
    });
    half("scale", 1, &[&[2, 5, 9, 8], &[2, 5]], &|x| {
        kernels::scale_planes(x[0].clone(), x[1].clone().reshape([2, 5]))
    });
    half("scale_planes_tangent", 2, &[&[2, 5, 9, 8], &[2, 5, 9, 8], &[2, 5], &[2, 5]], &|x| {
        let [s, u] = [2, 3].map(|k| x[k].clone().reshape([2, 5]));
        kernels::scale_planes_tangent(x[0].clone(), x[1].clone(), s, u)
    });
    half("noise_act", 1, &[&[2, 5, 9, 8], &[2, 5], &[2, 1, 9, 8], &[1], &[5]], &|x| {
        kernels::noise_act(
            x[0].clone(),
            x[1].clone().reshape([2, 5]).abs() + 0.5,
            x[2].clone(),
            x[3].clone().reshape([1]),
            x[4].clone().reshape([5]),
            act,
        )
    });
    let fir = Fir {
        taps: Arc::from([0.25, 0.75, 0.75, 0.25]),
        up: 2,
        down: 1,
        pad: [[2, 1]; 2],
        flip: false,
        gain: 1.0,
    };
    half("conv2d_act", 1, &[&[2, 5, 9, 7], &[6, 5, 3, 3], &[6]], &|x| {
        let conv = Conv::new([9, 7], 3, 1, 1);
        kernels::convolve_act(x[0].clone(), x[1].clone(), x[2].clone().reshape([6]), conv, act)
    });
    half("upfirdn2d", 1, &[&[2, 5, 9, 7]], &|x| kernels::upfirdn2d(x[0].clone(), &fir));
    half("conv2d_add", 2, &[&[2, 5, 9, 7], &[2, 6, 9, 7], &[6, 5, 1, 1]], &|x| {
        let conv = Conv::new([9, 7], 1, 1, 0);
        kernels::convolve_add(x[0].clone(), x[2].clone(), x[1].clone(), conv, None)
    });
    half("conv2d_act_beside", 1, &[&[2, 5, 8, 6], &[5, 5, 3, 3], &[5]], &|x| {
        let (conv, b) = (Conv::new([8, 6], 3, 1, 1), x[2].clone().reshape([5]));
        let fir = Fir { up: 1, pad: [[1, 2]; 2], ..fir.clone() };
        let pair = kernels::convolve_act_beside(x[0].clone(), x[1].clone(), b, conv, act, &fir);
        let [y, beside] = pair;
        y + beside
    });
    // Clamped outputs are recognised in the backward pass.
    half("clamped", 1, &[&[2, 5, 9, 7], &[6, 5, 3, 3], &[6]], &|x| {
        let image = Dual::from(x[0].clone());
        let act = limited(act.clamped(Some(2.0)), std::f32::consts::FRAC_1_SQRT_2, &image);
        let b = x[2].clone().reshape([6]);
        kernels::convolve_act(x[0].clone(), x[1].clone(), b, Conv::new([9, 7], 3, 1, 1), act)
    });
    // The result has the type of the added image.
    let shapes: [&[usize]; 5] = [&[2, 5, 10, 6], &[2, 5], &[3, 5, 1, 1], &[3], &[2, 3, 5, 3]];
    half("to an image in f32", 1, &shapes, &|x| {
        let (s, b) = (x[1].clone().reshape([2, 5]), x[3].clone().reshape([3]));
        let conv = Conv::new([10, 6], 1, 1, 0);
        let (image, fir) = (x[4].clone(), Some(&fir));
        let y = kernels::modulated_conv2d_add(x[0].clone(), s, x[2].clone(), b, image, conv, fir);
        assert_eq!(y.dtype(), DType::F32);
        y
    });
    // Many channels, whose sums before demodulation are large.
    for up in [false, true] {
        let conv = match up {
            true => Conv { swapped: true, ..Conv::up([4, 5], 3, smooth) },
            false => Conv::new([4, 5], 3, 1, 1),
        };
        let [h, w] = if up { conv.input } else { [4, 5] };
        let shapes: [&[usize]; 6] =
            [&[2, 70, 4, 5], &[2, 70], &[9, 70, 3, 3], &[2, 1, h, w], &[1], &[9]];
        half(&format!("with noise {up}"), 1, &shapes, &|x| {
            let s = x[1].clone().reshape([2, 70]);
            let mut found = kernels::demodulation(vec![x[2].clone()], vec![s], vec![]);
            let operands = kernels::WithNoise {
                scale: found.y.remove(0),
                noise: x[3].clone(),
                strength: x[4].clone().reshape([1]),
                bias: x[5].clone().reshape([9]),
            };
            // Far beyond the range of f16 before demodulation.
            let (x, s) = (x[0].clone() * 50.0, found.s.remove(0) * 50.0);
            let operands = kernels::WithNoise { scale: operands.scale / 2500.0, ..operands };
            kernels::modulated_noise_act(x, s, found.w.remove(0), operands, conv, up, act)
        });
    }
    half("minibatch_std", 1, &[&[4, 5, 3, 3]], &|x| kernels::minibatch_std(x[0].clone(), 2));
}

/// Steps of Adam, sums and blends of more tensors than one launch takes, with odd gradients.
#[test]
fn optimisers_agree() {
    let Some((_alone, _, device)) = gpu() else { return };
    let lengths: Vec<usize> = (0..31).map(|i| [1, 7, 300, 2048, 5000][i % 5] + i).collect();
    let run = |device: &Device| -> Vec<Vec<f32>> {
        let list = |name: &str| -> Vec<Tensor<1>> {
            let one = |(i, &n): (usize, &usize)| random(&format!("{name}.{i}"), [n], device);
            lengths.iter().enumerate().map(one).collect()
        };
        let (mut values, mut m) = (list("value"), list("m"));
        let mut v: Vec<Tensor<1>> = list("v").into_iter().map(|v| v.clone() * v).collect();
        let mut found = Vec::new();
        for number in 1..=2 {
            let mut g = list(&format!("g{number}"));
            let odd = vec![f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.5, f32::MAX, 0.0, -0.0];
            g[1] = Tensor::from_data(TensorData::new([odd, vec![1.0; 1]].concat(), [8]), device);
            let step = AdamStep { lr: 0.01, beta1: 0.5, beta2: 0.99, eps: 1e-8, number };
            let done = kernels::adam(values, m, v, g, step);
            (values, m, v) = (done.values, done.m, done.v);
            found.push(to_vec(done.non_finite));
        }
        found.extend(kernels::blend(values.clone(), m.clone(), 0.9).into_iter().map(to_vec));
        found.extend(kernels::sums(values.clone(), m.clone()).into_iter().map(to_vec));
        found.extend(values.into_iter().chain(m).map(to_vec));
        // f32::MAX squared is infinite on both.
        found.extend(v.into_iter().enumerate().filter(|(i, _)| *i != 1).map(|(_, v)| to_vec(v)));
        found
    };
    let (expected, found) = (run(&Device::flex()), run(&device));
    assert_eq!(found[0], [3.0], "non-finite elements");
    for (i, (found, expected)) in found.iter().zip(&expected).enumerate() {
        close(&format!("optimiser [{i}]"), found, expected, 1e-6);
    }
}

/// Gradients of every phase of stage 1, by parameter, with features in f16 in `half` blocks.
fn phases(device: &Device, half: usize) -> Vec<(String, Vec<f32>)> {
    let mut settings = StyleganSettings::auto(16, Some(4));
    let network = &mut settings.network;
    (network.z_dim, network.w_dim) = (8, 8);
    (network.channel_base, network.channel_max) = (64, 4);
    let g = Generator::new(network, &mut Init::new(1, "g", device)).with_half(half).train();
    let d = Discriminator::new(network, &mut Init::new(1, "d", device)).with_half(half).train();
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

    let fake = g.synthesis.forward(ws(&g), &noise).value;
    let loss = adversarial::generator(d.valid().apply(shown(fake.clone()), None));
    keep("Gmain", &g_names, &NamedGradients::of(&g, &loss.backward()));
    let loss = adversarial::discriminator_fake(d.apply(shown(fake.inner()), None))
        + adversarial::discriminator_real(d.apply(shown(real.clone()), None));
    keep("Dmain", &d_names, &NamedGradients::of(&d, &loss.backward()));
    let r1 = gradient_penalty::R1::new(&d, real, 10.0, |d, x: Dual<4>| {
        d.forward(transform.apply(x), None)
    });
    keep("Dreg", &d_names, &NamedGradients::of(&d, &r1.surrogate.backward()));
    let path = PathLength { weight: 2.0, decay: 0.01 };
    let (codes, y) = (ws(&g).into(), random("y", [4, 3, 16, 16], device) / 16.0);
    let gradient = PathGradient::of(&g.synthesis.valid(), &codes, &noise, y.clone());
    let mean = path.average(Tensor::zeros([1], device), gradient.mean_length());
    let (surrogate, _) = path.penalty(&g.synthesis, gradient, codes, &noise, y, mean);
    keep("Greg", &g_names, &NamedGradients::of(&g, &surrogate.backward()));
    let image = g.valid().synthesize(ws(&g.valid()), &Noise::Const);
    found.push(("image".into(), to_vec(image)));
    found
}

#[test]
fn every_phase_agrees() {
    let Some((_alone, _, device)) = gpu() else { return };
    let (expected, found) = (phases(&Device::flex(), 0), phases(&device, 0));
    assert!(expected.len() > 60, "only {} tensors were compared", expected.len());
    for ((name, expected), (_, found)) in expected.iter().zip(&found) {
        let size = expected.iter().fold(0f32, |m, v| m.max(v.abs()));
        if size > 1e-8 {
            close(name, found, expected, 1e-3);
        }
    }
}

/// Gradients of whole phases with f16 in the two highest resolutions, of G and D. What remains is the
/// rounding of features.
#[test]
fn every_phase_agrees_in_mixed_precision() {
    let Some((_alone, device)) = with_half() else { return };
    let (expected, found) = (phases(&device, 0), phases(&device, 2));
    for ((name, expected), (_, found)) in expected.iter().zip(&found) {
        let norm =
            |values: &mut dyn Iterator<Item = f32>| values.map(|v| v * v).sum::<f32>().sqrt();
        let size = norm(&mut expected.iter().copied());
        if size > 1e-8 {
            let differences = expected.iter().zip(found).map(|(a, b)| a - b);
            let error = norm(&mut { differences }) / size;
            assert!(error < 0.02, "{name}: relative difference {error}");
            assert!(error > 0.0 || !name.contains("blocks"), "{name} is equal to the bit");
        }
    }
}

/// A run that is interrupted after its second iteration and resumed, and one that is not, are equal to
/// the bit: nothing that training computes depends on the order in which units finish.
#[test]
fn a_resumed_run_equals_an_uninterrupted_one() {
    let Some((_alone, _, device)) = gpu() else { return };
    resumed_equals_uninterrupted(&device, Precision::F32);
}

#[test]
fn a_resumed_run_in_mixed_precision_equals_an_uninterrupted_one() {
    let Some((_alone, device)) = with_half() else { return };
    resumed_equals_uninterrupted(&device, Precision::Mixed);
}

fn resumed_equals_uninterrupted(device: &Device, precision: Precision) {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("birds.zip");
    let options = SynthOptions {
        out: out.clone(),
        count: 8,
        resolution: 16,
        seed: 1,
        stop: Interrupt::manual(),
    };
    synth(&options, &mut |_| {}).unwrap();
    let archive = Arc::new(Archive::open(&out).unwrap());
    let mut settings = StyleganSettings::auto(16, Some(4));
    (settings.network.z_dim, settings.network.w_dim) = (16, 16);
    (settings.network.channel_base, settings.network.channel_max) = (128, 16);
    (settings.r1_interval, settings.pl_interval) = (2, 2);
    settings.precision = precision;
    settings.augment = AugmentSettings { mode: AugmentMode::Fixed, p: 0.5, ..settings.augment };
    let trainer = || StyleganTrainer::new(settings.clone(), 1, archive.clone(), device).unwrap();
    let state = |trainer: &mut StyleganTrainer, iterations: usize| {
        for _ in 0..iterations {
            trainer.step_in_parts(|_| Ok(())).unwrap();
        }
        trainer.state().unwrap()
    };
    let whole = state(&mut trainer(), 4);
    let half = state(&mut trainer(), 2);
    let mut resumed = trainer();
    resumed.restore(&half).unwrap();
    let resumed = state(&mut resumed, 2);
    assert!(whole.tensors.len() > 100, "only {} tensors", whole.tensors.len());
    for (name, tensor) in &whole.tensors {
        assert_eq!(resumed.tensors[name].to_f32(), tensor.to_f32(), "{name}");
    }
}

/// The comparisons of `devices --check`, which are fewer than the tests above, and at other sizes.
#[test]
fn the_check_of_devices_passes() {
    let Some((_alone, _, device)) = gpu() else { return };
    for found in cigan::check::agreement(&device, |_| {}) {
        assert!(found.is_close(), "{}: relative difference {}", found.name, found.difference);
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
            "edit",
            "--model",
            &model,
            "--image",
            &photo,
            "--text",
            text,
            "--project",
            "2",
            "--steps",
            "2",
            "--out",
            &edited,
        ])
        .ok();
    assert!(Path::new(&edited).join("seed0000-edited.png").is_file());
}
