//! Every layer of G and D separately: value, gradients, tangent, gradients of the tangent.
//!
//! The expected values were computed in f64 by `scripts/make_goldens.py` (plain PyTorch
//! operations, differentiated twice).

use std::f32::consts::FRAC_1_SQRT_2;

use crate::common::{Golden, names};
use burn::module::Module;
use burn::tensor::{Device, Gradients, Tensor};
use cigan::kernels::Activation;
use cigan::nn::linear::{LinearOptions, normalize_second_moment};
use cigan::nn::minibatch_std::minibatch_std;
use cigan::nn::modulated::LayerNoise;
use cigan::nn::params::{self, NamedGradients};
use cigan::nn::{ConvLayer, Dual, Init, Linear, ModulatedConv, ToRgb, resample};
use cigan::tensorfile::TensorFile;

/// The inputs of a layer.
struct Inputs<const D: usize> {
    x: Dual<D>,
    /// The style; used only by styled layers.
    w: Dual<2>,
    noise: LayerNoise,
}

struct Case {
    golden: Golden,
    name: &'static str,
}

impl Case {
    fn open(name: &'static str) -> Self {
        Self { golden: Golden::open("layers.safetensors"), name }
    }

    fn key(&self, of: &str) -> String {
        format!("{}.{of}", self.name)
    }

    /// The stored tensor, or an unused dummy if the layer has none.
    fn get<const D: usize>(&self, of: &str) -> Tensor<D> {
        if self.golden.has(&self.key(of)) {
            self.golden.get(&self.key(of))
        } else {
            Tensor::zeros([1; D], &self.golden.device)
        }
    }

    /// `fresh` with the stored parameters, ready for training.
    fn adopt<M: Module>(&self, fresh: M) -> M {
        let names = names(&fresh);
        let names = names.iter().map(String::as_str);
        let prefix = self.key("p.");
        let stored = crate::renamed(&self.golden.file, &prefix, names, str::to_owned);
        let mut file = TensorFile::default();
        // Buffers of constant noise are not stored, because no layer here uses them.
        params::collect(&fresh, "", &mut file);
        file.tensors.extend(stored.tensors);
        params::restore(fresh, "", &file).unwrap().train()
    }

    fn check_input<const D: usize>(&self, of: &str, input: &Tensor<D>, gradients: &Gradients) {
        let key = self.key(of);
        if !self.golden.has(&key) {
            return;
        }
        let found = input.grad(gradients).unwrap_or_else(|| input.clone().inner().zeros_like());
        let size = self.golden.values(&key).iter().fold(0f32, |m, v| m.max(v.abs()));
        let error = self.golden.error(&key, found);
        assert!(error < 1e-4 || size < 1e-9, "{key}: relative difference {error}");
    }

    fn check_parameters<M: Module>(&self, of: &str, layer: &M, gradients: &Gradients) {
        let names = names(layer);
        let found = NamedGradients::of(layer, gradients);
        let prefix = self.key(&format!("{of}."));
        let compared = self.golden.close_gradients(1e-4, &prefix, &names, str::to_owned, &found);
        let trained = names.iter().filter(|name| *name != "noise_const").count();
        assert_eq!(compared, trained, "{prefix}");
    }

    fn check<M: Module, const D: usize>(
        &self,
        layer: M,
        forward: impl Fn(&M, Inputs<D>) -> Dual<D>,
    ) {
        let r = self.get::<D>("r");
        let x = self.get::<D>("in.x").autodiff().require_grad();
        let w = self.get::<2>("in.w").autodiff().require_grad();
        let noise = self.get::<4>("in.noise").autodiff().require_grad();
        let check_gradients = |of: &str, scalar: Tensor<1>| {
            let gradients = scalar.backward();
            self.check_input(&format!("{of}.x"), &x, &gradients);
            self.check_input(&format!("{of}.w"), &w, &gradients);
            self.check_input(&format!("{of}.noise"), &noise, &gradients);
            self.check_parameters(of, &layer, &gradients);
        };

        let given = || LayerNoise::Explicit(noise.clone());
        let inputs = Inputs { x: x.clone().into(), w: w.clone().into(), noise: given() };
        let plain = forward(&layer, inputs);
        assert!(plain.tangent.is_none(), "{}: unexpected tangent", self.name);
        self.golden.close(&self.key("out"), plain.value.clone());
        check_gradients("grad", (plain.value * r.clone()).sum());

        let inputs = Inputs {
            x: Dual::new(x.clone(), self.get("t.x")),
            w: Dual::new(w.clone(), self.get("t.w")),
            noise: given(),
        };
        let moved = forward(&layer, inputs);
        self.golden.close(&self.key("out"), moved.value);
        let tangent = moved.tangent.unwrap();
        self.golden.close(&self.key("out_t"), tangent.clone());
        // The tangent of a linear map does not depend on the input, so attach it for the backward
        // pass.
        let attached = x.clone().sum() * 0.0;
        check_gradients("grad_t", (tangent * r).sum() + attached);
    }
}

fn init() -> Init {
    Init::new(0, "test", &Device::flex())
}

#[test]
fn linear() {
    let check = |name, options| {
        let case = Case::open(name);
        let layer = case.adopt(Linear::new(5, 7, options, &mut init()));
        case.check::<_, 2>(layer, |layer, inputs| layer.forward(inputs.x));
    };
    check("linear", LinearOptions::default());
    let slow = LinearOptions { lr_mult: 0.01, act: Activation::LRELU, ..Default::default() };
    check("linear_slow_lrelu", slow);
}

#[test]
fn second_moment() {
    // Only the mapping network uses it, and tangents do not pass through that network.
    let case = Case::open("second_moment");
    let x = case.get::<2>("in.x").autodiff().require_grad();
    let out = normalize_second_moment(x.clone());
    case.golden.close("second_moment.out", out.clone());
    let gradients = (out * case.get("r")).sum().backward();
    case.check_input("grad.x", &x, &gradients);
}

#[test]
fn modulated_convolution() {
    for (name, resolution, up, clamp) in [
        ("styled_conv", 8, false, None),
        ("styled_conv_up", 16, true, None),
        ("styled_conv_clamp", 8, false, Some(0.7)),
    ] {
        let case = Case::open(name);
        let fresh = ModulatedConv::new(5, [3, 4], resolution, up, clamp, &mut init());
        case.check::<_, 4>(case.adopt(fresh), |layer, inputs| {
            layer.forward(inputs.x, inputs.w, &inputs.noise, 1.0)
        });
    }
}

#[test]
fn to_rgb() {
    let case = Case::open("to_rgb");
    let layer = case.adopt(ToRgb::new(5, 3, 3, None, &mut init()));
    case.check::<_, 4>(layer, |layer, inputs| layer.forward(inputs.x, inputs.w));
}

#[test]
fn convolution() {
    let clamped = Activation::LRELU.clamped(Some(0.7));
    for (name, kernel, down, bias, act, gain) in [
        ("conv1x1", 1, false, true, Activation::LRELU, 1.0),
        ("conv3x3", 3, false, true, Activation::LRELU, 1.0),
        ("conv_down", 3, true, true, Activation::LRELU, FRAC_1_SQRT_2),
        ("conv_down_clamp", 3, true, true, clamped, FRAC_1_SQRT_2),
        ("skip_down", 1, true, false, Activation::LRELU, FRAC_1_SQRT_2),
    ] {
        let case = Case::open(name);
        let fresh = ConvLayer::new([3, 4], kernel, down, bias, act, &mut init());
        case.check::<_, 4>(case.adopt(fresh), |layer, inputs| layer.forward(inputs.x, gain));
    }
}

#[test]
fn resampling() {
    for (name, fir) in [("fir_up", resample::up2()), ("fir_down", resample::down2())] {
        let nothing = None::<Linear>;
        Case::open(name).check::<_, 4>(nothing, |_, inputs| inputs.x.resample(&fir));
    }
}

#[test]
fn standard_deviation_of_a_group() {
    for name in ["minibatch_std", "minibatch_std_small"] {
        let nothing = None::<Linear>;
        Case::open(name).check::<_, 4>(nothing, |_, inputs| minibatch_std(inputs.x, 4));
    }
}
