//! The CPU backend's own kernels.

use burn::backend::{
    Flex, TensorMetadata,
    ops::FloatTensorOps,
    tensor::{Device, FloatTensor},
};
use burn::tensor::{DType, TensorData};

use super::{Kernels, Warp, composed, cpu};

impl Kernels for Flex {
    fn k_warp(x: FloatTensor<Self>, warp: Warp) -> FloatTensor<Self> {
        if x.dtype() != DType::F32 {
            return composed::warp::<Self>(x, warp);
        }
        let [n, c, _, _] = x.shape().dims();
        let [h, w] = warp.output;
        let (device, x) = (x.device(), x.to_contiguous());
        produce([n, c, h, w], &device, |y| cpu::warp::forward(values(&x), &warp, y))
    }

    fn k_warp_adjoint(g: FloatTensor<Self>, warp: Warp) -> FloatTensor<Self> {
        if g.dtype() != DType::F32 {
            return composed::warp_adjoint::<Self>(g, warp);
        }
        let [n, c, _, _] = g.shape().dims();
        let [h, w] = warp.input;
        let (device, g) = (g.device(), g.to_contiguous());
        produce([n, c, h, w], &device, |x| cpu::warp::adjoint(values(&g), &warp, x))
    }
}

/// The elements of a contiguous f32 tensor.
fn values(x: &FloatTensor<Flex>) -> &[f32] {
    let start = x.layout().start_offset();
    &x.storage::<f32>()[start..start + x.shape().num_elements()]
}

/// A tensor whose elements `fill` writes.
fn produce(
    shape: [usize; 4],
    device: &Device<Flex>,
    fill: impl FnOnce(&mut [f32]),
) -> FloatTensor<Flex> {
    let mut out = vec![0.0; shape.iter().product()];
    fill(&mut out);
    Flex::float_from_data(TensorData::new(out, shape), device)
}
