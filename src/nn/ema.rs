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

/// The decay of the iteration that begins at `nimg` images, for an average whose half-life is at most
/// `rampup` times the images seen so far. The early networks are then soon forgotten (Karras et al.
/// 2020b, their code). A `rampup` of 0 means no limit.
pub fn ramped_decay(batch: usize, half_life: f64, nimg: u64, rampup: f64) -> f64 {
    match rampup > 0.0 {
        true => decay(batch, half_life.min(nimg as f64 * rampup)),
        false => decay(batch, half_life),
    }
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
