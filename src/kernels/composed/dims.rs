//! The sides of a tensor.

use burn::tensor::Shape;

/// The shape of a tensor of a known rank.
pub fn dims<const D: usize>(shape: Shape) -> [usize; D] {
    shape.dims::<D>()
}
