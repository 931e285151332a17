//! Means of logged quantities, kept on the device until somebody asks.

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor};

use crate::error::{Error, Result};
use crate::nn::params::{from_host, to_host, to_vec};
use crate::report::Metrics;
use crate::tensorfile::{Data, HostTensor, TensorFile};

/// Running sums of scalars. Reading a scalar waits for the device, so that is done once a tick.
#[derive(Default)]
pub struct Means {
    sums: BTreeMap<String, (Tensor<1>, u64)>,
    /// Values counted in since the last call of [`take`](Self::take), over all names.
    added: u64,
    /// For each name, the first of those that was not finite, as its place among them [1].
    bad: BTreeMap<String, Tensor<1>>,
}

/// Place of what did not happen.
const NEVER: f64 = 1e30;

/// What helps against a training that diverged: going on would repeat it exactly.
pub const DIVERGED: &str = "start a new run with a smaller learning rate or more regularisation; \
     `train-stylegan --transfer MODEL` takes over the weights of an earlier model";

impl Means {
    /// Counts in one more value [1], which is without automatic differentiation.
    pub fn add(&mut self, name: &str, value: Tensor<1>) {
        // x − x is 0 unless x is not finite; then it is NaN, which equals nothing.
        let finite = (value.clone() - value.clone()).equal_elem(0.0);
        let place = value.zeros_like().add_scalar(self.added as f64).mask_fill(finite, NEVER);
        self.added += 1;
        let bad = match self.bad.remove(name) {
            Some(bad) => bad.min_pair(place),
            None => place,
        };
        self.bad.insert(name.to_owned(), bad);
        let (sum, count) = match self.sums.remove(name) {
            Some((sum, count)) => (sum + value, count + 1),
            None => (value, 1),
        };
        self.sums.insert(name.to_owned(), (sum, count));
    }

    /// The means since the last call.
    ///
    /// # Errors
    /// If one of them is not finite: it is named.
    pub fn take(&mut self) -> Result<Metrics> {
        let bad = std::mem::take(&mut self.bad);
        self.added = 0;
        let mut metrics = Metrics::new();
        let mut diverged = Vec::new();
        for (name, (sum, count)) in std::mem::take(&mut self.sums) {
            let mean = f64::from(to_vec(sum)[0]) / count as f64;
            if !mean.is_finite() {
                let place = bad.get(&name).map_or(NEVER as f32, |bad| to_vec(bad.clone())[0]);
                diverged.push((place, name.clone(), mean));
            }
            metrics.set(name, mean);
        }
        // The term in which it began: soon afterwards everything is NaN.
        diverged.sort_by(|a, b| a.0.total_cmp(&b.0));
        match diverged.first() {
            None => Ok(metrics),
            Some((_, name, mean)) => Err(Error::user(format!(
                "the training diverged: `{name}` was the first to become {mean}"
            ))
            .hint(DIVERGED)),
        }
    }

    /// Adds the sums to a training state.
    pub fn collect(&self, file: &mut TensorFile) {
        for (name, (sum, count)) in &self.sums {
            file.tensors.insert(format!("sum.{name}"), to_host(sum.clone()));
            let count = HostTensor { shape: vec![1], data: Data::I64(vec![*count as i64]) };
            file.tensors.insert(format!("count.{name}"), count);
        }
    }

    /// Takes the sums back from a training state.
    ///
    /// # Errors
    /// If they are damaged.
    pub fn restore(&mut self, file: &TensorFile, device: &Device) -> Result<()> {
        self.sums.clear();
        self.bad.clear();
        self.added = 0;
        for (key, sum) in &file.tensors {
            let Some(name) = key.strip_prefix("sum.") else { continue };
            let count = match file.tensors.get(&format!("count.{name}")).map(|t| &t.data) {
                Some(Data::I64(count)) if count.len() == 1 => count[0] as u64,
                _ => return Err(Error::user(format!("the training state has no `count.{name}`"))),
            };
            if sum.shape != [1] {
                return Err(Error::user(format!("`{key}` has shape {:?}, not [1]", sum.shape)));
            }
            self.sums.insert(name.to_owned(), (from_host(sum, device), count));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(means: &mut Means, name: &str, value: f32) {
        means.add(name, Tensor::from_floats([value], &Device::flex()));
    }

    #[test]
    fn means_are_those_since_the_last_call() {
        let mut means = Means::default();
        for value in [1.0, 2.0, 6.0] {
            add(&mut means, "loss/G", value);
        }
        assert_eq!(means.take().unwrap().get("loss/G"), Some(3.0));
        assert_eq!(means.take().unwrap().get("loss/G"), None);
    }

    #[test]
    fn the_first_term_that_diverged_is_named() {
        let mut means = Means::default();
        for (name, value) in [
            ("loss/D", 1.0),
            ("loss/r1", f32::INFINITY),
            ("loss/D", f32::NAN),
            ("loss/G", f32::NAN),
        ] {
            add(&mut means, name, value);
        }
        let error = means.take().unwrap_err();
        assert!(error.message.contains("`loss/r1`"), "{error}");
        add(&mut means, "loss/D", 1.0);
        assert!(means.take().is_ok(), "what diverged before is forgotten");
    }
}
