//! Networks, losses and gradients of stage 1 against a reference with double backward.
//!
//! The expected values were computed in f64 by `scripts/make_goldens.py` (plain PyTorch
//! operations) and agree with the published StyleGAN2-ADA code.

use std::collections::BTreeMap;
use std::path::Path;

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use cigan::nn::params::{self, NamedGradients};
use cigan::nn::{Dual, Init};
use cigan::stylegan::generator::Truncation;
use cigan::stylegan::losses::{self, PathLength};
use cigan::stylegan::mapping::mix;
use cigan::stylegan::settings::Architecture;
use cigan::stylegan::{Discriminator, Generator, NetworkSettings, Noise, official};
use cigan::tensorfile::TensorFile;

struct Golden {
    file: TensorFile,
    device: Device,
}

impl Golden {
    fn open(name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens").join(name);
        Self { file: TensorFile::read(path).unwrap(), device: Device::flex() }
    }

    fn get<const D: usize>(&self, name: &str) -> Tensor<D> {
        let tensor = self.file.tensor(name).unwrap();
        let mut shape = tensor.shape.clone();
        shape.resize(D.max(shape.len()), 1);
        Tensor::from_data(TensorData::new(tensor.to_f32(), shape), &self.device)
    }

    fn scalar(&self, name: &str) -> f32 {
        self.file.tensor(name).unwrap().to_f32()[0]
    }

    /// The largest difference, relative to the largest expected magnitude.
    fn error<const D: usize>(&self, name: &str, found: Tensor<D>) -> f32 {
        let expected = self.file.tensor(name).unwrap().to_f32();
        difference(&params::to_vec(found), &expected)
    }

    fn close<const D: usize>(&self, name: &str, found: Tensor<D>) {
        let error = self.error(name, found);
        assert!(error < 1e-4, "{name}: relative difference {error}");
    }
}

fn difference(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    let scale = expected.iter().fold(1e-12f32, |m, v| m.max(v.abs()));
    found.iter().zip(expected).fold(0f32, |m, (a, b)| m.max((a - b).abs())) / scale
}

/// Every trained parameter's gradient is compared; one that the reference leaves out must be zero.
fn close_gradients(
    golden: &Golden,
    prefix: &str,
    names: &[String],
    published: impl Fn(&str) -> String,
    found: &NamedGradients,
) {
    let mut compared = 0;
    for name in names {
        let key = format!("{prefix}{}", published(name));
        let Some(expected) = golden.file.tensors.get(&key) else { continue };
        let expected = expected.to_f32();
        let zeros = || vec![0.0; expected.len()];
        let gradient = found.get(name).map_or_else(zeros, |g| params::to_vec(g.clone()));
        let error = difference(&gradient, &expected);
        let size = expected.iter().fold(0f32, |m, v| m.max(v.abs()));
        assert!(error < 1e-4 || size < 1e-9, "{key}: relative difference {error}");
        compared += 1;
    }
    assert!(compared > 10, "only {compared} gradients of {prefix} were compared");
}

struct Networks {
    golden: Golden,
    g: Generator,
    d: Discriminator,
    g_names: Vec<String>,
    d_names: Vec<String>,
    resolution: usize,
}

fn names<M: Module>(module: &M) -> Vec<String> {
    let mut file = TensorFile::default();
    params::collect(module, "", &mut file);
    file.tensors.into_keys().collect()
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
        let g_file = official::adopt(
            &golden.file,
            "G.",
            "",
            g_names.iter().map(String::as_str),
            official::generator_name,
        );
        let d_file =
            official::adopt(&golden.file, "D.", "", d_names.iter().map(String::as_str), d_name);
        let g = params::restore(g, "", &g_file).unwrap().train();
        let d = params::restore(d, "", &d_file).unwrap().train();
        Self { golden, g, d, g_names, d_names, resolution }
    }

    fn noise(&self, count: usize) -> Noise {
        let mut draws = Vec::new();
        for side in (2..=self.resolution.ilog2()).map(|log| 1 << log) {
            for conv in ["conv0", "conv1"] {
                let name = format!("noise.b{side}.{conv}");
                if self.golden.file.tensors.contains_key(&name) {
                    draws.push(self.golden.get::<4>(&name).narrow(0, 0, count));
                }
            }
        }
        Noise::Given(draws)
    }

    fn labels(&self, count: usize) -> Option<Tensor<2>> {
        self.golden
            .file
            .tensors
            .contains_key("in.c")
            .then(|| self.golden.get::<2>("in.c").narrow(0, 0, count))
    }

    fn mixed_ws(&self, count: usize, crossover: usize) -> Tensor<3> {
        let w = |name| {
            let z = self.golden.get::<2>(name).narrow(0, 0, count);
            self.g.mapping.forward(Some(z), self.labels(count))
        };
        mix(w("in.z"), w("in.z2"), crossover, self.g.synthesis.num_ws())
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
        for (suffix, truncation) in [("", Truncation::NONE), ("_psi", psi), ("_psi_cutoff", cutoff)] {
            let ws = g.ws(z.clone(), self.labels(2), truncation);
            golden.close(&format!("out.ws{suffix}"), ws.clone());
            let image = g.synthesize(ws, &Noise::Const);
            golden.close(&format!("out.image_const{suffix}"), image);
        }
        let ws = g.ws(z, self.labels(2), Truncation::NONE);
        golden.close("out.image_none", g.synthesize(ws.clone(), &Noise::None));
        golden.close("out.image_noise", g.synthesize(ws, &self.noise(2)));
        let logits = self.d.valid().apply(golden.get("in.real"), self.labels(n));
        golden.close("out.real_logits", logits);
    }

    fn check_main_phases(&self) {
        let golden = &self.golden;
        let n = golden.file.tensor("in.z").unwrap().shape[0];
        let crossover = golden.scalar("in.crossover") as usize;
        let ws = self.mixed_ws(n, crossover);
        let fake = self.g.synthesis.forward(ws.into(), &self.noise(n)).value;

        let logits = self.d.valid().apply(fake.clone(), self.labels(n));
        golden.close("gmain.logits", logits.clone());
        let loss = losses::generator(logits);
        golden.close("gmain.loss", loss.clone());
        let gradients = NamedGradients::of(&self.g, &loss.backward());
        close_gradients(golden, "gmain.grad.G.", &self.g_names, official::generator_name, &gradients);

        let real_logits = self.d.apply(golden.get("in.real"), self.labels(n));
        golden.close("dmain.real_logits", real_logits.clone());
        let loss = losses::discriminator_fake(self.d.apply(fake.inner(), self.labels(n)))
            + losses::discriminator_real(real_logits);
        golden.close("dmain.loss", loss.clone());
        let gradients = NamedGradients::of(&self.d, &loss.backward());
        let name = |ours: &str| official::discriminator_name(ours, self.resolution);
        close_gradients(golden, "dmain.grad.D.", &self.d_names, name, &gradients);
    }

    fn check_r1(&self) {
        let golden = &self.golden;
        let real = golden.get::<4>("in.real");
        let n = real.dims()[0];
        let frozen = self.d.valid();
        let v = losses::image_gradient(real.clone(), |x| frozen.forward(x, self.labels(n)).value);
        golden.close("r1.v", v.clone());
        let logits = self.d.forward(Dual::new(real, v.clone()), self.labels(n));
        golden.close("r1.logits_t", logits.tangent.clone().unwrap());
        let surrogate = losses::r1_surrogate(logits, 10.0) * 16.0;
        let gradients = NamedGradients::of(&self.d, &surrogate.backward());
        let name = |ours: &str| official::discriminator_name(ours, self.resolution);
        close_gradients(golden, "r1.grad.D.", &self.d_names, name, &gradients);
        let expected = golden.get::<1>("r1.penalty").mean() * 5.0;
        let found = losses::r1_value(v, 10.0);
        let error = difference(&params::to_vec(found), &params::to_vec(expected));
        assert!(error < 1e-4, "value of R1: {error}");
    }

    fn check_path_length(&self) {
        let golden = &self.golden;
        let y = golden.get::<4>("pl.y");
        let n = y.dims()[0];
        let ws = self.mixed_ws(n, golden.scalar("pl.crossover") as usize);
        golden.close("pl.ws", ws.clone());
        let step = PathLength { weight: 2.0, decay: 0.01 }.step(
            &self.g.synthesis,
            &self.g.synthesis.valid(),
            ws,
            &self.noise(n),
            y,
            golden.get::<1>("pl.a").reshape([1]),
        );
        golden.close("pl.a_new", step.mean);
        let expected = golden.get::<1>("pl.penalty").mean() * 2.0;
        let error = difference(&params::to_vec(step.penalty), &params::to_vec(expected));
        assert!(error < 1e-4, "value of the penalty: {error}");
        let gradients = NamedGradients::of(&self.g, &(step.surrogate * 4.0).backward());
        close_gradients(golden, "pl.grad.G.", &self.g_names, official::generator_name, &gradients);
    }

    fn check_all(&self) {
        self.check_images();
        self.check_main_phases();
        self.check_r1();
        self.check_path_length();
    }
}

fn settings(resolution: usize, meta: &BTreeMap<String, String>) -> NetworkSettings {
    let about = &meta["generator"];
    let number = |key: &str| {
        let rest = &about[about.find(key).unwrap_or_else(|| panic!("{key} in {about}")) + key.len()..];
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
    }
}

fn open(file: &str, resolution: usize) -> Networks {
    let meta = Golden::open(file).file.metadata;
    Networks::open(file, settings(resolution, &meta))
}

#[test]
fn unconditional_16() {
    open("stylegan2_16.safetensors", 16).check_all();
}

#[test]
fn unconditional_32() {
    open("stylegan2_32.safetensors", 32).check_all();
}
