//! Comparing a device with the CPU: whether it computes the same numbers, and how fast.

use std::time::{Duration, Instant};

use burn::tensor::{Device, Tensor, TensorData};

use crate::draws;
use crate::error::{Error, Result};
use crate::kernels::{self, Activation, Affine, Conv, Fir, Groups, Sequences, Smooth, Warp};
use crate::nn::params::to_vec;

/// The largest difference from the CPU, relative to the largest magnitude, that rounding explains.
pub const LIMIT: f32 = 1e-4;

/// The agreement of one operation with the CPU.
#[derive(Debug, Clone, PartialEq)]
pub struct Agreement {
    /// The operation.
    pub name: &'static str,
    /// The largest difference of its result and its gradients from those of the CPU, relative to the
    /// largest magnitude.
    pub difference: f32,
}

impl Agreement {
    /// Whether the difference is that of rounding.
    pub fn is_close(&self) -> bool {
        self.difference < LIMIT
    }
}

/// The measured speed of a device at one task.
#[derive(Debug, Clone, PartialEq)]
pub struct Rate {
    /// The task.
    pub name: &'static str,
    /// Amount per second.
    pub amount: f64,
    /// Unit of the amount.
    pub unit: &'static str,
}

/// An operation on tensors of these shapes, padded with sides of 1.
struct Case {
    name: &'static str,
    shapes: &'static [&'static [usize]],
    run: fn(&[Tensor<4>]) -> Tensor<4>,
}

const SMOOTH: Smooth = Smooth { taps: [0.125, 0.375, 0.375, 0.125], padding: 2 };

/// The operations of training, at sizes that need several cubes and do not fill them.
const CASES: &[Case] = &[
    Case {
        name: "convolution 3×3",
        shapes: &[&[3, 33, 19, 22], &[70, 33, 3, 3], &[70]],
        run: |x| {
            let conv = Conv::new([19, 22], 3, 1, 1).gained(0.05);
            let b = x[2].clone().reshape([70]);
            kernels::convolve_act(x[0].clone(), x[1].clone(), b, conv, Activation::LRELU)
        },
    },
    // So large that tensor cores compute it and its gradients, where the device has them.
    Case {
        name: "large convolution",
        shapes: &[&[2, 256, 32, 34], &[256, 256, 3, 3]],
        run: |x| kernels::conv2d(x[0].clone(), x[1].clone(), 1, 1),
    },
    Case {
        name: "large modulated convolution, up",
        shapes: &[&[2, 130, 33, 32], &[2, 130], &[132, 130, 3, 3]],
        run: |x| {
            let s = x[1].clone().reshape([2, 130]);
            kernels::modulated_conv2d_up(x[0].clone(), s, x[2].clone(), SMOOTH)
        },
    },
    Case {
        name: "convolution, down",
        shapes: &[&[3, 20, 18, 22], &[40, 20, 3, 3]],
        run: |x| kernels::conv2d_down(x[0].clone(), x[1].clone(), SMOOTH),
    },
    Case {
        name: "modulated convolution, up",
        shapes: &[&[3, 20, 9, 11], &[3, 20], &[40, 20, 3, 3]],
        run: |x| {
            let s = x[1].clone().reshape([3, 20]);
            kernels::modulated_conv2d_up(x[0].clone(), s, x[2].clone(), SMOOTH)
        },
    },
    Case {
        name: "convolution to colours",
        shapes: &[&[2, 65, 70, 41], &[2, 65], &[3, 65, 1, 1]],
        run: |x| {
            let s = x[1].clone().reshape([2, 65]);
            kernels::modulated_conv2d(x[0].clone(), s, x[2].clone(), 1, 0)
        },
    },
    Case {
        name: "linear layer",
        shapes: &[&[9, 300], &[130, 300], &[130]],
        run: |x| {
            let affine = Affine { gain: 0.06, bias_gain: 0.5, act: Activation::LRELU };
            let (w, b) = (x[1].clone().reshape([130, 300]), x[2].clone().reshape([130]));
            kernels::linear(x[0].clone().reshape([9, 300]), w, b, affine).reshape([9, 130, 1, 1])
        },
    },
    Case {
        name: "demodulation",
        shapes: &[&[70, 33, 3, 3], &[5, 33]],
        run: |x| {
            let s = x[1].clone().reshape([5, 33]);
            let found = kernels::demodulation(vec![x[0].clone()], vec![s], vec![]);
            found.y[0].clone().reshape([5, 70, 1, 1])
        },
    },
    Case {
        name: "noise, bias, activation",
        shapes: &[&[3, 17, 30, 33], &[3, 17], &[3, 1, 30, 33], &[1], &[17]],
        run: |x| {
            kernels::noise_act(
                x[0].clone(),
                x[1].clone().reshape([3, 17]).abs() + 0.5,
                x[2].clone(),
                x[3].clone().reshape([1]),
                x[4].clone().reshape([17]),
                Activation::LRELU,
            )
        },
    },
    Case {
        name: "random numbers",
        shapes: &[&[1, 3, 30, 33]],
        run: |x| {
            let sequence = draws::sequence(0, "check", u64::MAX);
            let noise = kernels::normals(sequence, 4, 1.0, 3 * 30 * 33, &x[0].device());
            x[0].clone() * noise.reshape([1, 3, 30, 33])
        },
    },
    Case {
        name: "resampling",
        shapes: &[&[2, 7, 31, 18]],
        run: |x| {
            let taps = SMOOTH.taps.into();
            let pad = [[2, 1]; 2];
            let fir = Fir { taps, up: 2, down: 1, pad, flip: false, gain: 4.0 };
            kernels::upfirdn2d(x[0].clone(), &fir)
        },
    },
    Case {
        name: "warp",
        shapes: &[&[2, 3, 25, 40]],
        run: |x| {
            let maps = [[0.9, 0.1, 0.3, -0.2, 1.1, 0.2], [-1.2, 0.4, 30.5, 0.1, 0.8, 0.4]];
            let warp = Warp { maps: maps.into(), input: [25, 40], output: [31, 22] };
            kernels::warp(x[0].clone(), &warp)
        },
    },
    Case {
        name: "minibatch deviation",
        shapes: &[&[8, 33, 4, 5]],
        run: |x| kernels::minibatch_std(x[0].clone(), 4),
    },
    Case {
        name: "group normalisation",
        shapes: &[&[3, 12, 19, 17], &[12], &[12]],
        run: |x| {
            let groups = Groups { count: 4, eps: 1e-5, act: Activation::LRELU };
            let [weight, bias] = [1, 2].map(|i: usize| x[i].clone().reshape([12]));
            kernels::group_norm(x[0].clone(), weight, bias, groups)
        },
    },
    Case {
        name: "LSTM",
        shapes: &[&[7, 3, 64], &[64, 16]],
        run: |x| {
            let sequences = Sequences { lengths: [7, 4, 2].into(), backward: false };
            let gates = x[0].clone().reshape([7, 3, 64]);
            let states = kernels::lstm(gates, x[1].clone().reshape([64, 16]), &sequences);
            states.reshape([1, 7, 3, 16])
        },
    },
];

fn random(name: &str, shape: [usize; 4], device: &Device) -> Tensor<4> {
    let values = draws::normal(&mut draws::stream(0, name, 0), shape.iter().product());
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// The result and the gradients of an operation.
fn results(case: &Case, device: &Device) -> Vec<Vec<f32>> {
    let inputs: Vec<Tensor<4>> = case
        .shapes
        .iter()
        .enumerate()
        .map(|(i, sides)| {
            let mut shape = [1; 4];
            shape[..sides.len()].copy_from_slice(sides);
            random(&format!("check.{}.{i}", case.name), shape, device).autodiff().require_grad()
        })
        .collect();
    let out = (case.run)(&inputs);
    let weight = random(&format!("check.{}", case.name), out.dims(), device);
    let gradients = (out.clone() * weight).sum().backward();
    let mut found = vec![to_vec(out.inner())];
    found.extend(
        inputs.iter().filter_map(|x| x.grad(&gradients)).map(|gradient| to_vec(gradient.inner())),
    );
    found
}

/// Compares every operation of training on `device` with the CPU. Calls `after` with each.
pub fn agreement(device: &Device, mut after: impl FnMut(&Agreement)) -> Vec<Agreement> {
    let cpu = Device::flex();
    let one = |case: &Case| {
        let (found, expected) = (results(case, device), results(case, &cpu));
        let differences = found.iter().zip(&expected).map(|(found, expected)| {
            let scale = expected.iter().fold(1e-12f32, |m, v| m.max(v.abs()));
            // NaN must not be lost, as it would be by `f32::max`.
            let worst = found.iter().zip(expected).map(|(a, b)| (a - b).abs());
            worst.fold(0f32, |m, d| if d <= m { m } else { d }) / scale
        });
        let difference = differences.fold(0f32, |m, d| if d <= m { m } else { d });
        let agreement = Agreement { name: case.name, difference };
        after(&agreement);
        agreement
    };
    CASES.iter().map(one).collect()
}

/// Measures how fast `device` is. A slow device is measured with less work.
///
/// # Errors
/// If the device does not respond.
pub fn speed(device: &Device) -> Result<Vec<Rate>> {
    let tiny = random("speed", [1, 1, 1, 1], device);
    let bias = Tensor::<1>::zeros([1], device);
    let launches = rate(device, || {
        kernels::bias_act(tiny.clone(), bias.clone(), Activation::LRELU);
    })?;
    let mut rates = vec![Rate { name: "launches", amount: launches / 1e3, unit: "thousand/s" }];
    let mut batch = 1;
    let [x, w] = [[1, 64, 32, 32], [64, 64, 3, 3]].map(|shape| random("speed", shape, device));
    let small = rate(device, || {
        kernels::conv2d(x.clone(), w.clone(), 1, 1);
    })?;
    let (mut channels, mut side) = (64, 32);
    if small > 500.0 {
        (batch, channels, side) = (16, 128, 64);
    }
    let flops = (2 * batch * side * side * channels * channels * 9) as f64 / 1e12;
    let [x, w] = [[batch, channels, side, side], [channels, channels, 3, 3]]
        .map(|shape| random("speed", shape, device));
    let forward = rate(device, || {
        kernels::conv2d(x.clone(), w.clone(), 1, 1);
    })?;
    rates.push(Rate { name: "convolution", amount: forward * flops, unit: "TFLOP/s" });
    let both = rate(device, || {
        let [x, w] = [&x, &w].map(|t| t.clone().autodiff().require_grad());
        kernels::conv2d(x, w, 1, 1).sum().backward();
    })?;
    rates.push(Rate {
        name: "convolution and its gradients",
        amount: both * 3.0 * flops,
        unit: "TFLOP/s",
    });
    let bias = Tensor::<1>::zeros([channels], device);
    let moved = 8.0 * x.dims().iter().product::<usize>() as f64 / 1e9;
    let passes = rate(device, || {
        kernels::bias_act(x.clone(), bias.clone(), Activation::LRELU);
    })?;
    rates.push(Rate { name: "memory, bias and activation", amount: passes * moved, unit: "GB/s" });
    Ok(rates)
}

/// Runs per second, from enough of them to take a third of a second.
fn rate(device: &Device, mut run: impl FnMut()) -> Result<f64> {
    let wait =
        || device.sync().map_err(|e| Error::internal(format!("the device does not respond: {e}")));
    run();
    wait()?;
    let mut count = 1;
    loop {
        let began = Instant::now();
        (0..count).for_each(|_| run());
        wait()?;
        let elapsed = began.elapsed();
        if elapsed >= Duration::from_millis(300) {
            return Ok(f64::from(count) / elapsed.as_secs_f64());
        }
        count *= 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_agrees_with_itself() {
        for agreement in agreement(&Device::flex(), |_| {}) {
            assert_eq!(agreement.difference, 0.0, "{}", agreement.name);
        }
    }

    #[test]
    fn every_operation_has_gradients() {
        for case in CASES {
            let found = results(case, &Device::flex());
            assert_eq!(found.len(), case.shapes.len() + 1, "{}", case.name);
            for values in found {
                assert!(values.iter().any(|v| *v != 0.0), "{}: only zeros", case.name);
            }
        }
    }

    #[test]
    fn a_difference_that_is_no_number_is_not_close() {
        assert!(!Agreement { name: "", difference: f32::NAN }.is_close());
    }
}
