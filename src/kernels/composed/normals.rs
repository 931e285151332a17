//! Normal samples, generated on the host.

use burn::backend::{Backend, TensorMetadata, tensor::FloatTensor};
use burn::tensor::TensorData;

use crate::draws::Sequence;

/// See [`Kernels::k_normals`](crate::kernels::Kernels::k_normals).
pub fn normals<B: Backend>(
    out: FloatTensor<B>,
    sequence: Sequence,
    first: usize,
    std: f32,
) -> FloatTensor<B> {
    let shape = out.shape();
    let mut values = vec![0.0; shape.num_elements()];
    sequence.fill_normal(first, std, &mut values);
    B::float_from_data(TensorData::new(values, shape), &out.device())
}
