//! The Adam optimiser (Kingma & Ba 2015) over named parameters. Like StyleGAN2-ADA, it replaces
//! non-finite gradients.

use std::collections::BTreeMap;

use burn::module::Module;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::params::{NamedGradients, flatten, from_host, replace, to_host};
use crate::error::{Error, Result, positive};
use crate::kernels::{self, AdamStep};
use crate::tensorfile::{Data, HostTensor, TensorFile};

/// Constants of the Adam optimiser.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct AdamSettings {
    /// Decay rate of the first moment, β1.
    pub beta1: f64,
    /// Decay rate of the second moment, β2.
    pub beta2: f64,
    /// ε, which is added to the root of the second moment.
    pub eps: f64,
}

impl AdamSettings {
    /// The constants of Kingma & Ba: β1 = 0.9, β2 = 0.999, ε = 1e-8.
    pub const PUBLISHED: Self = Self { beta1: 0.9, beta2: 0.999, eps: 1e-8 };

    /// Settings for a network that takes an extra, lazy step every `interval` iterations: the
    /// decay rates are raised to c = interval/(interval + 1) (Karras et al. 2020, App. B). The
    /// learning rate is multiplied by the same c ([`lazy_factor`]).
    pub fn lazy(self, interval: usize) -> Self {
        let c = lazy_factor(interval);
        Self { beta1: self.beta1.powf(c), beta2: self.beta2.powf(c), ..self }
    }

    /// Checks the constants. `section` is the name of their table, for messages.
    ///
    /// # Errors
    /// Fails if a constant is out of range; the error names it.
    pub fn check(&self, section: &str) -> Result<()> {
        for (name, beta) in [("beta1", self.beta1), ("beta2", self.beta2)] {
            if !(0.0..1.0).contains(&beta) {
                return Err(Error::user(format!("{section}.{name} is {beta}"))
                    .hint("give a decay rate of at least 0 and less than 1"));
            }
        }
        positive(&format!("{section}.eps"), self.eps)
    }

    /// The constants of step `number`, which is 1 for the first step.
    fn step(&self, lr: f64, number: u64) -> AdamStep {
        AdamStep {
            lr: lr as f32,
            beta1: self.beta1 as f32,
            beta2: self.beta2 as f32,
            eps: self.eps as f32,
            number,
        }
    }
}

/// c = k/(k+1) for a lazy phase of interval k; 1 without a lazy phase (k = 0).
pub fn lazy_factor(interval: usize) -> f64 {
    if interval == 0 { 1.0 } else { interval as f64 / (interval as f64 + 1.0) }
}

/// An Adam optimiser with its moments.
///
/// The moments are stored by parameter name, so that they can be saved and restored exactly.
pub struct Adam {
    settings: AdamSettings,
    steps: u64,
    moments: BTreeMap<String, [Tensor<1>; 2]>,
    non_finite: Option<Tensor<1>>,
}

impl Adam {
    /// A new optimiser, before its first step.
    pub fn new(settings: AdamSettings) -> Self {
        Self { settings, steps: 0, moments: BTreeMap::new(), non_finite: None }
    }

    /// Performs one step with learning rate `lr` and returns the updated network.
    ///
    /// NaN in a gradient is replaced by 0, and ±∞ by ±1e5;
    /// [`take_non_finite`](Self::take_non_finite) returns how many there were. A trained parameter
    /// that the loss does not depend on has gradient 0.
    pub fn step<M: Module>(&mut self, module: M, gradients: NamedGradients, lr: f64) -> M {
        self.steps += 1;
        let step = self.settings.step(lr, self.steps);
        let trained = flatten(&module).into_iter().filter(|(_, flat)| flat.trained);
        let (names, values): (Vec<String>, Vec<Tensor<1>>) =
            trained.map(|(name, flat)| (name, flat.values)).unzip();
        if names.is_empty() {
            return module;
        }
        let mut gradients = gradients.0;
        let (mut m, mut v, mut g) = (Vec::new(), Vec::new(), Vec::new());
        for (name, value) in names.iter().zip(&values) {
            let zeros = || value.zeros_like();
            let moments = self.moments.remove(name).unwrap_or_else(|| [zeros(), zeros()]);
            let [first, second] = moments;
            m.push(first);
            v.push(second);
            g.push(gradients.remove(name).unwrap_or_else(zeros));
        }
        let done = kernels::adam(values, m, v, g, step);
        self.non_finite = Some(match self.non_finite.take() {
            Some(sum) => sum + done.non_finite,
            None => done.non_finite,
        });
        let moments = done.m.into_iter().zip(done.v).map(|(m, v)| [m, v]);
        self.moments.extend(names.iter().cloned().zip(moments));
        replace(module, names.into_iter().zip(done.values).collect())
    }

    /// Returns the number of non-finite gradient elements since the last call. Waits for the
    /// device.
    pub fn take_non_finite(&mut self) -> u64 {
        self.non_finite.take().map_or(0, |count| super::params::to_vec(count)[0] as u64)
    }

    /// Writes the moments into `file` under `prefix`.
    pub fn collect(&self, prefix: &str, file: &mut TensorFile) {
        for (name, [m, v]) in &self.moments {
            file.tensors.insert(format!("{prefix}.m.{name}"), to_host(m.clone()));
            file.tensors.insert(format!("{prefix}.v.{name}"), to_host(v.clone()));
        }
        if let Some(count) = &self.non_finite {
            file.tensors.insert(format!("{prefix}.non_finite"), to_host(count.clone()));
        }
        let steps = HostTensor { shape: vec![1], data: Data::I64(vec![self.steps as i64]) };
        file.tensors.insert(format!("{prefix}.steps"), steps);
    }

    /// Reads the moments of the trained parameters of `module` back from `file`.
    ///
    /// # Errors
    /// Fails if a tensor is missing or has another shape; the error names it.
    pub fn restore<M: Module>(
        &mut self,
        prefix: &str,
        module: &M,
        file: &TensorFile,
        device: &burn::tensor::Device,
    ) -> Result<()> {
        let device = device.clone().without_autodiff();
        let damaged = |key: &str, finding: &str| {
            Error::user(format!("the checkpoint: `{key}` {finding}"))
                .hint("the file is damaged, or comes from another version of cigan")
        };
        let key = format!("{prefix}.steps");
        self.steps = match file.tensors.get(&key).map(|steps| &steps.data) {
            Some(Data::I64(steps)) if steps.len() == 1 => {
                u64::try_from(steps[0]).map_err(|_| damaged(&key, "is negative"))?
            }
            _ => return Err(damaged(&key, "is missing")),
        };
        let take = |kind: &str, name: &str, count: usize| {
            let key = format!("{prefix}.{kind}.{name}");
            match file.tensors.get(&key) {
                None => Err(damaged(&key, "is missing")),
                Some(tensor) if tensor.shape != [count] => {
                    Err(damaged(&key, &format!("has shape {:?}, not [{count}]", tensor.shape)))
                }
                Some(tensor) => Ok(from_host(tensor, &device)),
            }
        };
        self.moments.clear();
        if self.steps > 0 {
            for (name, flat) in flatten(module).into_iter().filter(|(_, flat)| flat.trained) {
                let count = flat.values.dims()[0];
                let moments = [take("m", &name, count)?, take("v", &name, count)?];
                self.moments.insert(name, moments);
            }
        }
        let counted = file.tensors.get(&format!("{prefix}.non_finite"));
        self.non_finite = counted.filter(|c| c.shape == [1]).map(|count| from_host(count, &device));
        Ok(())
    }
}

/// Adam for a single tensor, used to optimise latent codes.
pub struct LatentAdam<const D: usize> {
    settings: AdamSettings,
    lr: f64,
    steps: u64,
    moments: Option<[Tensor<1>; 2]>,
}

impl<const D: usize> LatentAdam<D> {
    /// An optimiser with β1 = 0.9, β2 = 0.999 and ε = 1e-8.
    pub fn new(lr: f64) -> Self {
        let settings = AdamSettings::PUBLISHED;
        Self { settings, lr, steps: 0, moments: None }
    }

    /// Returns `value` after one step against `gradient`, both of the same shape `[…]` and without
    /// automatic differentiation.
    pub fn step(&mut self, value: Tensor<D>, gradient: Tensor<D>) -> Tensor<D> {
        self.steps += 1;
        let shape = value.dims();
        let count = shape.iter().product::<usize>();
        let value = value.reshape([count]);
        let [m, v] =
            self.moments.take().unwrap_or_else(|| [value.zeros_like(), value.zeros_like()]);
        let step = self.settings.step(self.lr, self.steps);
        let gradient = gradient.reshape([count]);
        let done = kernels::adam(vec![value], vec![m], vec![v], vec![gradient], step);
        let only = |list: Vec<Tensor<1>>| list.into_iter().next().expect("one tensor");
        self.moments = Some([only(done.m), only(done.v)]);
        only(done.values).reshape(shape)
    }
}
