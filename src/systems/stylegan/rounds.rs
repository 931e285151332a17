//! Splitting a batch into rounds that fit into the memory of the device.

use std::ops::Range;

use burn::tensor::Tensor;

/// Some rows of a batch.
pub fn rows<const D: usize>(batch: &Tensor<D>, range: &Range<usize>) -> Tensor<D> {
    batch.clone().narrow(0, range.start, range.len())
}

/// The rounds of a batch of `total` images, at most `round` images each, with the share of each
/// round in the batch.
pub fn rounds(total: usize, round: usize) -> impl Iterator<Item = (Range<usize>, f64)> {
    (0..total).step_by(round.max(1)).map(move |start| {
        let range = start..(start + round.max(1)).min(total);
        let share = range.len() as f64 / total as f64;
        (range, share)
    })
}

/// A round's portion of a quantity `[1]` of the batch. The whole batch needs no arithmetic.
pub fn portion(quantity: Tensor<1>, share: f64) -> Tensor<1> {
    if share == 1.0 { quantity } else { quantity * share }
}
