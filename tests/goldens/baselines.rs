//! DAMSM's loss, and the networks and losses of GAN-INT-CLS, against a reference in f64.

use burn::module::Module;
use burn::tensor::{Bool, Tensor, TensorData};
use cigan::language::Words;
use cigan::nn::params::{self, NamedGradients, to_vec};
use cigan::nn::{Init, Statistics};
use cigan::systems::damsm::{DamsmLoss, ImageCodes};
use cigan::systems::gan_int_cls::losses::{self, Judged, interpolated};
use cigan::systems::gan_int_cls::{Discriminator, GanIntClsNetwork, Generator};
use cigan::systems::text_gan::style::{self, StyleEncoder, StyleNetwork};
use cigan::tensorfile::TensorFile;

use crate::common::{Golden, difference, names};

fn golden() -> Golden {
    Golden::open("baselines.safetensors")
}

#[test]
fn the_loss_of_damsm_and_its_gradients() {
    let golden = golden();
    let lengths = golden.values("damsm.lengths");
    let labels = golden.values("damsm.labels");
    let (n, t) = (lengths.len(), lengths.iter().fold(0f32, |m, l| m.max(*l)) as usize);
    let mask: Vec<f32> = lengths
        .iter()
        .flat_map(|&length| (0..t).map(move |at| f32::from(u8::from((at as f32) < length))))
        .collect();
    let same: Vec<bool> =
        (0..n * n).map(|k| k / n != k % n && labels[k / n] == labels[k % n]).collect();
    assert!(same.contains(&true));
    let device = &golden.device;
    let same: Tensor<2, Bool> = Tensor::from_data(TensorData::new(same, [n, n]), device);
    for (name, loss) in [
        ("published", DamsmLoss::default()),
        ("other", DamsmLoss { gamma1: 2.0, gamma2: 3.0, gamma3: 6.0, ..Default::default() }),
    ] {
        let words = golden.get::<3>("damsm.words").autodiff().require_grad();
        let sentences = golden.get::<2>("damsm.sentences").autodiff().require_grad();
        let regions = golden.get::<3>("damsm.regions").autodiff().require_grad();
        let global = golden.get::<2>("damsm.images").autodiff().require_grad();
        let mask = Tensor::from_data(TensorData::new(mask.clone(), [n, t]), device);
        let texts = Words { words: words.clone(), mask, sentence: sentences.clone() };
        let images = ImageCodes { regions: regions.clone(), global: global.clone() };
        let key = |part: &str| format!("damsm.{name}.{part}");
        golden.close(&key("matches"), loss.matches(&texts, regions.clone()).inner());
        let [of_words, of_sentences] = loss.losses(&texts, &images, Some(same.clone()));
        golden.close(&key("of_words"), of_words.clone().inner());
        golden.close(&key("of_sentences"), of_sentences.clone().inner());
        let gradients = (of_words + of_sentences).backward();
        golden.within(1e-3, &key("grad.words"), words.grad(&gradients).unwrap().inner());
        golden.within(1e-3, &key("grad.regions"), regions.grad(&gradients).unwrap().inner());
        golden.within(1e-3, &key("grad.sentences"), sentences.grad(&gradients).unwrap().inner());
        golden.within(1e-3, &key("grad.images"), global.grad(&gradients).unwrap().inner());
        let root = DamsmLoss { root: true, ..loss.clone() };
        let divided = root.matches(&texts, regions) * loss.gamma2;
        golden.close(&key("matches"), divided.inner());
    }
}

const NETWORK: GanIntClsNetwork = GanIntClsNetwork {
    resolution: 32,
    z_dim: 3,
    projection: 6,
    generator_width: 4,
    discriminator_width: 4,
};
const SENTENCE: usize = 5;

/// The name of a tensor in the reference.
fn published(name: &str) -> String {
    let layers =
        [("first", "down16"), ("downs.0", "down8"), ("downs.1", "down4"), ("norms.1", "norm4")];
    let found = layers.iter().find(|(ours, _)| name.strip_prefix(ours) == Some(".weight"));
    if let Some((_, theirs)) = found {
        return format!("{theirs}.weight");
    }
    name.replace("norms.1", "norm4")
}

fn of_discriminator(name: &str) -> String {
    published(name).replace("norms.0", "norm8")
}

fn of_generator(name: &str) -> String {
    match name {
        "first" => "first.weight".to_owned(),
        name => name.replace("ups.0", "up16").replace("norms.0", "norm16"),
    }
}

/// Values of the reference in our order. Its first layer is a transposed convolution of one pixel,
/// `[in, out, 4, 4]`; ours is a matrix `[16·out, in]`.
fn in_order(name: &str, values: Vec<f32>, shape: &[usize]) -> Vec<f32> {
    if name != "first" || shape.len() != 2 {
        return values;
    }
    let (rows, columns) = (shape[0], shape[1]);
    (0..rows * columns).map(|at| values[at % columns * rows + at / columns]).collect()
}

fn filled<M: Module>(golden: &Golden, fresh: M, prefix: &str, name_of: fn(&str) -> String) -> M {
    let mut file = TensorFile::default();
    params::collect(&fresh, "", &mut file);
    for (name, tensor) in file.tensors.clone() {
        if name.contains(".standing.") {
            continue;
        }
        let values = golden.values(&format!("{prefix}.{}", name_of(&name)));
        let values = in_order(&name, values, &tensor.shape);
        file.insert_f32(name, tensor.shape, values).unwrap();
    }
    params::restore(fresh, "", &file).unwrap()
}

fn networks(golden: &Golden) -> (Generator, Discriminator) {
    let init = &mut Init::new(0, "golden", &golden.device);
    let generator = Generator::new(&NETWORK, SENTENCE, init);
    let discriminator = Discriminator::new(&NETWORK, SENTENCE, init);
    (
        filled(golden, generator, "G", of_generator),
        filled(golden, discriminator, "D", of_discriminator),
    )
}

/// Compares the gradients of all trained tensors and returns how many there are.
fn compare<M: Module>(
    golden: &Golden,
    module: &M,
    found: &NamedGradients,
    key: &str,
    name_of: fn(&str) -> String,
) -> usize {
    let trained = names(module).into_iter().filter(|name| !name.contains(".standing."));
    let mut compared = 0;
    for name in trained {
        let expected = golden.values(&format!("{key}.{}", name_of(&name)));
        let gradient = found.get(&name).unwrap_or_else(|| panic!("no gradient of {name}"));
        let gradient = to_vec(gradient.clone());
        let columns = NETWORK.z_dim + NETWORK.projection;
        let shape = [expected.len() / columns, columns];
        let expected = if name == "first" { in_order(&name, expected, &shape) } else { expected };
        let largest = |values: &[f32]| values.iter().fold(0f32, |m, v| m.max(v.abs()));
        // A normalisation removes the bias before it, so its gradient is rounding error.
        if largest(&expected) < 1e-9 {
            assert!(largest(&gradient) < 1e-5, "{key}, {name}: not zero");
        } else {
            let error = difference(&gradient, &expected);
            assert!(error < 2e-3, "{key}, {name}: relative difference {error}");
        }
        compared += 1;
    }
    compared
}

#[test]
fn both_networks_of_gan_int_cls() {
    let golden = golden();
    let (generator, discriminator) = networks(&golden);
    let text = golden.get::<2>("in.text");
    let z = golden.get::<2>("in.z").narrow(0, 0, text.dims()[0]);
    golden.close("out.fake", generator.forward(z, text.clone(), Statistics::Batch));
    golden.close("out.logits", discriminator.forward(golden.get("in.real"), text));
}

#[test]
fn the_loss_of_the_discriminator_and_its_gradients() {
    let golden = golden();
    let (_, discriminator) = networks(&golden);
    let discriminator = discriminator.train();
    let text = golden.get::<2>("in.text");
    for (name, mismatched) in [("gan", 0.0), ("cls", 0.5)] {
        let judge = |key: &str| discriminator.forward(golden.get(key), text.clone());
        let judged = Judged {
            real: judge("in.real"),
            fake: judge("out.fake"),
            mismatched: (mismatched > 0.0).then(|| judge("in.wrong")),
        };
        let loss = losses::discriminator(judged, mismatched);
        golden.close(&format!("loss.d.{name}"), loss.clone().inner());
        let found = NamedGradients::of(&discriminator, &loss.backward());
        let key = format!("grad.d.{name}");
        let compared = compare(&golden, &discriminator, &found, &key, of_discriminator);
        assert_eq!(compared, 24);
    }
}

#[test]
fn the_loss_of_the_generator_and_its_gradients() {
    let golden = golden();
    let (generator, discriminator) = networks(&golden);
    let generator = generator.train();
    let text = golden.get::<2>("in.text");
    let rows = text.dims()[0];
    for (name, weight) in [("gan", 0.0), ("int", 1.0)] {
        let mut all = text.clone();
        if weight > 0.0 {
            all = Tensor::cat(vec![all, interpolated(text.clone(), &vec![0.5; rows / 2])], 0);
        }
        let z = golden.get::<2>("in.z").narrow(0, 0, all.dims()[0]);
        let images = generator.forward(z, all.clone(), Statistics::Batch);
        let loss = losses::generator(discriminator.forward(images, all), rows, weight);
        golden.close(&format!("loss.g.{name}"), loss.clone().inner());
        let found = NamedGradients::of(&generator, &loss.backward());
        let compared =
            compare(&golden, &generator, &found, &format!("grad.g.{name}"), of_generator);
        assert_eq!(compared, 30);
    }
}

#[test]
fn the_style_encoder_with_its_loss_and_gradients() {
    let golden = golden();
    let network = StyleNetwork { width: NETWORK.discriminator_width };
    let init = &mut Init::new(0, "golden", &golden.device);
    let encoder = StyleEncoder::new(&network, NETWORK.resolution, NETWORK.z_dim, init);
    let encoder = filled(&golden, encoder, "S", of_discriminator).train();
    let found = encoder.forward(golden.get("style.images"), Statistics::Batch);
    golden.close("style.found", found.clone().inner());
    let loss = style::loss(golden.get("style.z"), found);
    golden.close("style.loss", loss.clone().inner());
    let gradients = NamedGradients::of(&encoder, &loss.backward());
    let compared = compare(&golden, &encoder, &gradients, "style.grad", of_discriminator);
    // Four convolutions with two normalisations, and the block with three of each.
    assert_eq!(compared, 4 + 2 * 2 + 3 + 3 * 2);
}
