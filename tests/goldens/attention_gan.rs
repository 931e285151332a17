//! The networks and losses of AttnGAN and MirrorGAN against a reference in f64.

use burn::module::Module;
use burn::tensor::{Bool, Int, Tensor, TensorData};
use cigan::language::Words;
use cigan::nn::params::{self, NamedGradients, to_vec};
use cigan::nn::{Init, Statistics};
use cigan::systems::attention_gan::generator::Inputs;
use cigan::systems::attention_gan::losses::{self, Judged};
use cigan::systems::attention_gan::{AttentionGanNetwork, Generator, SentenceAttention};
use cigan::systems::damsm::{DamsmLoss, ImageCodes};
use cigan::systems::text_gan::discriminator::{Discriminator, Logits};
use cigan::tensorfile::TensorFile;

use crate::common::{Golden, difference, names};

const SIZE: usize = 5;
const KINDS: [(&str, SentenceAttention); 3] = [
    ("none", SentenceAttention::None),
    ("channels", SentenceAttention::Channels),
    ("positions", SentenceAttention::Positions),
];

fn golden() -> Golden {
    Golden::open("attention_gan.safetensors")
}

fn network(sentence_attention: SentenceAttention) -> AttentionGanNetwork {
    AttentionGanNetwork {
        z_dim: 3,
        condition: 6,
        generator_width: 4,
        discriminator_width: 2,
        sentence_attention,
        ..AttentionGanNetwork::attn_gan(32, 3)
    }
}

/// A network with the weights of the reference, whose names are the same.
fn filled<M: Module>(golden: &Golden, fresh: M, prefix: &str) -> M {
    let mut file = TensorFile::default();
    params::collect(&fresh, "", &mut file);
    for (name, tensor) in file.tensors.clone() {
        if !name.contains(".standing.") {
            let values = golden.values(&format!("{prefix}.{name}"));
            file.insert_f32(name, tensor.shape, values).unwrap();
        }
    }
    params::restore(fresh, "", &file).unwrap()
}

fn generator(golden: &Golden, name: &str, kind: SentenceAttention) -> Generator {
    let init = &mut Init::new(0, "golden", &golden.device);
    filled(golden, Generator::new(&network(kind), SIZE, init), &format!("{name}.G"))
}

fn discriminator(golden: &Golden, index: usize) -> Discriminator {
    let init = &mut Init::new(0, "golden", &golden.device);
    let networks = network(SentenceAttention::None).discriminators(SIZE);
    filled(golden, Discriminator::new(&networks[index], init), &format!("D{index}"))
}

fn words(golden: &Golden) -> Words {
    let words = golden.get::<3>("in.words");
    let [n, t, _] = words.dims();
    let lengths = golden.values("in.lengths");
    let mask = lengths.iter().flat_map(|&length| (0..t).map(move |at| at < length as usize));
    let mask: Vec<f32> = mask.map(|kept| f32::from(u8::from(kept))).collect();
    let mask = Tensor::from_data(TensorData::new(mask, [n, t]), &golden.device);
    Words { words, mask, sentence: golden.get("in.sentences") }
}

/// Compares the gradients of the trained tensors whose names begin with `prefix`.
fn compare<M: Module>(
    golden: &Golden,
    module: &M,
    found: &NamedGradients,
    key: &str,
    prefix: &str,
) {
    let trained = |name: &String| name.starts_with(prefix) && !name.contains(".standing.");
    for name in names(module).into_iter().filter(trained) {
        let expected = golden.values(&format!("{key}.{name}"));
        let gradient = found.get(&name).unwrap_or_else(|| panic!("{key}, {name}: no gradient"));
        let error = difference(&to_vec(gradient.clone()), &expected);
        assert!(error < 2e-3, "{key}, {name}: relative difference {error}");
    }
}

/// The vectors of images that stand for those of DAMSM's encoder: linear in some of the pixels.
fn codes(golden: &Golden, images: Tensor<4>) -> ImageCodes {
    let n = images.dims()[0];
    let cells = images.reshape([n, 3, 4, 4, 4, 4]).narrow(3, 0, 2).narrow(5, 0, 2);
    let cells = cells.permute([0, 2, 4, 1, 3, 5]).reshape([n, 16, 12]);
    let regions = cells.clone().matmul(golden.get::<2>("in.regions").unsqueeze());
    let wholes = cells.mean_dim(1).reshape([n, 12]).matmul(golden.get::<2>("in.wholes"));
    ImageCodes { regions: regions.swap_dims(1, 2), global: wholes }
}

#[test]
fn images_attention_losses_and_gradients_of_the_generator() {
    let golden = golden();
    for (name, kind) in KINDS {
        let generator = generator(&golden, name, kind).train();
        let words = words(&golden);
        let augmented = generator.augmentation.forward(words.sentence.clone());
        let inputs = Inputs {
            z: golden.get("in.z"),
            condition: augmented.condition(golden.get("in.noise")),
            words: words.clone(),
        };
        let images = generator.forward(&inputs, Statistics::Batch);
        for (index, image) in images.iter().enumerate() {
            golden.close(&format!("{name}.image{index}"), image.clone().inner());
        }
        let (_, weights) = generator.image(&inputs, Statistics::Batch, 2);
        golden.close(&format!("{name}.weights"), weights.unwrap().inner());

        let mut same = vec![false; 16];
        (same[2], same[8]) = (true, true);
        let same: Tensor<2, Bool> =
            Tensor::from_data(TensorData::new(same, [4, 4]), &golden.device);
        let of_images = codes(&golden, images[1].clone());
        let [of_words, of_sentences] = DamsmLoss::default().losses(&words, &of_images, Some(same));
        let damsm = of_words + of_sentences;
        golden.close(&format!("{name}.damsm"), damsm.clone().inner());
        let mut loss = augmented.divergence() + damsm * 5.0;
        for (index, image) in images.into_iter().enumerate() {
            let d = discriminator(&golden, index);
            let fake = d.forward(image, Some(words.sentence.clone()), None);
            loss = loss + losses::generator(fake);
        }
        golden.close(&format!("{name}.loss"), loss.clone().inner());
        let found = NamedGradients::of(&generator, &loss.backward());
        // The first kind covers all layers.
        let prefix = if kind == SentenceAttention::None { "" } else { "stages.1." };
        compare(&golden, &generator, &found, &format!("{name}.grad"), prefix);
    }
}

#[test]
fn the_losses_of_the_discriminators_and_their_gradients() {
    let golden = golden();
    let rows = |rows: [i32; 3]| Tensor::<1, Int>::from_data(TensorData::from(rows), &golden.device);
    let (captioned, wrong) = (rows([0, 2, 3]), rows([3, 0, 2]));
    let sentences = golden.get::<2>("in.sentences");
    for index in 0..3 {
        let d = discriminator(&golden, index).train();
        let features = d.features(golden.get(&format!("in.real{index}")));
        let of_captioned = features.clone().select(0, captioned.clone());
        let of = |rows: &Tensor<1, Int>| sentences.clone().select(0, rows.clone());
        let fake = golden.get(&format!("none.image{index}"));
        let judged = Judged {
            mismatched: d.with_conditions(of_captioned.clone(), of(&wrong)),
            real: Logits {
                conditional: d.with_conditions(of_captioned, of(&captioned)),
                unconditional: d.alone(features),
            },
            fake: d.forward(fake, Some(sentences.clone()), None),
        };
        let loss = losses::discriminator(judged);
        golden.close(&format!("loss.d{index}"), loss.clone().inner());
        let found = NamedGradients::of(&d, &loss.backward());
        compare(&golden, &d, &found, &format!("grad.d{index}"), "");
    }
}
