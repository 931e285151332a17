//! What the golden tests of frozen networks share.

// Every test binary uses its own part of this.
#![allow(dead_code)]

pub mod formula;

use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, TensorData};
use cigan::nn::params;
use cigan::tensorfile::TensorFile;

/// Expected values, made by `scripts/make_goldens.py` in f64.
pub struct Golden {
    pub file: TensorFile,
    pub device: Device,
}

impl Golden {
    pub fn open(name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens").join(name);
        Self { file: TensorFile::read(path).unwrap(), device: Device::flex() }
    }

    pub fn values(&self, name: &str) -> Vec<f32> {
        self.file.tensor(name).unwrap().to_f32()
    }

    pub fn get<const D: usize>(&self, name: &str) -> Tensor<D> {
        params::from_host(self.file.tensor(name).unwrap(), &self.device)
    }

    /// The tensors below `prefix`, without it.
    pub fn below(&self, prefix: &str) -> TensorFile {
        let tensors = self.file.tensors.iter().filter_map(|(name, tensor)| {
            Some((name.strip_prefix(prefix)?.to_owned(), tensor.clone()))
        });
        TensorFile { tensors: tensors.collect(), ..Default::default() }
    }

    /// Asserts that `found` differs by at most `tolerance` of the largest expected magnitude, and
    /// returns by how much it does.
    pub fn close<const D: usize>(&self, name: &str, found: Tensor<D>, tolerance: f32) -> f32 {
        let error = difference(&params::to_vec(found), &self.values(name));
        assert!(error <= tolerance, "{name}: relative difference {error}");
        error
    }
}

/// The largest difference, relative to the largest expected magnitude.
pub fn difference(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    assert!(found.iter().all(|v| v.is_finite()));
    let scale = expected.iter().fold(1e-12f32, |m, v| m.max(v.abs()));
    found.iter().zip(expected).fold(0f32, |m, (a, b)| m.max((a - b).abs())) / scale
}

/// [N, C, H, W] → means over space [N, C], and the pixel at (H/2, W/2) [N, C].
pub fn summary(x: Tensor<4>) -> [Tensor<2>; 2] {
    let [n, c, h, w] = x.dims();
    let mean = x.clone().reshape([n, c, h * w]).mean_dim(2).reshape([n, c]);
    let middle = x.narrow(2, h / 2, 1).narrow(3, w / 2, 1).reshape([n, c]);
    [mean, middle]
}

/// The two pictures by formula, [2, 3, side, side] in [-1, 1].
pub fn pictures(side: usize, device: &Device) -> Tensor<4> {
    let values = [formula::waves(side), formula::noise(side)].concat();
    let values: Vec<f32> = values.iter().map(|&v| v as f32 / 127.5 - 1.0).collect();
    Tensor::from_data(TensorData::new(values, [2, 3, side, side]), device)
}

/// Real SqueezeNet weights, which are not in this repository: a file named by `CIGAN_SQUEEZENET`,
/// or one beside the checkout.
pub fn squeezenet_weights() -> Option<PathBuf> {
    let beside = || {
        let beside = "../shared/data/nets/squeezenet_v1.1.safetensors";
        Path::new(env!("CARGO_MANIFEST_DIR")).join(beside)
    };
    let path = std::env::var_os("CIGAN_SQUEEZENET").map_or_else(beside, PathBuf::from);
    path.is_file().then_some(path)
}
