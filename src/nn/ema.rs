//! Exponential moving average of a network's parameters.

use std::collections::BTreeMap;

use burn::module::Module;
use burn::tensor::Tensor;

use super::params::{flatten, replace};
use crate::kernels;

/// The decay of an iteration over `batch` images, for an average whose half-life is `half_life`
/// images.
pub fn decay(batch: usize, half_life: f64) -> f64 {
    0.5f64.powf(batch as f64 / half_life.max(1e-8))
}

/// Updates a moving average: average ← current + (average − current)·beta for trained parameters.
/// Buffers are copied.
///
/// Both networks have the same architecture. `average` stays without automatic differentiation.
pub fn update<M: Module>(average: M, current: &M, beta: f64) -> M {
    let mut before = flatten(&average);
    let mut after: BTreeMap<String, Tensor<1>> = BTreeMap::new();
    let (mut names, mut averages, mut currents) = (Vec::new(), Vec::new(), Vec::new());
    for (name, current) in flatten(current) {
        let Some(average) = before.remove(&name) else { continue };
        if current.trained {
            names.push(name);
            averages.push(average.values);
            currents.push(current.values);
        } else {
            after.insert(name, current.values);
        }
    }
    after.extend(names.into_iter().zip(kernels::blend(averages, currents, beta as f32)));
    replace(average, after)
}
