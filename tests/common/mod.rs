//! Helpers for the integration tests, such as comparisons with golden files.

// Each test binary uses only some of these helpers.
#![allow(dead_code)]

pub mod baselines;
pub mod browser;
pub mod clip;
pub mod formula;
pub mod frozen;
pub mod models;
pub mod program;
pub mod walker;

use std::path::Path;

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use cigan::nn::params::{self, NamedGradients};
use cigan::tensorfile::TensorFile;

/// A golden file: inputs and expected values, made by `scripts/make_goldens.py`.
pub struct Golden {
    pub file: TensorFile,
    pub device: Device,
}

impl Golden {
    pub fn open(name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens").join(name);
        Self { file: TensorFile::read(path).unwrap(), device: Device::flex() }
    }

    pub fn has(&self, name: &str) -> bool {
        self.file.tensors.contains_key(name)
    }

    pub fn values(&self, name: &str) -> Vec<f32> {
        self.file.tensor(name).unwrap_or_else(|error| panic!("{error}")).to_f32()
    }

    /// A tensor without automatic differentiation, with dimensions of size 1 appended up to D.
    pub fn get<const D: usize>(&self, name: &str) -> Tensor<D> {
        let mut shape = self.file.tensor(name).unwrap().shape.clone();
        shape.resize(D.max(shape.len()), 1);
        Tensor::from_data(TensorData::new(self.values(name), shape), &self.device)
    }

    pub fn scalar(&self, name: &str) -> f32 {
        self.values(name)[0]
    }

    /// The largest difference, relative to the largest expected magnitude.
    pub fn error<const D: usize>(&self, name: &str, found: Tensor<D>) -> f32 {
        difference(&params::to_vec(found), &self.values(name))
    }

    pub fn close<const D: usize>(&self, name: &str, found: Tensor<D>) {
        self.within(1e-4, name, found);
    }

    pub fn within<const D: usize>(&self, tolerance: f32, name: &str, found: Tensor<D>) {
        let error = self.error(name, found);
        assert!(error < tolerance, "{name}: relative difference {error}");
    }

    /// Asserts that the gradients match all reference gradients. A missing gradient counts as zero.
    /// Returns the number of gradients compared.
    pub fn close_gradients(
        &self,
        tolerance: f32,
        prefix: &str,
        names: &[String],
        published: impl Fn(&str) -> String,
        found: &NamedGradients,
    ) -> usize {
        let mut compared = 0;
        for name in names {
            let key = format!("{prefix}{}", published(name));
            if !self.has(&key) {
                continue;
            }
            let expected = self.values(&key);
            let zeros = || vec![0.0; expected.len()];
            let gradient = found.get(name).map_or_else(zeros, |g| params::to_vec(g.clone()));
            let error = difference(&gradient, &expected);
            let size = expected.iter().fold(0f32, |m, v| m.max(v.abs()));
            assert!(error < tolerance || size < 1e-9, "{key}: relative difference {error}");
            compared += 1;
        }
        compared
    }
}

/// The largest difference, relative to the largest expected magnitude.
pub fn difference(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    assert!(found.iter().all(|v| v.is_finite()), "a value is not finite");
    let scale = expected.iter().fold(1e-12f32, |m, v| m.max(v.abs()));
    found.iter().zip(expected).fold(0f32, |m, (a, b)| m.max((a - b).abs())) / scale
}

/// The names of a network's tensors.
pub fn names<M: Module>(module: &M) -> Vec<String> {
    let mut file = TensorFile::default();
    params::collect(module, "", &mut file);
    file.tensors.into_keys().collect()
}
