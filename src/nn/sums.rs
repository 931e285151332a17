//! Sums that are the same in every run.

use burn::tensor::Tensor;

/// The sum of all elements: `[…]` → `[1]`.
///
/// Burn's `sum` adds with atomics on GPUs that have them, in an order that differs from run to run.
/// Values that are stored in checkpoints use this sum, so that a resumed run equals an
/// uninterrupted one on such devices as well.
pub fn total<const D: usize>(x: Tensor<D>) -> Tensor<1> {
    let count = x.shape().num_elements();
    x.mean() * count as f64
}
