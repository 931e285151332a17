//! Augmentation against a reference with double backward.
//!
//! The expected values were computed in f64 by `scripts/make_goldens.py` and agree with the
//! published StyleGAN2-ADA code to 5e-14 (`scripts/check_official.py`).

use crate::common::{Golden, difference, names};
use crate::narrow;
use burn::module::Module;
use burn::tensor::Tensor;
use cigan::nn::params::{self, NamedGradients};
use cigan::nn::{Dual, Init};
use cigan::systems::gan::gradient_penalty;
use cigan::systems::stylegan::augment::{Gated, ImageDraws, Margins, Transform};
use cigan::systems::stylegan::{Discriminator, official};

/// One batch of the golden file.
struct Case<'a> {
    golden: &'a Golden,
    name: &'a str,
    transform: Transform,
}

impl<'a> Case<'a> {
    fn open(golden: &'a Golden, name: &'a str) -> Self {
        let [n, _, h, w] = golden.get::<4>(&format!("{name}.in")).dims();
        let draws: Vec<_> = (0..n).map(|image| draws_of(golden, name, image)).collect();
        let p = f64::from(golden.scalar(&format!("{name}.p")));
        Self { golden, name, transform: Transform::new(&draws, p, [h, w]) }
    }

    fn key(&self, of: &str) -> String {
        format!("{}.{of}", self.name)
    }

    fn get(&self, of: &str) -> Tensor<4> {
        self.golden.get(&self.key(of))
    }

    fn close<const D: usize>(&self, of: &str, found: Tensor<D>) {
        self.golden.close(&self.key(of), found);
    }

    fn check_matrices(&self) {
        let flat = |values: Vec<f64>| values.into_iter().map(|v| v as f32).collect::<Vec<_>>();
        let inverse = flat(self.transform.inverse().iter().flatten().flatten().copied().collect());
        let colour = flat(self.transform.colour().iter().flatten().flatten().copied().collect());
        for (of, found) in [("g_inv", inverse), ("c", colour)] {
            let error = difference(&found, &self.golden.values(&self.key(of)));
            assert!(error < 1e-6, "{}: relative difference {error}", self.key(of));
        }
        let Margins { left, top, right, bottom } = self.transform.margins();
        let expected = self.golden.values(&self.key("margins"));
        assert_eq!([left, top, right, bottom].map(|m| m as f32), expected[..]);
    }

    fn check_images(&self) {
        let x = self.get("in");
        self.close("warped", self.transform.warp(x.clone().into()).value);

        let moved = self.transform.apply(Dual::new(x.clone(), self.get("t")));
        self.close("out", moved.value);
        self.close("out_t", moved.tangent.unwrap());

        let x = x.autodiff().require_grad();
        let out = self.transform.apply(x.clone().into()).value;
        let gradients = (out * self.get("r")).sum().backward();
        self.close("grad.in", x.grad(&gradients).unwrap());
    }

    fn check_r1(&self, d: &Discriminator, tolerance: f32) {
        let x = self.get("in");
        let frozen = d.valid();
        let score = |d: &Discriminator, x: Dual<4>| d.forward(self.transform.apply(x), None);
        self.close("r1.logits", score(&frozen, x.clone().into()).value);
        let v = gradient_penalty::input_gradient(x.clone(), |x| score(&frozen, x).value);
        self.close("r1.v", v.clone());
        let penalty = self.golden.get::<1>(&self.key("r1.penalty")).mean() * 5.0;
        let value = gradient_penalty::r1_value(v.clone(), 10.0);
        assert!(difference(&params::to_vec(value), &params::to_vec(penalty)) < 1e-4);
        let logits = score(d, Dual::new(x, v));
        self.close("r1.logits_t", logits.tangent.clone().unwrap());
        let surrogate = gradient_penalty::r1_surrogate(logits, 10.0) * 16.0;
        let gradients = NamedGradients::of(d, &surrogate.backward());
        let published = |ours: &str| official::discriminator_name(ours, 16);
        let prefix = self.key("r1.grad.D.");
        let golden = self.golden;
        let compared = golden.close_gradients(tolerance, &prefix, &names(d), published, &gradients);
        assert_eq!(compared, 18);
    }
}

fn draws_of(golden: &Golden, case: &str, image: usize) -> ImageDraws {
    let values = |step: &str| golden.values(&format!("{case}.draw.{step}"));
    let gate = |step: &str| f64::from(values(&format!("{step}.gate"))[image]);
    let one = |step: &str| Gated { value: f64::from(values(step)[image]), gate: gate(step) };
    let two = |step: &str| {
        let value = [0, 1].map(|axis| f64::from(values(step)[2 * image + axis]));
        Gated { value, gate: gate(step) }
    };
    ImageDraws {
        xflip: one("xflip"),
        rotate90: one("rotate90"),
        xint: two("xint"),
        scale: one("scale"),
        rotate_pre: one("rotate_pre"),
        aniso: one("aniso"),
        rotate_post: one("rotate_post"),
        xfrac: two("xfrac"),
        brightness: one("brightness"),
        contrast: one("contrast"),
        lumaflip: one("lumaflip"),
        hue: one("hue"),
        saturation: one("saturation"),
    }
}

fn discriminator(golden: &Golden) -> Discriminator {
    let settings = narrow();
    let fresh = Discriminator::new(&settings, &mut Init::new(0, "test", &golden.device));
    let names = names(&fresh);
    let published = |ours: &str| official::discriminator_name(ours, 16);
    let names = names.iter().map(String::as_str);
    let file = crate::renamed(&golden.file, "D.", names, published);
    params::restore(fresh, "", &file).unwrap().train()
}

#[test]
fn draws_become_matrices() {
    let golden = Golden::open("augment.safetensors");
    for name in ["p1", "half", "identity", "above_one", "p1_32"] {
        Case::open(&golden, name).check_matrices();
    }
}

#[test]
fn images_gradients_and_tangents() {
    let golden = Golden::open("augment.safetensors");
    for name in ["p1", "half", "identity", "above_one", "p1_32"] {
        Case::open(&golden, name).check_images();
    }
}

#[test]
fn r1_of_the_image_before_augmentation() {
    let golden = Golden::open("augment.safetensors");
    let d = discriminator(&golden);
    // Some gradients of the first case nearly cancel; the reference in f32 is also off by 1e-4.
    Case::open(&golden, "p1").check_r1(&d, 5e-4);
    Case::open(&golden, "half").check_r1(&d, 1e-4);
}

#[test]
fn draws_depend_only_on_seed_purpose_and_image() {
    let draw = |seed, purpose, nimg| ImageDraws::batch(seed, purpose, nimg, 3);
    assert_eq!(draw(1, "dmain.real", 64), draw(1, "dmain.real", 64));
    assert_ne!(draw(1, "dmain.real", 64), draw(1, "dmain.fake", 64));
    assert_ne!(draw(1, "dmain.real", 64), draw(1, "dmain.real", 96));
    // The first images of a larger batch are the same ones.
    assert_eq!(draw(1, "gmain", 0), ImageDraws::batch(1, "gmain", 0, 5)[..3]);
    let transform = |p| Transform::draw(1, "gmain", 0, 3, p, [16, 16]);
    assert_eq!(transform(0.5), transform(0.5));
    assert_ne!(transform(0.5), transform(1.0));
}

#[test]
fn wider_margins_hardly_change_the_images() {
    let golden = Golden::open("augment.safetensors");
    let case = Case::open(&golden, "half");
    let x = case.get("in");
    let exact = params::to_vec(case.transform.warp(x.clone().into()).value);
    let wide = case.transform.clone().with_margin_step(8);
    assert!(wide.margins().left >= case.transform.margins().left);
    let error = difference(&params::to_vec(wide.warp(x.into()).value), &exact);
    assert!(error < 1e-4, "relative difference {error}");
}
