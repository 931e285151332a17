//! Means of logged quantities, kept on the device until somebody asks.

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor};

use super::Metrics;
use crate::error::{Error, Result};
use crate::nn::params::{from_host, to_host, to_vec};
use crate::tensorfile::{Data, HostTensor, TensorFile};

/// Running sums of scalars. Reading a scalar waits for the device, so that is done once a tick.
#[derive(Default)]
pub struct Means {
    sums: BTreeMap<String, (Tensor<1>, u64)>,
}

impl Means {
    /// Counts in one more value [1], which is without automatic differentiation.
    pub fn add(&mut self, name: &str, value: Tensor<1>) {
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
        let mut metrics = Metrics::new();
        for (name, (sum, count)) in std::mem::take(&mut self.sums) {
            let mean = f64::from(to_vec(sum)[0]) / count as f64;
            if !mean.is_finite() {
                return Err(Error::user(format!("training diverged: `{name}` is {mean}"))
                    .hint("lower the learning rate or raise the weight of R1"));
            }
            metrics.set(name, mean);
        }
        Ok(metrics)
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
        for (key, sum) in &file.tensors {
            let Some(name) = key.strip_prefix("sum.") else { continue };
            let count = match file.tensors.get(&format!("count.{name}")).map(|t| &t.data) {
                Some(Data::I64(count)) if count.len() == 1 => count[0] as u64,
                _ => return Err(Error::user(format!("the training state has no `count.{name}`"))),
            };
            self.sums.insert(name.to_owned(), (from_host(sum, device), count));
        }
        Ok(())
    }
}
