//! Helpers for the tests of pretrained networks.

use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, TensorData};
use cigan::tensorfile::TensorFile;

use super::{Golden, formula};

/// The tensors of a golden file whose names start with `prefix`, with the prefix removed.
pub fn below(golden: &Golden, prefix: &str) -> TensorFile {
    let tensors =
        golden.file.tensors.iter().filter_map(|(name, tensor)| {
            Some((name.strip_prefix(prefix)?.to_owned(), tensor.clone()))
        });
    TensorFile { tensors: tensors.collect(), ..Default::default() }
}

/// Asserts that the spatial means and the middle pixels of the named layers match the golden file.
/// Returns the largest relative difference.
pub fn close_layers(golden: &Golden, prefix: &str, names: &[&str], layers: Vec<Tensor<4>>) -> f32 {
    assert_eq!(names.len(), layers.len());
    let mut worst = 0f32;
    for (name, layer) in names.iter().zip(layers) {
        for (part, found) in ["mean", "middle"].into_iter().zip(summary(layer)) {
            let key = format!("{prefix}.{name}.{part}");
            let error = golden.error(&key, found);
            assert!(error < 1e-4, "{key}: relative difference {error}");
            worst = worst.max(error);
        }
    }
    worst
}

/// The spatial means, `[N, C]`, and the pixels at (H/2, W/2), `[N, C]`, of `[N, C, H, W]`.
fn summary(x: Tensor<4>) -> [Tensor<2>; 2] {
    let [n, c, h, w] = x.dims();
    let mean = x.clone().reshape([n, c, h * w]).mean_dim(2).reshape([n, c]);
    let middle = x.narrow(2, h / 2, 1).narrow(3, w / 2, 1).reshape([n, c]);
    [mean, middle]
}

/// The two test images of [`formula`], `[2, 3, side, side]` in [-1, 1].
pub fn pictures(side: usize, device: &Device) -> Tensor<4> {
    let values = [formula::waves(side), formula::noise(side)].concat();
    let values: Vec<f32> = values.iter().map(|&v| v as f32 / 127.5 - 1.0).collect();
    Tensor::from_data(TensorData::new(values, [2, 3, side, side]), device)
}

/// The path of pretrained SqueezeNet weights, which are not in this repository: the file named by
/// the environment variable `CIGAN_SQUEEZENET`, or one next to the checkout.
pub fn squeezenet_weights() -> Option<PathBuf> {
    let beside = || {
        let beside = "../shared/data/nets/squeezenet_v1.1.safetensors";
        Path::new(env!("CARGO_MANIFEST_DIR")).join(beside)
    };
    let path = std::env::var_os("CIGAN_SQUEEZENET").map_or_else(beside, PathBuf::from);
    path.is_file().then_some(path)
}
