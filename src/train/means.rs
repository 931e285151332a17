//! Running means of logged quantities, kept on the device until they are read.

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor};

use crate::error::{Error, Result};
use crate::nn::params::{from_host, to_host, to_vec};
use crate::report::Metrics;
use crate::tensorfile::{Data, HostTensor, TensorFile};

/// Running means of named scalars.
///
/// Reading a scalar waits for the device, so the values are read only once per tick.
#[derive(Default)]
pub struct Means {
    sums: BTreeMap<String, (Tensor<1>, u64)>,
    /// Number of values added since the last call of [`take`](Self::take), over all names.
    added: u64,
    /// For each name, the position `[1]` of its first non-finite value among all added values;
    /// [`NEVER`] if all are finite.
    bad: BTreeMap<String, Tensor<1>>,
}

/// Position that stands for "no such value".
const NEVER: f64 = 1e30;

/// Hint for a training that diverged. Resuming does not help, because it repeats the same steps.
pub const DIVERGED: &str = "start a new run with a smaller learning rate or more regularisation; \
     `train-stylegan --transfer MODEL` starts from the weights of an earlier model";

impl Means {
    /// Adds a value `[1]` without automatic differentiation to the mean `name`.
    pub fn add(&mut self, name: &str, value: Tensor<1>) {
        // x − x is 0 if x is finite and NaN otherwise, and NaN is not equal to 0.
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

    /// Returns the means of the values added since the last call, and resets them.
    ///
    /// # Errors
    /// Fails if a mean is not finite. The error names the one that became so first.
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
        // Soon after the first non-finite term everything is NaN, so only the first one helps.
        diverged.sort_by(|a, b| a.0.total_cmp(&b.0));
        match diverged.first() {
            None => Ok(metrics),
            Some((_, name, mean)) => {
                Err(Error::user(format!("training diverged: `{name}` became {mean} first"))
                    .hint(DIVERGED))
            }
        }
    }

    /// Writes the sums into a checkpoint.
    pub fn collect(&self, file: &mut TensorFile) {
        for (name, (sum, count)) in &self.sums {
            file.tensors.insert(format!("sum.{name}"), to_host(sum.clone()));
            let count = HostTensor { shape: vec![1], data: Data::I64(vec![*count as i64]) };
            file.tensors.insert(format!("count.{name}"), count);
        }
    }

    /// Reads the sums back from a checkpoint.
    ///
    /// # Errors
    /// Fails if a count is missing or a sum has the wrong shape.
    pub fn restore(&mut self, file: &TensorFile, device: &Device) -> Result<()> {
        self.sums.clear();
        self.bad.clear();
        self.added = 0;
        for (key, sum) in &file.tensors {
            let Some(name) = key.strip_prefix("sum.") else { continue };
            let count = match file.tensors.get(&format!("count.{name}")).map(|t| &t.data) {
                Some(Data::I64(count)) if count.len() == 1 => count[0] as u64,
                _ => return Err(Error::user(format!("the checkpoint has no `count.{name}`"))),
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
    fn take_resets_the_means() {
        let mut means = Means::default();
        for value in [1.0, 2.0, 6.0] {
            add(&mut means, "loss/G", value);
        }
        assert_eq!(means.take().unwrap().get("loss/G"), Some(3.0));
        assert_eq!(means.take().unwrap().get("loss/G"), None);
    }

    #[test]
    fn error_names_the_term_that_diverged_first() {
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
        assert!(means.take().is_ok(), "an earlier divergence must be forgotten");
    }
}
