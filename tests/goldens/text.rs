//! The text encoder and L2-InfoNCE against a reference in f64, and the recurrent layer separately:
//! the CPU's kernel against the composed one, and against finite differences.

use std::sync::Arc;

use crate::common::{Golden, difference};
use burn::backend::{Flex, TensorMetadata, ops::FloatTensorOps, tensor::FloatTensor};
use burn::module::Module;
use burn::tensor::{Bool, Device, Tensor, TensorData};
use cigan::draws;
use cigan::kernels::{self, Kernels, LstmTrace, Sequences, composed};
use cigan::nn::Init;
use cigan::nn::params::{self, NamedGradients, to_vec};
use cigan::systems::cigan::text::losses::{InfoNce, squared_distances};
use cigan::systems::cigan::text::settings::Reader;
use cigan::systems::cigan::text::{TextEncoder, TextNetworkSettings, Tokens};
use cigan::tensorfile::TensorFile;

/// Names of the tensors here and in PyTorch, where only the names differ.
const NAMES: [(&str, &str); 5] = [
    ("embedding", "T.embedding.weight"),
    ("lstm.0.weight_ih", "T.lstm.weight_ih_l0"),
    ("lstm.0.weight_hh", "T.lstm.weight_hh_l0"),
    ("head.weight", "T.head.weight"),
    ("head.bias", "T.head.bias"),
];

fn settings(hidden: usize, layers: usize, bidirectional: bool) -> TextNetworkSettings {
    TextNetworkSettings { reader: Reader::Lstm, embedding: 6, hidden, layers, bidirectional }
}

fn integers(golden: &Golden, name: &str) -> Vec<u32> {
    golden.values(name).into_iter().map(|v| v as u32).collect()
}

/// The reference's encoder: `[vocabulary 20, embedding 6, hidden 8, codes of one vector of 12]`.
fn encoder(golden: &Golden) -> TextEncoder {
    let fresh = TextEncoder::new(
        &settings(8, 1, false),
        20,
        1,
        12,
        &mut Init::new(0, "text_encoder", &golden.device),
    );
    let mut file = TensorFile::default();
    params::collect(&fresh, "", &mut file);
    for (ours, theirs) in NAMES {
        let shape = file.tensor(ours).unwrap().shape.clone();
        file.insert_f32(ours, shape, golden.values(theirs)).unwrap();
    }
    // PyTorch has two biases and adds them; here there is one.
    let [a, b] = ["ih", "hh"].map(|of| golden.values(&format!("T.lstm.bias_{of}_l0")));
    let sum: Vec<f32> = a.iter().zip(&b).map(|(a, b)| a + b).collect();
    file.insert_f32("lstm.0.bias", [sum.len()], sum).unwrap();
    params::restore(fresh, "", &file).unwrap().train()
}

#[test]
fn the_encoder_and_its_gradients() {
    let golden = Golden::open("text.safetensors");
    let t = encoder(&golden);
    let lengths = integers(&golden, "in.lengths").into_iter().map(|l| l as usize).collect();
    let tokens = Tokens { ids: integers(&golden, "in.tokens"), lengths, length: 7 };
    let codes = t.forward(&tokens, &golden.device).reshape([5, 12]);
    golden.close("out.codes", codes.clone());
    let gradients = (codes * golden.get::<2>("r")).sum().backward();
    let found = NamedGradients::of(&t, &gradients);
    let names: Vec<String> =
        NAMES.iter().map(|n| n.0).chain(["lstm.0.bias"]).map(str::to_owned).collect();
    let published = |name: &str| match NAMES.iter().find(|n| n.0 == name) {
        Some((_, theirs)) => (*theirs).to_owned(),
        None => "T.lstm.bias_ih_l0".to_owned(),
    };
    assert_eq!(golden.close_gradients(1e-4, "grad.", &names, published, &found), names.len());
}

#[test]
fn every_variant_of_the_loss() {
    let golden = Golden::open("text.safetensors");
    let image = integers(&golden, "nce.image");
    let b = image.len();
    let same: Vec<bool> =
        (0..b * b).map(|k| k / b != k % b && image[k / b] == image[k % b]).collect();
    let same: Tensor<2, Bool> = Tensor::from_data(TensorData::new(same, [b, b]), &golden.device);
    let distances = squared_distances(golden.get("nce.w"), golden.get("nce.t")).sqrt();
    golden.close("nce.distances", distances);
    let plain = InfoNce { temperature: 1.0, squared: false, symmetric: false };
    let cases = [
        ("plain", plain, false),
        ("tau", InfoNce { temperature: 0.5, ..plain }, false),
        ("squared", InfoNce { squared: true, ..plain }, false),
        ("symmetric", InfoNce { symmetric: true, ..plain }, false),
        ("masked", plain, true),
        ("masked_symmetric", InfoNce { temperature: 4.0, squared: true, symmetric: true }, true),
    ];
    for (name, loss, masked) in cases {
        let [w, t] =
            ["w", "t"].map(|of| golden.get::<2>(&format!("nce.{of}")).autodiff().require_grad());
        let loss = loss.loss(w.clone(), t.clone(), masked.then(|| same.clone()));
        golden.close(&format!("nce.{name}.loss"), loss.clone().inner());
        let gradients = loss.backward();
        golden.close(&format!("nce.{name}.grad.w"), w.grad(&gradients).unwrap());
        golden.close(&format!("nce.{name}.grad.t"), t.grad(&gradients).unwrap());
    }
}

/// Gradients stay finite if a text has exactly the code of its image.
#[test]
fn a_distance_of_zero_is_harmless() {
    let device = Device::flex();
    let w: Tensor<2> = Tensor::from_data([[3.0, 4.0], [1.0, -2.0], [0.5, 0.5]], &device);
    let t = w.clone().autodiff().require_grad();
    let loss = InfoNce { temperature: 1.0, squared: false, symmetric: true };
    let gradients = loss.loss(w.autodiff(), t.clone(), None).backward();
    assert!(to_vec(t.grad(&gradients).unwrap()).iter().all(|g| g.is_finite()));
}

/// Padding and other captions of the batch do not affect the code of a caption.
#[test]
fn padding_never_leaks() {
    let device = Device::flex();
    for (layers, bidirectional) in [(1, false), (1, true), (2, true)] {
        let mut init = Init::new(3, "text_encoder", &device);
        let t = TextEncoder::new(&settings(5, layers, bidirectional), 9, 2, 4, &mut init).valid();
        let code = |ids: &[u32], lengths: &[usize]| {
            let length = ids.len() / lengths.len();
            let tokens = Tokens { ids: ids.to_vec(), lengths: lengths.to_vec(), length };
            to_vec(t.forward(&tokens, &device))
        };
        let alone = code(&[4, 7], &[2]);
        let beside = code(&[4, 7, 0, 0, 1, 2, 3, 4], &[2, 4]);
        let other = code(&[8, 8, 8, 8, 4, 7, 5, 6], &[3, 2]);
        assert!(difference(&beside[..8], &alone) < 1e-6, "{layers} layers, {bidirectional}");
        assert!(difference(&other[8..], &alone) < 1e-6, "{layers} layers, {bidirectional}");
        let reversed = code(&[7, 4], &[2]);
        assert!(difference(&reversed, &alone) > 1e-3, "the order of words matters");
    }
}

const T: usize = 5;
const N: usize = 4;
const H: usize = 3;

fn sequences(lengths: [usize; N], backward: bool) -> Sequences {
    Sequences { lengths: Arc::new(lengths), backward }
}

fn cases() -> Vec<Sequences> {
    let lengths = [[5, 4, 2, 1], [1, 5, 3, 2], [2, 2, 2, 2], [5, 5, 5, 5]];
    lengths.into_iter().flat_map(|l| [false, true].map(|b| sequences(l, b))).collect()
}

fn random(purpose: &str, shape: &[usize]) -> TensorData {
    let count = shape.iter().product();
    let mut rng = draws::stream(1, &format!("lstm.{purpose}"), 0);
    TensorData::new(draws::normal(&mut rng, count), shape.to_vec())
}

fn primitive(purpose: &str, shape: &[usize]) -> FloatTensor<Flex> {
    Flex::float_from_data(random(purpose, shape), &Default::default())
}

fn values(x: FloatTensor<Flex>) -> Vec<f32> {
    x.into_data().try_to_vec::<f32>().unwrap()
}

#[test]
fn the_recurrent_kernels_agree() {
    for sequences in cases() {
        let gates = || primitive("gates", &[T, N, 4 * H]);
        let w = || primitive("w", &[4 * H, H]);
        let own = Flex::k_lstm_trace(gates(), w(), sequences.clone());
        let composed = composed::lstm::trace::<Flex>(gates(), w(), &sequences);
        let error = difference(&values(own.states.clone()), &values(composed.states.clone()));
        assert!(error < 1e-5, "states, {sequences:?}: {error}");
        let g = || primitive("g", &[T, N, H]);
        let LstmTrace { states, cells, gates } = own;
        let own = Flex::k_lstm_gradients(states, cells, gates, w(), g(), sequences.clone());
        let composed = composed::lstm::gradients::<Flex>(composed, w(), g(), &sequences);
        for (what, own, composed) in
            [("gates", own.gates, composed.gates), ("w", own.w, composed.w)]
        {
            assert_eq!(own.shape(), composed.shape());
            let error = difference(&values(own), &values(composed));
            assert!(error < 1e-5, "gradient of {what}, {sequences:?}: {error}");
        }
    }
}

/// Central differences of Σ r·states in f32, at some elements of both inputs.
#[test]
fn recurrent_gradients_match_finite_differences() {
    let device = Device::flex();
    for sequences in cases() {
        let r: Tensor<3> = Tensor::from_data(random("r", &[T, N, H]), &device);
        let [gates, w] = [random("gates", &[T, N, 4 * H]), random("w", &[4 * H, H])];
        let scalar = |gates: &TensorData, w: &TensorData| {
            let states = kernels::lstm(
                Tensor::from_data(gates.clone(), &device),
                Tensor::from_data(w.clone(), &device),
                &sequences,
            );
            let products = to_vec(states * r.clone());
            products.into_iter().map(f64::from).sum::<f64>()
        };
        let a = Tensor::<3>::from_data(gates.clone(), &device).autodiff().require_grad();
        let b = Tensor::<2>::from_data(w.clone(), &device).autodiff().require_grad();
        let loss = kernels::lstm(a.clone(), b.clone(), &sequences) * r.clone().autodiff();
        let gradients = loss.sum().backward();
        let found = [to_vec(a.grad(&gradients).unwrap()), to_vec(b.grad(&gradients).unwrap())];
        let moved = |data: &TensorData, at: usize, by: f32| {
            let mut values = data.clone().try_to_vec::<f32>().unwrap();
            values[at] += by;
            TensorData::new(values, data.shape().clone())
        };
        let step = 1e-2;
        for at in (0..T * N * 4 * H).step_by(7) {
            let slope = (scalar(&moved(&gates, at, step), &w)
                - scalar(&moved(&gates, at, -step), &w))
                / f64::from(2.0 * step);
            let error = (slope - f64::from(found[0][at])).abs();
            assert!(error < 2e-3, "gates[{at}], {sequences:?}: {slope} {}", found[0][at]);
        }
        for (at, found) in found[1].iter().enumerate() {
            let slope = (scalar(&gates, &moved(&w, at, step))
                - scalar(&gates, &moved(&w, at, -step)))
                / f64::from(2.0 * step);
            let error = (slope - f64::from(*found)).abs();
            assert!(error < 4e-3, "w[{at}], {sequences:?}: {slope} {found}");
        }
    }
}
