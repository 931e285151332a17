//! The CPU backend's tensors as slices.

use burn::backend::{Flex, TensorMetadata, tensor::FloatTensor};
use burn::tensor::{DType, TensorData};

use crate::kernels::cpu::target::Target;

pub type Floats = FloatTensor<Flex>;

/// Calls `fill` with the inputs as contiguous f32 slices; returns a new tensor of `shape`.
pub fn produce<const N: usize>(
    inputs: [Floats; N],
    shape: impl Into<Vec<usize>>,
    fill: impl FnOnce([&[f32]; N], &mut [f32]),
) -> Floats {
    let shape = shape.into();
    let len = shape.iter().product();
    made(inputs, shape, |inputs| {
        let mut values = vec![0f32; len];
        fill(inputs, &mut values);
        values
    })
}

/// Calls `make` with the inputs as contiguous f32 slices; its result has `shape`.
pub fn made<const N: usize>(
    inputs: [Floats; N],
    shape: impl Into<Vec<usize>>,
    make: impl FnOnce([&[f32]; N]) -> Vec<f32>,
) -> Floats {
    let inputs = inputs.map(contiguous);
    Floats::from_data(TensorData::new(make(inputs.each_ref().map(slice)), shape.into()))
}

/// Changes the values of `x`; returns the tensor, and what `pass` returns.
///
/// If nothing else refers to `x`, its memory is kept: fresh pages cost more than most changes.
///
/// # Safety
/// `pass` visits all parts of its target.
pub unsafe fn change<const N: usize, T>(
    x: Floats,
    others: [Floats; N],
    pass: impl FnOnce(Target, [&[f32]; N]) -> T,
) -> (Floats, T) {
    let others = others.map(contiguous);
    let slices = others.each_ref().map(slice);
    let mut x = contiguous(x);
    if x.is_unique() && is_whole(&x) {
        let found = pass(Target::in_place(x.storage_mut::<f32>()), slices);
        return (x, found);
    }
    let shape = x.shape();
    let len = shape.num_elements();
    let mut values = Vec::with_capacity(len);
    // In debug builds, what a pass does not visit is NaN.
    if cfg!(debug_assertions) {
        values.resize(len, f32::NAN);
        values.clear();
    }
    let found = pass(Target::apart(slice(&x), &mut values.spare_capacity_mut()[..len]), slices);
    // SAFETY: a target initialises the parts that it hands out; the contract.
    unsafe { values.set_len(len) };
    (Floats::from_data(TensorData::new(values, shape)), found)
}

pub fn contiguous(tensor: Floats) -> Floats {
    if tensor.is_contiguous() { tensor } else { tensor.to_contiguous() }
}

/// Makes a tensor contiguous and the only one in its storage.
pub fn whole(tensor: Floats) -> Floats {
    if is_whole(&tensor) { tensor } else { tensor.to_contiguous() }
}

pub fn is_whole(tensor: &Floats) -> bool {
    let bytes = tensor.shape().num_elements() * size_of::<f32>();
    tensor.is_contiguous() && tensor.bytes().len() == bytes
}

pub fn slice(tensor: &Floats) -> &[f32] {
    tensor.as_slice::<f32>().expect("made contiguous f32 above")
}

pub fn all_f32(tensors: &[&Floats]) -> bool {
    tensors.iter().all(|t| t.dtype() == DType::F32)
}

pub fn dims<const D: usize>(tensor: &Floats) -> [usize; D] {
    let shape = tensor.shape();
    assert_eq!(shape.num_dims(), D, "the rank of {shape:?}");
    shape.dims::<D>()
}
