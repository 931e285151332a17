//! The requirements of every launch: contiguous inputs, memory for outputs, and grids within the
//! limits.

use burn::backend::TensorMetadata;
use burn::backend::ops::FloatTensorOps;
use burn::tensor::{DType, Shape};
use burn_cubecl::CubeBackend;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use cubecl::ir::features::TypeUsage;
use cubecl::ir::{ElemType, FloatKind};
use cubecl::prelude::*;

/// A tensor on a GPU.
pub type Floats = burn::backend::tensor::FloatTensor<CubeBackend>;

/// The largest number of cubes along an axis that every API allows.
const MAX_CUBES: usize = 65_535;

/// Whether the custom kernels can compute with these tensors: images of one type, f32 or f16, and
/// parameters in f32.
pub fn supported(images: &[&Floats], parameters: &[&Floats]) -> bool {
    let first = images[0].dtype;
    matches!(first, DType::F32 | DType::F16)
        && images.iter().all(|image| image.dtype == first)
        && parameters.iter().all(|parameter| parameter.dtype == DType::F32)
}

/// Whether the device of a tensor has f16 in memory and can convert it.
pub fn stores_half(like: &Floats) -> bool {
    let usage = like.client.properties().type_usage(ElemType::Float(FloatKind::F16));
    usage.is_superset(TypeUsage::Buffer | TypeUsage::Conversion)
}

/// The tensor in row-major order.
pub fn contiguous(tensor: Floats) -> Floats {
    into_contiguous(tensor)
}

/// The tensors in row-major order.
pub fn all_contiguous(list: Vec<Floats>) -> Vec<Floats> {
    list.into_iter().map(contiguous).collect()
}

/// The tensor with another shape of as many elements.
pub fn reshaped(tensor: Floats, shape: impl Into<Shape>) -> Floats {
    let tensor = contiguous(tensor);
    let (client, device) = (tensor.client.clone(), tensor.device.clone());
    Floats::new_contiguous(client, device, shape.into(), tensor.handle, tensor.dtype)
}

/// As many neighbouring elements of a list as `shape` has, from number `first` on: a view, or a copy if
/// the device cannot bind memory from there on.
pub fn part(list: &Floats, first: usize, shape: impl Into<Shape>) -> Floats {
    let shape = shape.into();
    let range = first..first + shape.num_elements();
    let part = CubeBackend::float_slice(list.clone(), &[range.into()]);
    let (client, device) = (part.client.clone(), part.device.clone());
    Floats::new_contiguous(client, device, shape, part.handle, part.dtype)
}

/// A new tensor of another shape, on the same device and of the same type as `like`.
pub fn empty(like: &Floats, shape: impl Into<Shape>) -> Floats {
    of_type(like, shape, like.dtype)
}

/// A new tensor of f32 on the same device as `like`.
pub fn empty_f32(like: &Floats, shape: impl Into<Shape>) -> Floats {
    of_type(like, shape, DType::F32)
}

fn of_type(like: &Floats, shape: impl Into<Shape>, dtype: DType) -> Floats {
    empty_device_contiguous_dtype(like.client.clone(), like.device.clone(), shape.into(), dtype)
}

/// The element type of an image that [`supported`] accepts.
pub fn element(tensor: &Floats) -> ElemType {
    ElemType::Float(match tensor.dtype {
        DType::F16 => FloatKind::F16,
        _ => FloatKind::F32,
    })
}

/// The sides of a tensor of a known rank.
pub fn dims<const D: usize>(tensor: &Floats) -> [usize; D] {
    tensor.shape().dims::<D>()
}

/// The number of neighbouring elements that a unit reads at once, given that rows have `length`
/// elements.
pub fn vector(length: usize) -> usize {
    if length.is_multiple_of(4) { 4 } else { 1 }
}

/// A grid of `x` × at least `lines` cubes: a line is its position along y and z together.
pub fn grid(x: usize, lines: usize) -> CubeCount {
    let z = lines.div_ceil(MAX_CUBES).max(1);
    CubeCount::Static(x as u32, lines.div_ceil(z) as u32, z as u32)
}

/// A grid of cubes of `units` units, one unit or more for each of `count` elements.
pub fn cover(count: usize, units: usize) -> CubeCount {
    let cubes = count.div_ceil(units);
    let along = cubes.min(1024);
    grid(along, cubes.div_ceil(along))
}

/// The number of this unit in a grid of [`cover`].
#[cube]
pub fn covered(#[comptime] units: usize) -> usize {
    (line() * CUBE_COUNT_X as usize + CUBE_POS_X as usize) * units + UNIT_POS as usize
}

/// The number of the line of [`grid`] that this cube belongs to.
#[cube]
pub fn line() -> usize {
    CUBE_POS_Z as usize * CUBE_COUNT_Y as usize + CUBE_POS_Y as usize
}
