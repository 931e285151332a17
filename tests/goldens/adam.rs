//! Optimiser steps and the moving average against a reference.
//!
//! The expected values were computed in f64 by `scripts/make_goldens.py`; the steps agree with
//! PyTorch's Adam to 1e-12.

use crate::common::{Golden, difference};
use burn::module::{Module, Param};
use burn::tensor::{Tensor, TensorData};
use cigan::nn::params::{self, NamedGradients};
use cigan::nn::{Adam, AdamSettings, ema};
use cigan::systems::stylegan::StyleganSettings;
use cigan::tensorfile::TensorFile;

/// A network of one parameter.
#[derive(Module, Debug)]
struct One {
    x: Param<Tensor<2>>,
}

impl One {
    fn new(x: Tensor<2>) -> Self {
        Self { x: Param::from_tensor(x) }
    }
}

/// Step `index` of a stored path `[steps, …]`.
fn at(golden: &Golden, name: &str, index: usize) -> Vec<f32> {
    let values = golden.values(name);
    let size = values.len() / golden.file.tensor(name).unwrap().shape[0];
    values[index * size..][..size].to_vec()
}

/// Gradients that are exactly `g`, NaN and infinities included: those of Σ x·g.
fn gradients(one: &One, g: Vec<f32>) -> NamedGradients {
    let x = one.x.val();
    let g = Tensor::from_data(TensorData::new(g, x.dims()), &x.device());
    NamedGradients::of(one, &(x * g).sum().backward())
}

fn check_steps(case: &str, settings: AdamSettings, lr: f64) {
    let golden = Golden::open("adam.safetensors");
    let key = |of: &str| format!("{case}.{of}");
    let lr_error = (lr as f32 / golden.scalar(&key("lr")) - 1.0).abs();
    assert!(lr_error < 1e-6, "{case}: learning rate {lr}");

    let mut one = One::new(golden.get(&key("x0"))).train();
    let mut adam = Adam::new(settings);
    for step in 0..5 {
        let found = gradients(&one, at(&golden, &key("gradients"), step));
        one = adam.step(one, found, lr);
        assert_eq!(adam.take_non_finite(), if step == 2 { 3 } else { 0 }, "{case}, step {step}");
        let x = params::to_vec(one.x.val());
        let error = difference(&x, &at(&golden, &key("x"), step));
        assert!(error < 1e-5, "{case}, step {step}: relative difference {error}");
        // Save and restore the optimiser, as a resumed run does.
        let mut file = TensorFile::default();
        adam.collect("adam", &mut file);
        adam = Adam::new(settings);
        adam.restore("adam", &one, &file, &golden.device).unwrap();
        if step == 4 {
            for of in ["m", "v"] {
                let found = file.tensor(&format!("adam.{of}.x")).unwrap().to_f32();
                let error = difference(&found, &golden.values(&key(of)));
                assert!(error < 1e-5, "{case}, {of}: relative difference {error}");
            }
        }
    }
}

#[test]
fn adam_with_lazy_phases() {
    let settings = StyleganSettings::auto(256, None);
    for (case, interval) in [("generator", 4), ("discriminator", 16)] {
        let lr = settings.lr * cigan::nn::adam::lazy_factor(interval);
        check_steps(case, settings.adam.lazy(interval), lr);
    }
}

#[test]
fn adam_with_momentum() {
    check_steps("plain", AdamSettings { beta1: 0.9, beta2: 0.99, eps: 1e-8 }, 1e-4);
}

#[test]
fn moving_average() {
    let golden = Golden::open("adam.safetensors");
    for (case, rampup) in [("plain", 0.0), ("ramp", 0.05)] {
        let settings = StyleganSettings {
            ema_kimg: 10.0,
            ema_rampup: rampup,
            ..StyleganSettings::auto(256, Some(32))
        };
        let network = |step: usize| {
            let values = TensorData::new(at(&golden, "ema.values", step), [1, 6]);
            One::new(Tensor::from_data(values, &golden.device))
        };
        let mut average = network(0);
        for step in 0..5 {
            let beta = settings.ema_beta(32 * step as u64);
            let expected = golden.values(&format!("ema.{case}.beta"))[step];
            assert!((beta as f32 - expected).abs() < 1e-6, "{case}, step {step}: β {beta}");
            average = ema::update(average, &network(step).train(), beta);
            let found = params::to_vec(average.x.val());
            let error = difference(&found, &at(&golden, &format!("ema.{case}"), step));
            assert!(error < 1e-5, "{case}, step {step}: relative difference {error}");
        }
    }
}
