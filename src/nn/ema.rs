//! Exponential moving average of a network's parameters.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::Tensor;

use super::params::{Flat, Path, flatten};

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
    average.map(&mut Lerp { path: Path::new(""), current: flatten(current), beta: beta as f32 })
}

struct Lerp {
    path: Path,
    current: BTreeMap<String, Flat>,
    beta: f32,
}

impl ModuleMapper for Lerp {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(current) = self.current.remove(&self.path.name()) else { return param };
        param.map(|average| {
            let shape = average.dims();
            let now = current.values.reshape(shape);
            if current.trained { now.clone() + (average - now) * self.beta } else { now }
        })
    }
}
