//! The training loop of stage 3 on a few small images: gradients of a step, independence from
//! held-out images, and exact resuming.

use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;

use crate::common::{difference, names};
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use cigan::data::{Archive, ArchiveWriter, ImageRecord, Provenance, Sampler, Split};
use cigan::draws;
use cigan::language::{Captions, Reader, Tokens};
use cigan::metrics::retrieval::AT;
use cigan::model::Model;
use cigan::nn::params::{NamedGradients, to_vec};
use cigan::nn::{AdamSettings, Init};
use cigan::systems::cigan::inversion::Encoder;
use cigan::systems::cigan::inversion::codes::Codes;
use cigan::systems::cigan::inversion::settings::{EncoderSettings, Space};
use cigan::systems::cigan::text::train::TextTrainer;
use cigan::systems::cigan::text::{TextEncoder, TextNetworkSettings, TextSettings};
use cigan::systems::retrieval::retrieval;
use cigan::systems::stylegan::StyleganSettings;
use cigan::tensorfile::TensorFile;
use cigan::train::Trainer;
use image::{ImageFormat, Rgb, RgbImage};

const SIDE: u32 = 8;
const SEED: u64 = 5;
/// Larger than the number of training images, so that some images occur twice.
const BATCH: usize = 11;
const TRAINING: usize = 8;
const COLOURS: [&str; 4] = ["red", "green", "blue", "black"];

/// Fourteen images with two captions each. The last six are in the validation split; `held_out`
/// changes only these.
fn archive(folder: &Path, held_out: u32) -> Arc<Archive> {
    let path = folder.join(format!("stripes-{held_out}.zip"));
    let mut writer = ArchiveWriter::create(&path, SIDE).unwrap();
    for i in 0..14u32 {
        let training = (i as usize) < TRAINING;
        let shift = if training { 0 } else { held_out };
        let image = RgbImage::from_fn(SIDE, SIDE, |x, y| {
            let phase = (if i % 2 == 0 { x } else { y }) / 2 + i + shift;
            Rgb([0, 1, 2].map(|c| (phase * 37 * (c + 1) % 256) as u8))
        });
        let mut png = Cursor::new(Vec::new());
        image.write_to(&mut png, ImageFormat::Png).unwrap();
        let colour = |k: u32| COLOURS[((i + k + shift) % 4) as usize];
        let record = ImageRecord {
            file: String::new(),
            id: format!("image-{i}"),
            split: if training { Split::Train } else { Split::Val },
            label: None,
            captions: vec![
                format!("a {} bird with a {} belly and {} wings", colour(0), colour(1), colour(i)),
                format!("this one is {}", colour(i / 3)),
            ],
            phrases: None,
            derived: false,
            attributes: Default::default(),
        };
        writer.add(png.get_ref(), record).unwrap();
    }
    writer.finish(Provenance::default(), Vec::new(), Vec::new()).unwrap();
    Arc::new(Archive::open(&path).unwrap())
}

/// Settings with β₁ = 0, so that Adam's first moment is the gradient.
fn settings() -> TextSettings {
    let network = TextNetworkSettings {
        reader: Reader::Lstm,
        embedding: 6,
        hidden: 5,
        layers: 1,
        bidirectional: false,
    };
    TextSettings {
        network,
        batch: BATCH,
        adam: AdamSettings { beta1: 0.0, beta2: 0.999, eps: 1e-8 },
        temperature: 0.7,
        word_dropout: 0.2,
        ..Default::default()
    }
}

fn codes(archive: &Arc<Archive>, space: Space) -> Codes {
    let device = Device::flex();
    let mut network = StyleganSettings::auto(SIDE as usize, Some(4)).network;
    (network.w_dim, network.z_dim) = (4, 4);
    let settings = EncoderSettings { space, channels: 4, channel_max: 8 };
    let encoder = Encoder::new(&settings, &network, &mut Init::new(SEED, "encoder", &device));
    Codes::encode(archive, &encoder, &device, |_| Ok(())).unwrap()
}

fn trainer(settings: &TextSettings, archive: &Arc<Archive>, codes: &Codes) -> TextTrainer {
    let base = Model::from_file(TensorFile::default(), "base");
    TextTrainer::new(settings.clone(), SEED, archive.clone(), codes.clone(), base, &Device::flex())
        .unwrap()
}

/// If the tokenizer cuts captions off, a warning names the key that helps.
#[test]
fn captions_that_are_cut_are_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let archive = archive(folder.path(), 0);
    let codes = codes(&archive, Space::W);
    let mut settings = settings();
    assert!(trainer(&settings, &archive, &codes).warnings().is_empty());
    settings.tokenizer.max_tokens = 1;
    let warnings = trainer(&settings, &archive, &codes).warnings();
    assert!(warnings[0].contains("--set text.tokenizer.max_tokens="), "{warnings:?}");
}

fn steps(trainer: &mut TextTrainer, count: usize) -> TensorFile {
    (0..count).for_each(|_| trainer.step().unwrap());
    trainer.state().unwrap()
}

/// The first batch and the initial encoders, built without the trainer.
struct FirstIteration {
    indices: Vec<usize>,
    tokens: Tokens,
    w: Tensor<2>,
    t: TextEncoder,
    bag: TextEncoder,
}

impl FirstIteration {
    fn of(settings: &TextSettings, archive: &Arc<Archive>, codes: &Codes) -> Self {
        let device = Device::flex();
        let captions = Captions::of(archive).unwrap();
        let tokenizer = captions.vocabulary("text", &mut settings.tokenizer.clone()).unwrap().0;
        let training: Vec<usize> = (0..TRAINING).collect();
        let sampler = Sampler::new(training.clone(), false, SEED).unwrap();
        let indices: Vec<usize> = sampler.items(0, BATCH).iter().map(|item| item.index).collect();
        let drawn = captions.of_images(&indices, &mut draws::stream(SEED, "caption", 0));
        let mut tokens = tokenizer.batch(&drawn).unwrap();
        if settings.word_dropout > 0.0 {
            let mut rng = draws::stream(SEED, "word_dropout", 0);
            tokens = tokens.drop_tokens(settings.word_dropout, &mut rng);
        }
        let w = codes.select(&indices, &device);
        let [n, layers, dim] = w.dims();
        let encoder = |network: &TextNetworkSettings, purpose: &str| {
            let init = &mut Init::new(SEED, purpose, &device);
            TextEncoder::new(network, tokenizer.len(), layers, dim, init)
                .starting_at(codes.mean(&training, &device))
                .train()
        };
        let bag = TextNetworkSettings { reader: Reader::Bag, ..settings.network.clone() };
        Self {
            t: encoder(&settings.network, "text_encoder"),
            bag: encoder(&bag, "text_baseline"),
            w: w.reshape([n, layers * dim]),
            indices,
            tokens,
        }
    }

    /// docs/method.md, stage 3: −(1/B) Σ_i log( e^(−d_ii/τ) / Σ_j e^(−d_ij/τ) ), other pairs of the
    /// same image left out; symmetric: the mean over both directions.
    fn loss(&self, encoder: &TextEncoder, settings: &TextSettings) -> Tensor<1> {
        let device = Device::flex();
        let t = encoder.forward(&self.tokens, &device);
        let [b, layers, dim] = t.dims();
        let t = t.reshape([b, layers * dim]);
        let distance = |i: usize, j: usize| {
            let difference = self.w.clone().narrow(0, i, 1) - t.clone().narrow(0, j, 1);
            let square = (difference.clone() * difference).sum();
            if settings.squared { square } else { square.sqrt() }
        };
        let away = |i: usize, j: usize| (distance(i, j) * (-1.0 / settings.temperature)).exp();
        let negative = |i: usize, j: usize| {
            i == j || !settings.mask_same_image || self.indices[i] != self.indices[j]
        };
        let one_way = |pair: &dyn Fn(usize, usize) -> Tensor<1>| {
            let of = |i: usize| {
                let all = (0..b).filter(|&j| negative(i, j)).map(|j| pair(i, j));
                -(pair(i, i) / all.reduce(|sum, e| sum + e).unwrap()).log()
            };
            (0..b).map(of).reduce(|sum, e| sum + e).unwrap() / b as f64
        };
        let loss = one_way(&away);
        match settings.symmetric {
            true => (loss + one_way(&|i, j| away(j, i))) * 0.5,
            false => loss,
        }
    }
}

/// Compares the gradients in a checkpoint with those of a loss.
fn check<M: Module>(what: &str, module: &M, loss: Tensor<1>, state: &TensorFile) {
    let gradients = NamedGradients::of(module, &loss.backward());
    let names = names(module);
    assert!(names.len() > 2, "{what}: {names:?}");
    for name in &names {
        let found = state.tensors[&format!("adam_{what}.m.{name}")].to_f32();
        let expected = to_vec(gradients.get(name).expect("the loss depends on it").clone());
        let error = difference(&found, &expected);
        assert!(error < 2e-4, "{what}, {name}: relative difference {error}");
    }
}

#[test]
fn a_step_follows_the_gradient_of_the_loss() {
    let folder = tempfile::tempdir().unwrap();
    let archive = archive(folder.path(), 0);
    let usual = settings();
    let variants = [
        (Space::W, usual.clone()),
        (Space::WPlus, usual.clone()),
        (Space::W, TextSettings { squared: true, temperature: 2.0, ..usual.clone() }),
        (Space::W, TextSettings { symmetric: true, word_dropout: 0.0, ..usual.clone() }),
        (Space::W, TextSettings { mask_same_image: false, ..usual }),
    ];
    for (space, settings) in variants {
        let codes = codes(&archive, space);
        let first = FirstIteration::of(&settings, &archive, &codes);
        let twice = |i: &usize| first.indices.iter().filter(|other| *other == i).count() > 1;
        assert!(first.indices.iter().any(twice), "{:?}", first.indices);
        let mut trainer = trainer(&settings, &archive, &codes);
        let state = steps(&mut trainer, 1);
        check("T", &first.t, first.loss(&first.t, &settings), &state);
        // The bag-of-words baseline is trained on the same batch with the same loss.
        check("bag", &first.bag, first.loss(&first.bag, &settings), &state);
        let metrics = trainer.metrics().unwrap();
        for (name, encoder) in [("loss/infonce", &first.t), ("loss/infonce_bag", &first.bag)] {
            let expected = f64::from(to_vec(first.loss(encoder, &settings))[0]);
            let found = metrics.get(name).unwrap();
            assert!((found - expected).abs() < 1e-4 * expected.abs().max(1.0), "{name}: {found}");
        }
    }
}

#[test]
fn the_learning_rate_falls_to_zero_for_both_encoders() {
    let folder = tempfile::tempdir().unwrap();
    let archive = archive(folder.path(), 0);
    let codes = codes(&archive, Space::W);
    // The second batch is in the middle of the schedule, the third at its end.
    let schedule_kimg = 2.0 * BATCH as f64 / 1000.0;
    let settings = TextSettings { schedule_kimg, lr: 1e-3, ..settings() };
    let mut trainer = trainer(&settings, &archive, &codes);
    let states: Vec<TensorFile> = [0, 1, 1, 1].map(|count| steps(&mut trainer, count)).into();
    let moved = |prefix: &str, a: &TensorFile, b: &TensorFile| {
        let of = |(name, tensor): (&String, &cigan::tensorfile::HostTensor)| {
            let pairs = tensor.to_f32().into_iter().zip(b.tensors[name].to_f32());
            pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
        };
        let own = a.tensors.iter().filter(|(name, _)| name.starts_with(prefix));
        own.map(of).fold(0.0, f32::max)
    };
    for prefix in ["T.", "bag."] {
        // Adam's first step has the size of the learning rate, regardless of the gradient.
        let first = moved(prefix, &states[0], &states[1]);
        assert!((first - 1e-3).abs() < 2e-5, "{prefix} {first}");
        let second = moved(prefix, &states[1], &states[2]);
        assert!(second > 1e-5 && second < 0.9e-3, "{prefix} {second}");
        assert_eq!(moved(prefix, &states[2], &states[3]), 0.0, "{prefix}");
    }
    assert_eq!(trainer.metrics().unwrap().get("lr"), Some(0.0));
}

#[test]
fn held_out_images_do_not_affect_training() {
    let folder = tempfile::tempdir().unwrap();
    let [one, other] = [0, 3].map(|held_out| archive(folder.path(), held_out));
    assert_ne!(one.pixels(&[13]).unwrap(), other.pixels(&[13]).unwrap());
    assert_ne!(one.images()[13].captions, other.images()[13].captions);
    let [mut one, mut other] =
        [one, other].map(|archive| trainer(&settings(), &archive, &codes(&archive, Space::W)));
    assert!(steps(&mut one, 4).tensors == steps(&mut other, 4).tensors);
    let measured = |trainer: &mut TextTrainer| trainer.evaluate().unwrap().unwrap().metrics;
    let (one, other) = (measured(&mut one), measured(&mut other));
    let names = ["val/text_to_image_median_rank", "val/image_to_text_median_rank"];
    assert!(names.iter().any(|name| one.get(name) != other.get(name)));
    assert_eq!(one.get("chance/median_rank"), Some(3.5));
}

#[test]
fn a_resumed_run_equals_an_uninterrupted_one() {
    let folder = tempfile::tempdir().unwrap();
    let archive = archive(folder.path(), 0);
    let (settings, codes) = (settings(), codes(&archive, Space::W));
    let expected = steps(&mut trainer(&settings, &archive, &codes), 5);
    let half = steps(&mut trainer(&settings, &archive, &codes), 2);
    let mut resumed = trainer(&settings, &archive, &codes);
    resumed.restore(&half).unwrap();
    assert!(steps(&mut resumed, 3).tensors == expected.tensors);
}

/// Text-to-image and image-to-text retrieval are not confused.
#[test]
fn retrieval_directions_are_named_correctly() {
    let folder = tempfile::tempdir().unwrap();
    let archive = archive(folder.path(), 0);
    let (device, settings) = (Device::flex(), settings());
    let first = FirstIteration::of(&settings, &archive, &codes(&archive, Space::W));
    let tokenizer = Captions::of(&archive).unwrap();
    let tokenizer = tokenizer.vocabulary("text", &mut settings.tokenizer.clone()).unwrap().0;
    let all: Vec<usize> = (0..archive.len()).collect();
    let w = codes(&archive, Space::W).select(&all, &device);
    let t = first.t.valid();
    let texts = |captions: &[&str]| Ok(t.forward(&tokenizer.prompts(captions)?, &device));
    let found = retrieval(&archive, &all, w.clone(), texts).unwrap();

    let rows = |values: Vec<f32>| -> Vec<Vec<f32>> {
        values.chunks_exact(4).map(<[f32]>::to_vec).collect()
    };
    let w = rows(to_vec(w));
    let distance = |a: &[f32], b: &[f32]| -> f64 {
        a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum()
    };
    // Three captions of each image; with fewer captions, the last one is repeated.
    let mut recalls = [[0.0; 3]; 2];
    for caption in [0, 1, 1] {
        let captions: Vec<&str> =
            all.iter().map(|&i| archive.images()[i].captions[caption].as_str()).collect();
        let t = first.t.valid().forward(&tokenizer.prompts(&captions).unwrap(), &device);
        let t = rows(to_vec(t));
        for i in 0..all.len() {
            let rank = |own: f64, others: &mut dyn Iterator<Item = f64>| {
                let others: Vec<f64> = others.collect();
                let nearer = others.iter().filter(|&&d| d < own).count() as f64;
                1.0 + nearer + (others.iter().filter(|&&d| d == own).count() - 1) as f64 / 2.0
            };
            let own = distance(&t[i], &w[i]);
            let ranks = [
                rank(own, &mut w.iter().map(|w| distance(&t[i], w))),
                rank(own, &mut t.iter().map(|t| distance(t, &w[i]))),
            ];
            for (recalls, rank) in recalls.iter_mut().zip(ranks) {
                for (recall, at) in recalls.iter_mut().zip(AT) {
                    *recall += f64::from(u8::from(rank <= at as f64)) / (3 * all.len()) as f64;
                }
            }
        }
    }
    assert_ne!(recalls[0], recalls[1], "the two directions must differ");
    for (found, expected) in found.iter().zip(recalls) {
        for (found, expected) in found.recall.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-9, "{found}, not {expected}");
        }
    }
}
