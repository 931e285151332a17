//! Networks, losses and gradients of stage 1 against a reference with double backward.
//!
//! The expected values were computed in f64 by `scripts/make_goldens.py` (plain PyTorch
//! operations) and agree with the published StyleGAN2-ADA code.

use std::collections::BTreeMap;

use crate::common::{Golden, difference, names};
use burn::module::Module;
use burn::tensor::Tensor;
use cigan::nn::params::{self, NamedGradients};
use cigan::nn::{Dual, Init};
use cigan::systems::gan::adversarial;
use cigan::systems::gan::gradient_penalty;
use cigan::systems::stylegan::generator::Truncation;
use cigan::systems::stylegan::losses::{PathGradient, PathLength};
use cigan::systems::stylegan::mapping::broadcast;
use cigan::systems::stylegan::settings::Architecture;
use cigan::systems::stylegan::{Discriminator, Generator, NetworkSettings, Noise, official};

struct Networks {
    golden: Golden,
    g: Generator,
    d: Discriminator,
    g_names: Vec<String>,
    d_names: Vec<String>,
    resolution: usize,
}

impl Networks {
    fn open(file: &str, settings: NetworkSettings) -> Self {
        let golden = Golden::open(file);
        let mut init = Init::new(0, "test", &golden.device);
        let g = Generator::new(&settings, &mut init);
        let d = Discriminator::new(&settings, &mut init);
        let (g_names, d_names) = (names(&g), names(&d));
        let resolution = settings.resolution;
        let d_name = |ours: &str| official::discriminator_name(ours, resolution);
        let g_file = crate::renamed(
            &golden.file,
            "G.",
            g_names.iter().map(String::as_str),
            official::generator_name,
        );
        let d_file = crate::renamed(&golden.file, "D.", d_names.iter().map(String::as_str), d_name);
        let g = params::restore(g, "", &g_file).unwrap().train();
        let d = params::restore(d, "", &d_file).unwrap().train();
        Self { golden, g, d, g_names, d_names, resolution }
    }

    fn noise(&self, count: usize) -> Noise {
        let mut draws = Vec::new();
        for side in (2..=self.resolution.ilog2()).map(|log| 1 << log) {
            for conv in ["conv0", "conv1"] {
                let name = format!("noise.b{side}.{conv}");
                if self.golden.has(&name) {
                    draws.push(self.golden.get::<4>(&name).narrow(0, 0, count));
                }
            }
        }
        Noise::Explicit(draws)
    }

    fn labels(&self, count: usize) -> Option<Tensor<2>> {
        self.golden.has("in.c").then(|| self.golden.get::<2>("in.c").narrow(0, 0, count))
    }

    fn close_generator(&self, prefix: &str, found: &NamedGradients) {
        let name = official::generator_name;
        let compared = self.golden.close_gradients(1e-4, prefix, &self.g_names, name, found);
        assert!(compared > 10, "only {compared} gradients of {prefix} were compared");
    }

    fn close_discriminator(&self, prefix: &str, found: &NamedGradients) {
        let name = |ours: &str| official::discriminator_name(ours, self.resolution);
        let compared = self.golden.close_gradients(1e-4, prefix, &self.d_names, name, found);
        assert!(compared > 10, "only {compared} gradients of {prefix} were compared");
    }

    fn mixed_ws(&self, count: usize, crossover: usize) -> Tensor<3> {
        let w = |name| {
            let z = self.golden.get::<2>(name).narrow(0, 0, count);
            self.g.mapping.forward(Some(z), self.labels(count))
        };
        let (first, second, num_ws) = (w("in.z"), w("in.z2"), self.g.synthesis.num_ws());
        Tensor::cat(vec![broadcast(first, crossover), broadcast(second, num_ws - crossover)], 1)
    }

    fn check_images(&self) {
        let golden = &self.golden;
        let g = self.g.valid();
        let z = golden.get::<2>("in.z");
        let n = z.dims()[0];
        let w = g.mapping.forward(Some(z.clone()), self.labels(n));
        golden.close("out.w", w.clone());
        let tracked = g.mapping.clone().track(&w);
        golden.close("out.w_avg_after", tracked.w_avg.unwrap().val());

        let z = z.narrow(0, 0, 2);
        let psi = Truncation::psi(0.5);
        let cutoff = Truncation { psi: 0.5, cutoff: Some(3) };
        for (suffix, truncation) in [("", Truncation::NONE), ("_psi", psi), ("_psi_cutoff", cutoff)]
        {
            let ws = g.ws(z.clone(), self.labels(2), truncation);
            golden.close(&format!("out.ws{suffix}"), ws.clone());
            let image = g.synthesize(ws, &Noise::Const);
            golden.close(&format!("out.image_const{suffix}"), image);
        }
        let ws = g.ws(z, self.labels(2), Truncation::NONE);
        golden.close("out.image_none", g.synthesize(ws.clone(), &Noise::None));
        golden.close("out.image_noise", g.synthesize(ws, &self.noise(2)));
        let logits = self.d.valid().apply(golden.get("in.real"), self.labels(n));
        let name = if golden.has("out.real_logits") { "out" } else { "dmain" };
        golden.close(&format!("{name}.real_logits"), logits);
        if golden.has("out.cmap") {
            let mapping = self.d.mapping.as_ref().unwrap();
            golden.close("out.cmap", mapping.forward(None, self.labels(n)));
        }
    }

    fn check_main_phases(&self) {
        let golden = &self.golden;
        let n = golden.file.tensor("in.z").unwrap().shape[0];
        let crossover = golden.scalar("in.crossover") as usize;
        let ws = self.mixed_ws(n, crossover);
        let fake = self.g.synthesis.forward(ws, &self.noise(n)).value;

        let logits = self.d.valid().apply(fake.clone(), self.labels(n));
        golden.close("gmain.logits", logits.clone());
        let loss = adversarial::generator(logits);
        golden.close("gmain.loss", loss.clone());
        let gradients = NamedGradients::of(&self.g, &loss.backward());
        self.close_generator("gmain.grad.G.", &gradients);

        let real_logits = self.d.apply(golden.get("in.real"), self.labels(n));
        golden.close("dmain.real_logits", real_logits.clone());
        let loss = adversarial::discriminator_fake(self.d.apply(fake.inner(), self.labels(n)))
            + adversarial::discriminator_real(real_logits);
        golden.close("dmain.loss", loss.clone());
        let gradients = NamedGradients::of(&self.d, &loss.backward());
        self.close_discriminator("dmain.grad.D.", &gradients);
    }

    fn check_r1(&self) {
        let golden = &self.golden;
        let real = golden.get::<4>("in.real");
        let n = real.dims()[0];
        let frozen = self.d.valid();
        let v = gradient_penalty::input_gradient(real.clone(), |x| {
            frozen.forward(x, self.labels(n)).value
        });
        golden.close("r1.v", v.clone());
        let logits = self.d.forward(Dual::new(real, v.clone()), self.labels(n));
        golden.close("r1.logits_t", logits.tangent.clone().unwrap());
        let surrogate = gradient_penalty::r1_surrogate(logits, 10.0) * 16.0;
        let gradients = NamedGradients::of(&self.d, &surrogate.backward());
        self.close_discriminator("r1.grad.D.", &gradients);
        let expected = golden.get::<1>("r1.penalty").mean() * 5.0;
        let found = gradient_penalty::r1_value(v, 10.0);
        let error = difference(&params::to_vec(found), &params::to_vec(expected));
        assert!(error < 1e-4, "value of R1: {error}");
    }

    fn check_path_length(&self) {
        let golden = &self.golden;
        let y = golden.get::<4>("pl.y");
        let n = y.dims()[0];
        let ws = self.mixed_ws(n, golden.scalar("pl.crossover") as usize);
        golden.close("pl.ws", ws.clone());
        let (ws, noise) = (ws.into(), self.noise(n));
        let gradient = PathGradient::of(&self.g.synthesis.valid(), &ws, &noise, y.clone());
        let path = PathLength { weight: 2.0, decay: 0.01 };
        let mean = golden.get::<1>("pl.a").reshape([1]);
        let mean = path.average(mean, gradient.mean_length());
        golden.close("pl.a_new", mean.clone());
        let (surrogate, penalty) = path.penalty(&self.g.synthesis, gradient, ws, &noise, y, mean);
        let expected = golden.get::<1>("pl.penalty").mean() * 2.0;
        let error = difference(&params::to_vec(penalty), &params::to_vec(expected));
        assert!(error < 1e-4, "value of the penalty: {error}");
        let gradients = NamedGradients::of(&self.g, &(surrogate * 4.0).backward());
        self.close_generator("pl.grad.G.", &gradients);
    }

    fn check_all(&self) {
        self.check_images();
        self.check_main_phases();
        self.check_r1();
        if self.golden.has("pl.y") {
            self.check_path_length();
        }
    }
}

fn settings(resolution: usize, meta: &BTreeMap<String, String>) -> NetworkSettings {
    let about = &meta["generator"];
    let number = |key: &str| {
        let rest =
            &about[about.find(key).unwrap_or_else(|| panic!("{key} in {about}")) + key.len()..];
        let rest = rest.trim_start_matches([' ', '=']);
        rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap()
    };
    NetworkSettings {
        resolution,
        z_dim: number("z_dim"),
        w_dim: number("w_dim"),
        classes: number("labels"),
        mapping_layers: number("mapping layers"),
        channel_base: number("channel_base"),
        channel_max: number("channel_max"),
        architecture: if meta["discriminator"].starts_with("orig") {
            Architecture::Orig
        } else {
            Architecture::Resnet
        },
        mbstd_group: 4,
        conv_clamp: None,
        sentence: None,
    }
}

fn open(file: &str, resolution: usize) -> Networks {
    let meta = Golden::open(file).file.metadata;
    Networks::open(file, settings(resolution, &meta))
}

#[test]
fn discriminator_without_skips() {
    open("stylegan2_orig.safetensors", 16).check_all();
}

#[test]
fn with_labels() {
    open("stylegan2_cond.safetensors", 16).check_all();
}

#[test]
fn clamped_activations() {
    let file = "stylegan2_clamp.safetensors";
    let meta = Golden::open(file).file.metadata;
    let settings = NetworkSettings { conv_clamp: Some(0.8), ..settings(16, &meta) };
    Networks::open(file, settings).check_all();
}

#[test]
fn unconditional_16() {
    open("stylegan2_16.safetensors", 16).check_all();
}

#[test]
fn unconditional_32() {
    open("stylegan2_32.safetensors", 32).check_all();
}
