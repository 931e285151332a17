//! Running means of logged quantities, which stay on the device until they are read.

use std::collections::BTreeMap;

use burn::tensor::{Tensor, Transaction};

use crate::error::{Error, Result};
use crate::report::Metrics;
use crate::tensorfile::{Data, HostTensor, TensorFile};

/// Running means of named scalars.
///
/// Reading a scalar waits for the device, and adding scalars up on the device takes several
/// launches for each. So the values stay as they are until a tick, a checkpoint or a limited number
/// of them; then one wait reads them all.
#[derive(Default)]
pub struct Means {
    read: Sums,
    waiting: Vec<(String, Part, Tensor<1>)>,
}

/// The part of a value that is in a tensor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Part {
    /// Its weight in the value.
    pub weight: f32,
    /// Whether it is the first part of the value.
    pub first: bool,
}

impl Part {
    /// The whole value.
    pub const WHOLE: Self = Self { weight: 1.0, first: true };
}

/// Values that may wait on the device.
const WAITING: usize = 1 << 14;

/// Hint for a training that diverged. Resuming does not help, because it repeats the same steps.
pub const DIVERGED: &str = "start a new run with a smaller learning rate or more regularisation, if \
     possible from the weights of an earlier model";

/// Sums of values that were read, in the order in which they were added.
#[derive(Debug, Clone, Default)]
struct Sums {
    sums: BTreeMap<String, (f32, u64)>,
    /// Number of values added since the last call of [`Means::take`], over all names.
    added: u64,
    /// For each name that has one, the position of its first non-finite value among all added ones.
    bad: BTreeMap<String, u64>,
}

impl Sums {
    fn add(&mut self, waiting: &[(String, Part, Tensor<1>)]) {
        let values = waiting
            .iter()
            .fold(Transaction::default(), |values, (.., value)| values.register(value.clone()));
        if waiting.is_empty() {
            return;
        }
        for ((name, part, _), value) in waiting.iter().zip(values.execute()) {
            let values: Vec<f32> = value.convert::<f32>().try_into_vec().expect("just converted");
            self.add_value(name, *part, values[0]);
        }
    }

    fn add_value(&mut self, name: &str, part: Part, value: f32) {
        if !value.is_finite() {
            self.bad.entry(name.to_owned()).or_insert(self.added);
        }
        self.added += 1;
        let (sum, count) = self.sums.entry(name.to_owned()).or_insert((0.0, 0));
        *sum += part.weight * value;
        *count += u64::from(part.first);
    }
}

impl Means {
    /// Adds a value `[1]` without automatic differentiation to the mean `name`.
    pub fn add(&mut self, name: &str, value: Tensor<1>) {
        self.add_part(name, Part::WHOLE, value);
    }

    /// Adds a part of a value, as [`add`](Self::add) does.
    pub(super) fn add_part(&mut self, name: &str, part: Part, value: Tensor<1>) {
        self.waiting.push((name.to_owned(), part, value));
        if self.waiting.len() >= WAITING {
            self.read.add(&std::mem::take(&mut self.waiting));
        }
    }

    /// Adds a part of a value that has been read from the device already.
    pub(super) fn add_read(&mut self, name: &str, part: Part, value: f32) {
        self.read.add(&std::mem::take(&mut self.waiting));
        self.read.add_value(name, part, value);
    }

    /// Returns the means of the values added since the last call, and resets them.
    ///
    /// # Errors
    /// Fails if a mean is not finite. The error names the one that became so first.
    pub fn take(&mut self) -> Result<Metrics> {
        let mut read = std::mem::take(&mut self.read);
        read.add(&std::mem::take(&mut self.waiting));
        let mut metrics = Metrics::new();
        let mut diverged = Vec::new();
        for (name, (sum, count)) in read.sums {
            let mean = f64::from(sum) / count as f64;
            if !mean.is_finite() {
                let place = read.bad.get(&name).copied().unwrap_or(u64::MAX);
                diverged.push((place, name.clone(), mean));
            }
            metrics.set(name, mean);
        }
        // Soon after the first non-finite term everything is NaN, so only the first one helps.
        diverged.sort_by_key(|(place, ..)| *place);
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
        let mut read = self.read.clone();
        read.add(&self.waiting);
        for (name, (sum, count)) in read.sums {
            let sum = HostTensor { shape: vec![1], data: Data::F32(vec![sum]) };
            file.tensors.insert(format!("sum.{name}"), sum);
            let count = HostTensor { shape: vec![1], data: Data::I64(vec![count as i64]) };
            file.tensors.insert(format!("count.{name}"), count);
        }
    }

    /// Reads the sums back from a checkpoint.
    ///
    /// # Errors
    /// Fails if a count is missing or a sum has the wrong shape.
    pub fn restore(&mut self, file: &TensorFile) -> Result<()> {
        *self = Self::default();
        for (key, sum) in &file.tensors {
            let Some(name) = key.strip_prefix("sum.") else { continue };
            let count = match file.tensors.get(&format!("count.{name}")).map(|t| &t.data) {
                Some(Data::I64(count)) if count.len() == 1 => count[0] as u64,
                _ => {
                    return Err(Error::user(format!("the checkpoint has no `count.{name}`")).hint(
                        "the file is damaged; use an earlier checkpoint, or start a new run",
                    ));
                }
            };
            if sum.shape != [1] {
                return Err(Error::user(format!("`{key}` has shape {:?}, not [1]", sum.shape))
                    .hint("the file is damaged; use an earlier checkpoint, or start a new run"));
            }
            self.read.sums.insert(name.to_owned(), (sum.to_f32()[0], count));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

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
    fn a_checkpoint_keeps_the_sums() {
        let mut means = Means::default();
        add(&mut means, "loss/G", 1.0);
        let mut file = TensorFile::default();
        means.collect(&mut file);
        let mut resumed = Means::default();
        resumed.restore(&file).unwrap();
        for means in [&mut means, &mut resumed] {
            add(means, "loss/G", 4.0);
            assert_eq!(means.take().unwrap().get("loss/G"), Some(2.5));
        }
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
