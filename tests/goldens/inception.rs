//! Inception-v3 against a reference in plain PyTorch operations, in f64, with weights from a
//! formula.

use crate::common::frozen::{close_layers, pictures};
use crate::common::{Golden, formula};
use burn::tensor::Tensor;
use cigan::nn::params;
use cigan::nn::resize::bilinear;
use cigan::vision::{Embedding, Inception};

#[test]
fn resizing_is_bilinear_between_pixel_centres() {
    let golden = Golden::open("inception.safetensors");
    let x = golden.get::<4>("resize.in");
    golden.within(1e-6, "resize.up", bilinear(x.clone(), 23));
    golden.within(1e-6, "resize.down", bilinear(x, 7));
}

/// Takes seconds on a CPU, at about 6 GFLOP per image.
#[test]
fn every_block_pool3_and_logits() {
    let golden = Golden::open("inception.safetensors");
    let weights = formula::filled(&Inception::shapes());
    let net = Inception::from_weights(&weights, &golden.device).unwrap();
    let mut names = Vec::new();
    let mut blocks: Vec<Tensor<4>> = Vec::new();
    let pool3 = net.blocks(pictures(299, &golden.device), |name, x| {
        names.push(name.to_owned());
        blocks.push(x.clone());
    });
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    assert_eq!(names.len(), 12);
    close_layers(&golden, "out", &names, blocks);
    golden.close("out.pool3", pool3.clone());
    golden.close("out.logits", net.logits(pool3.clone(), true));
    let bias = net.logits(pool3.clone(), true) - net.logits(pool3, false);
    let bias = params::to_vec(bias.narrow(0, 0, 1));
    assert!(crate::common::difference(&bias, &weights.tensor("fc.bias").unwrap().to_f32()) < 1e-3);
    // Images of other sizes are resized to 299 first.
    golden.close("resized.pool3", net.embed(pictures(64, &golden.device)));
    assert_eq!(net.dim(), 2048);
}

#[test]
fn errors_name_the_wrong_tensor() {
    let golden = Golden::open("inception.safetensors");
    let mut weights = formula::filled(&Inception::shapes());
    let message =
        |weights: &_| Inception::from_weights(weights, &golden.device).unwrap_err().message;
    // torchvision's network has 1000 classes.
    weights.insert_f32("fc.weight", [1000, 2048], vec![0.0; 1000 * 2048]).unwrap();
    assert_eq!(
        message(&weights),
        "tensor `fc.weight` has shape [1000, 2048], expected [1008, 2048]"
    );
    weights.tensors.remove("Mixed_6c.branch7x7_2.bn.running_var");
    let missing = "tensor `Mixed_6c.branch7x7_2.bn.running_var` is missing";
    assert_eq!(message(&weights), missing);
}
