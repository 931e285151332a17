//! Tensors in the type that a kernel needs.

use burn::backend::ops::FloatTensorOps;
use burn::tensor::DType;
use burn_cubecl::CubeBackend;

use super::launch::Floats;
use crate::kernels::outputs::Tensors;

/// The tensors in f32.
pub fn full(list: Tensors<CubeBackend>) -> Tensors<CubeBackend> {
    of_type(list, DType::F32)
}

/// The tensors in a type.
pub fn of_type(list: Tensors<CubeBackend>, dtype: DType) -> Tensors<CubeBackend> {
    Tensors(list.0.into_iter().map(|tensor| cast(tensor, dtype)).collect())
}

/// A tensor in a type.
pub fn cast(tensor: Floats, dtype: DType) -> Floats {
    match tensor.dtype == dtype {
        true => tensor,
        false => CubeBackend::float_cast(tensor, dtype.into()),
    }
}

/// Whether all tensors are f32.
pub fn all_f32<'a>(mut tensors: impl Iterator<Item = &'a Floats>) -> bool {
    tensors.all(|tensor| tensor.dtype == DType::F32)
}
