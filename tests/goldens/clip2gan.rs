//! The mapper, the noise and the losses of CLIP2GAN against a reference in f64, which computes the
//! gradient penalty by double backward.

use burn::module::Module;
use burn::tensor::{Tensor, TensorData};
use cigan::nn::params::{self, NamedGradients, to_vec};
use cigan::nn::resample;
use cigan::nn::{Dual, Init};
use cigan::systems::clip2gan::losses::{self, Adversarial};
use cigan::systems::clip2gan::{Clip2GanNetwork, Mapper, MapperSizes, Noise, NoiseKind};
use cigan::systems::gan::gradient_penalty::UnitGradientPenalty;
use cigan::systems::stylegan::{Discriminator, official};

use crate::common::{Golden, difference, names};
use crate::narrow;

/// Tolerance of a loss.
const LOSS: f32 = 1e-5;

fn golden() -> Golden {
    Golden::open("clip2gan.safetensors")
}

#[test]
fn the_mapper() {
    let golden = golden();
    let network = Clip2GanNetwork { depth: 3, width: 6, ..Clip2GanNetwork::default() };
    let sizes = MapperSizes { input: 5, num_ws: 2, w_dim: 3 };
    let fresh = Mapper::new(&network, sizes, &mut Init::new(0, "golden", &golden.device));
    let own = names(&fresh);
    let file = crate::renamed(&golden.file, "M.", own.iter().map(String::as_str), str::to_owned);
    assert_eq!(file.tensors.len(), 6);
    let mapper = params::restore(fresh, "", &file).unwrap().train();
    let codes = mapper.forward(golden.get("in.f"));
    golden.close("codes", codes.clone().inner());
    let gradients = (codes * golden.get("in.projection")).sum().backward();
    let found = NamedGradients::of(&mapper, &gradients);
    let compared = golden.close_gradients(1e-4, "grad.M.", &own, str::to_owned, &found);
    assert_eq!(compared, own.len());
}

#[test]
fn noise_of_every_kind() {
    let golden = golden();
    for (name, kind) in [
        ("multiply", NoiseKind::Multiply),
        ("add", NoiseKind::Add),
        ("none", NoiseKind::None),
        ("lafite", NoiseKind::Lafite),
    ] {
        let noise = Noise { kind, scale: 0.6 };
        let apply = |amount| noise.apply(golden.get("in.f"), golden.get("in.normal"), amount);
        golden.close(&format!("noise.{name}"), apply(1.0));
        golden.close(&format!("noise.{name}.half"), apply(0.5));
    }
}

/// Two layers of features.
fn layers(images: Tensor<4>) -> Vec<Tensor<4>> {
    let [n, c, h, w] = images.dims();
    let every_second = images.clone().reshape([n, c, h / 2, 2, w / 2, 2]);
    let every_second = every_second.narrow(3, 0, 1).narrow(5, 0, 1);
    let average = resample::average2();
    let halved = |x| cigan::kernels::upfirdn2d(x, &average);
    let means = halved(halved(images));
    vec![every_second.reshape([n, c, h / 2, w / 2]) * 2.0, means.clone() * means]
}

#[test]
fn losses_of_the_mapper() {
    let golden = golden();
    let real = golden.get::<4>("in.real");
    let first = golden.get::<4>("in.first").autodiff().require_grad();
    let second = golden.get::<4>("in.second").autodiff().require_grad();
    let reconstruction = losses::reconstruction(real.clone(), first.clone());
    golden.within(LOSS, "loss.reconstruction", reconstruction.inner());
    let identity = losses::identity(layers(real), layers(first.clone().inner()));
    golden.within(LOSS, "loss.identity", identity);
    let noise = Noise::default();
    let vectors = ["in.normal", "in.other"]
        .map(|name| noise.apply(golden.get("in.f"), golden.get(name), 1.0));
    let diversity = losses::diversity(vectors, [first.clone(), second.clone()]);
    golden.within(LOSS, "loss.diversity", diversity.clone().inner());
    let gradients = diversity.backward();
    for (name, images) in [("first", first), ("second", second)] {
        let key = format!("grad.diversity.{name}");
        golden.close(&key, images.grad(&gradients).unwrap());
        // The quotient of the first pair is limited, so its gradient is 0.
        let limited = &golden.values(&key)[..3 * 16 * 16];
        assert!(limited.iter().all(|v| *v == 0.0), "{key}");
    }
}

fn discriminator(golden: &Golden) -> (Discriminator, impl Fn(&str) -> String) {
    let published = |name: &str| official::discriminator_name(name, 16);
    let fresh = Discriminator::new(&narrow(), &mut Init::new(0, "golden", &golden.device));
    let own = names(&fresh);
    let file = crate::renamed(&golden.file, "D.", own.iter().map(String::as_str), published);
    assert_eq!(file.tensors.len(), own.len());
    let d = params::restore(fresh, "", &file).unwrap().train().with_groups_of(1);
    (d, published)
}

#[test]
fn losses_of_the_discriminator_and_its_penalty() {
    let golden = golden();
    let (d, published) = discriminator(&golden);
    let [fake, real] = ["in.first", "in.real"].map(|name| d.valid().apply(golden.get(name), None));
    for (name, loss) in
        [("wgan", Adversarial::WganGp), ("nonsaturating", Adversarial::Nonsaturating)]
    {
        let of_d = loss.discriminator(fake.clone(), real.clone());
        golden.within(LOSS, &format!("loss.{name}.d"), of_d);
        golden.within(LOSS, &format!("loss.{name}.g"), loss.generator(fake.clone()));
    }
    let score = |d: &Discriminator, x: Dual<4>| d.forward(x, None);
    let UnitGradientPenalty { surrogate, value } =
        UnitGradientPenalty::new(&d, golden.get("between"), 10.0, score);
    golden.within(LOSS, "loss.penalty", value);
    let found = NamedGradients::of(&d, &surrogate.backward());
    let own = names(&d);
    let compared = golden.close_gradients(1e-4, "grad.penalty.D.", &own, published, &found);
    assert_eq!(compared, own.len());
}

/// The logit of an image does not depend on the others, which the penalty requires.
#[test]
fn a_group_of_one_separates_images() {
    let golden = golden();
    let d = discriminator(&golden).0.valid();
    let images = golden.get::<4>("in.real");
    let together = to_vec(d.apply(images.clone(), None));
    for (index, expected) in together.iter().enumerate() {
        let alone = to_vec(d.apply(images.clone().narrow(0, index, 1), None));
        assert!(difference(&alone, &[*expected]) < 1e-5, "{index}");
    }
    let rows = TensorData::new(vec![1i32, 0, 3, 2], [4]);
    let rows = Tensor::<1, burn::tensor::Int>::from_data(rows, &golden.device);
    let swapped = to_vec(d.apply(images.select(0, rows), None));
    let expected = [1, 0, 3, 2].map(|row: usize| together[row]);
    assert!(difference(&swapped, &expected) < 1e-5);
}
