//! SqueezeNet and VGG16 against reference networks in plain PyTorch operations, in f64.
//!
//! The weights of narrow networks are in the golden file. Both sides compute the weights of
//! full-width networks with the same formula. The real SqueezeNet is compared if its weights are
//! available.

use crate::common::frozen::{below, close_layers, pictures, squeezenet_weights};
use crate::common::{Golden, formula};
use burn::tensor::Tensor;
use cigan::nn::params;
use cigan::tensorfile::TensorFile;
use cigan::vision::{
    Features, Lpips, Perceptual, SqueezeNet, Trunk, Vgg16, lpips, squeezenet, vgg16,
};

#[test]
fn the_formula_is_the_same() {
    let golden = Golden::open("perceptual.safetensors");
    assert_eq!(formula::unit("fire2/squeeze1x1.weight", 16), golden.values("formula.unit"));
    assert_eq!(
        formula::weight("fire2/squeeze1x1.weight", &[16, 64, 1, 1])[..16],
        golden.values("formula.fire2/squeeze1x1.weight")
    );
    for name in ["bn.running_var", "bn.weight", "bn.bias"] {
        assert_eq!(formula::weight(name, &[16]), golden.values(&format!("formula.{name}")));
    }
    let pictures: Vec<f32> =
        [formula::waves(8), formula::noise(8)].concat().iter().map(|&v| v as f32).collect();
    assert_eq!(pictures, golden.values("formula.picture"));
}

/// Features of two images each, the distance between them, and its gradient.
fn narrow(name: &str, features: impl Fn(Tensor<4>) -> Tensor<4>) {
    let golden = Golden::open("perceptual.safetensors");
    let x = golden.get::<4>(&format!("{name}.x")).autodiff().require_grad();
    let a = features(x.clone());
    let b = features(golden.get(&format!("{name}.other")));
    golden.close(&format!("{name}.features_x"), a.clone().inner());
    golden.close(&format!("{name}.features_other"), b.clone());
    let [n, c, h, w] = a.dims();
    let distance = (a - b).square().reshape([n, c * h * w]).mean_dim(1);
    golden.close(&format!("{name}.distance"), distance.clone().inner());
    let gradients = distance.sum().backward();
    golden.close(&format!("{name}.grad.x"), x.grad(&gradients).unwrap());
}

#[test]
fn narrow_squeezenet_with_its_gradient() {
    let golden = Golden::open("perceptual.safetensors");
    let file = below(&golden, "squeezenet.p.");
    let net = SqueezeNet::from_weights(&file, &["fire9"], &golden.device).unwrap();
    narrow("squeezenet", |x| net.activations(x).remove(0));
}

#[test]
fn narrow_vgg16_with_its_gradient() {
    let golden = Golden::open("perceptual.safetensors");
    let file = below(&golden, "vgg16.p.");
    let net = Vgg16::from_weights(&file, &["conv4_3"], &golden.device).unwrap();
    narrow("vgg16", |x| net.activations(x).remove(0));
}

#[test]
fn every_layer_of_the_full_squeezenet() {
    let golden = Golden::open("perceptual.safetensors");
    let names = squeezenet::LAYERS;
    let net = SqueezeNet::from_weights(&formula::squeezenet(), &names, &golden.device).unwrap();
    assert_eq!(net.widths(), [64, 128, 128, 256, 256, 384, 384, 512, 512]);
    let layers = net.extract(pictures(227, &golden.device));
    close_layers(&golden, "squeezenet_full", &names, layers);
}

#[test]
fn every_layer_of_the_full_vgg16() {
    let golden = Golden::open("perceptual.safetensors");
    let names = vgg16::LAYERS;
    let net = Vgg16::from_weights(&formula::vgg16(), &names, &golden.device).unwrap();
    let layers = net.activations(pictures(64, &golden.device));
    close_layers(&golden, "vgg16_full", &names, layers);
}

#[test]
fn the_real_squeezenet() {
    let Some(path) = squeezenet_weights() else {
        eprintln!("skipped: no SqueezeNet weights; set CIGAN_SQUEEZENET to a file with them");
        return;
    };
    let golden = Golden::open("squeezenet_real.safetensors");
    let names = squeezenet::LAYERS;
    let net = SqueezeNet::load(path, &names, &golden.device).unwrap();
    close_layers(&golden, "out", &names, net.extract(pictures(227, &golden.device)));
}

#[test]
fn layers_come_in_the_networks_order_and_any_size_is_resized() {
    let golden = Golden::open("perceptual.safetensors");
    let file = below(&golden, "squeezenet.p.");
    let net = SqueezeNet::from_weights(&file, &["fire5", "fire3"], &golden.device).unwrap();
    let layers = net.extract(pictures(32, &golden.device));
    let dims: Vec<_> = layers.iter().map(|layer| layer.dims()).collect();
    assert_eq!(dims, [[2, 16, 56, 56], [2, 32, 28, 28]]);
    assert!(layers.iter().all(|l| params::to_vec(l.clone()).iter().all(|v| v.is_finite())));
}

#[test]
fn torchvisions_names_mean_torchvisions_inputs() {
    let golden = Golden::open("perceptual.safetensors");
    let caffe = below(&golden, "squeezenet.p.");
    let mut file = caffe.clone();
    file.tensors.clear();
    for (name, tensor) in caffe.tensors {
        let name = match name.split_once('/') {
            None => name.replace("conv1", "features.0"),
            Some((fire, part)) => {
                let number = [3, 4, 6, 7, 9, 10, 11, 12][fire[4..].parse::<usize>().unwrap() - 2];
                format!("features.{number}.{}", part.replace("squeeze1x1", "squeeze"))
            }
        };
        file.tensors.insert(name, tensor);
    }
    let device = &golden.device;
    let net = SqueezeNet::from_weights(&file, &["conv1"], device).unwrap();
    // Caffe's network must see these two images as torchvision's sees a black and a grey one.
    let means = Tensor::<1>::from_floats([0.485, 0.456, 0.406], device).reshape([1, 3, 1, 1]);
    let mean_picture = (means * 2.0 - 1.0).expand([1, 3, 21, 21]);
    let found = params::to_vec(net.activations(mean_picture).remove(0));
    let bias = file.tensor("features.0.bias").unwrap().to_f32();
    for (plane, bias) in found.chunks_exact(found.len() / bias.len()).zip(bias) {
        assert!(plane.iter().all(|v| (v - bias.max(0.0)).abs() < 1e-5));
    }
}

#[test]
fn errors_name_the_wrong_tensor() {
    let golden = Golden::open("perceptual.safetensors");
    let device = &golden.device;
    let mut file = below(&golden, "squeezenet.p.");
    let message =
        |file: &_| SqueezeNet::from_weights(file, &["fire2"], device).unwrap_err().message;
    let vgg16 = below(&golden, "vgg16.p.");
    assert!(message(&vgg16).contains("features.3.squeeze.weight"), "{}", message(&vgg16));
    let squeeze = file.tensors.remove("fire7/squeeze1x1.weight").unwrap();
    assert_eq!(message(&file), "tensor `fire7/squeeze1x1.weight` is missing");
    file.tensors.insert("fire7/squeeze1x1.weight".into(), squeeze.clone());
    file.tensors.insert("fire10".into(), squeeze);
    assert_eq!(message(&file), "tensor `fire10` does not belong to this network");
    let unknown = SqueezeNet::from_weights(&file, &["fire1"], device).unwrap_err();
    assert!(unknown.message.contains("fire1") && unknown.hint.unwrap().contains("fire2"));
}

/// Weights for the layers of a trunk.
fn linear(widths: &[usize]) -> TensorFile {
    let mut linear = TensorFile::default();
    for (i, &width) in widths.iter().enumerate() {
        let name = format!("lin{i}.model.1.weight");
        let weights = formula::unit(&name, width).into_iter().map(|u| u + 1.0).collect();
        linear.insert_f32(name, [1, width, 1, 1], weights).unwrap();
    }
    linear
}

/// Narrow SqueezeNet as LPIPS's trunk, and weights for its layers.
fn lpips_parts(golden: &Golden) -> (SqueezeNet, TensorFile) {
    let file = below(golden, "squeezenet.p.");
    let net = SqueezeNet::from_weights(&file, &lpips::SQUEEZENET, &golden.device).unwrap();
    let linear = linear(&net.widths());
    (net, linear)
}

#[test]
fn lpips_is_that_of_a_reference() {
    let golden = Golden::open("perceptual.safetensors");
    let x = pictures(64, &golden.device);
    let y = x.clone().flip([3]) * 0.5;
    let (squeezenet, weights) = lpips_parts(&golden);
    let squeezenet = Trunk::SqueezeNet(squeezenet);
    let squeezenet = Lpips::from_weights(squeezenet, &weights, &golden.device).unwrap();
    golden.close("lpips.squeezenet", squeezenet.distances(x.clone(), y.clone()));
    let vgg16 = Vgg16::from_weights(&formula::vgg16(), &lpips::VGG16, &golden.device).unwrap();
    let weights = linear(&vgg16.widths());
    let vgg16 = Lpips::from_weights(Trunk::Vgg16(vgg16), &weights, &golden.device).unwrap();
    golden.close("lpips.vgg16", vgg16.distances(x.clone(), y.clone()));

    assert_eq!(params::to_vec(squeezenet.distances(x.clone(), x.clone())), [0.0; 2]);
    // One unit for all layers, because LPIPS already weights them.
    let features = Box::new(squeezenet.clone());
    let by_parts = Perceptual::with_units(features, vec![0.5; 7], &golden.device).unwrap();
    let whole = squeezenet.distances(x.clone(), y.clone()) * (1.0 / 3.5);
    let difference = params::to_vec(by_parts.distances(x.clone(), y.clone()) - whole);
    assert!(difference.iter().all(|d| d.abs() < 1e-5), "{difference:?}");
    let x = x.autodiff().require_grad();
    let gradients = squeezenet.distances(x.clone(), y).sum().backward();
    let gradient = params::to_vec(x.grad(&gradients).unwrap());
    assert!(gradient.iter().all(|g| g.is_finite()) && gradient.iter().any(|&g| g != 0.0));
}

#[test]
fn lpips_weights_of_another_trunk_are_rejected() {
    let golden = Golden::open("perceptual.safetensors");
    let (net, linear) = lpips_parts(&golden);
    let message = |file: &TensorFile| {
        let trunk = Trunk::SqueezeNet(net.clone());
        Lpips::from_weights(trunk, file, &golden.device).unwrap_err().message
    };
    let mut wide = linear.clone();
    wide.insert_f32("lin1.model.1.weight", [1, 128, 1, 1], vec![0.1; 128]).unwrap();
    assert!(message(&wide).contains("lin1.model.1.weight"), "{}", message(&wide));
    let mut negative = linear.clone();
    let values = vec![-0.1; net.widths()[2]];
    negative.insert_f32("lin2.model.1.weight", [1, values.len(), 1, 1], values).unwrap();
    assert!(message(&negative).contains("negative"));
    let mut longer = linear;
    longer.insert_f32("lin7.model.1.weight", [1, 1, 1, 1], vec![0.1]).unwrap();
    assert_eq!(message(&longer), "tensor `lin7.model.1.weight` does not belong to this network");
}
