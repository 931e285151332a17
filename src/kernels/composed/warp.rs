//! Bilinear sampling by gathering, and its adjoint by scattering.

use burn::backend::{
    Backend, TensorMetadata, get_device_settings,
    tensor::{Device, FloatTensor, IntTensor},
};
use burn::tensor::{DType, IndexingUpdateOp, Shape, TensorData};

use super::dims::dims;
use crate::kernels::spec::Warp;

/// See [`Kernels::k_warp`](crate::kernels::Kernels::k_warp).
pub fn warp<B: Backend>(x: FloatTensor<B>, warp: Warp) -> FloatTensor<B> {
    let [n, c, h, w] = dims(x.shape());
    let [oh, ow] = warp.output;
    let taps = taps::<B>(&warp, &x.device(), x.dtype());
    let x = B::float_reshape(x, Shape::from([n, c, h * w]));
    let sum = taps.map(|Tap { index, weight }| {
        let index = B::int_expand(index, Shape::from([n, c, oh * ow]));
        B::float_mul(B::float_gather(2, x.clone(), index), weight)
    });
    let y = sum.into_iter().reduce(B::float_add).expect("there are four taps");
    B::float_reshape(y, Shape::from([n, c, oh, ow]))
}

/// See [`Kernels::k_warp_adjoint`](crate::kernels::Kernels::k_warp_adjoint).
pub fn warp_adjoint<B: Backend>(g: FloatTensor<B>, warp: Warp) -> FloatTensor<B> {
    let [n, c, oh, ow] = dims(g.shape());
    let [h, w] = warp.input;
    let (device, dtype) = (g.device(), g.dtype());
    let g = B::float_reshape(g, Shape::from([n, c, oh * ow]));
    let zeros = B::float_zeros(Shape::from([n, c, h * w]), &device, dtype.into());
    let x = taps::<B>(&warp, &device, dtype).into_iter().fold(zeros, |x, Tap { index, weight }| {
        let index = B::int_expand(index, Shape::from([n, c, oh * ow]));
        B::float_scatter(2, x, index, B::float_mul(g.clone(), weight), IndexingUpdateOp::Add)
    });
    B::float_reshape(x, Shape::from([n, c, h, w]))
}

/// One of the four input pixels that an output pixel interpolates between.
struct Tap<B: Backend> {
    /// `[N, 1, H'·W']`: its index among the H·W pixels.
    index: IntTensor<B>,
    /// `[N, 1, H'·W']`: its weight; 0 where it lies outside.
    weight: FloatTensor<B>,
}

/// Along one axis: the two samples next to a position `[N, H', W']` and their weights.
struct Neighbours<B: Backend> {
    index: [IntTensor<B>; 2],
    weight: [FloatTensor<B>; 2],
}

fn taps<B: Backend>(warp: &Warp, device: &Device<B>, dtype: DType) -> [Tap<B>; 4] {
    let n = warp.maps.len();
    let [oh, ow] = warp.output;
    let [h, w] = warp.input;
    // Positions need f32 even where the images are of half precision.
    let constant = |values: Vec<f32>, shape: [usize; 3]| {
        B::float_from_data(TensorData::new(values, shape), device)
    };
    let ramp = |n: usize| (0..n).map(|i| i as f32).collect::<Vec<_>>();
    let (columns, rows) = (constant(ramp(ow), [1, 1, ow]), constant(ramp(oh), [1, oh, 1]));
    let part = |k: usize| constant(warp.maps.iter().map(|map| map[k]).collect(), [n, 1, 1]);
    let position = |first: usize| {
        let along_row = B::float_mul(part(first), columns.clone());
        let start = B::float_add(B::float_mul(part(first + 1), rows.clone()), part(first + 2));
        B::float_add(start, along_row)
    };
    let x = neighbours::<B>(position(0), w, device);
    let y = neighbours::<B>(position(3), h, device);
    [(0, 0), (0, 1), (1, 0), (1, 1)].map(|(j, i)| {
        let row = B::int_mul_scalar(y.index[i].clone(), (w as i64).into());
        let index = B::int_add(row, x.index[j].clone());
        let weight = B::float_mul(y.weight[i].clone(), x.weight[j].clone());
        Tap {
            index: B::int_reshape(index, Shape::from([n, 1, oh * ow])),
            weight: B::float_cast(
                B::float_reshape(weight, Shape::from([n, 1, oh * ow])),
                dtype.into(),
            ),
        }
    })
}

fn neighbours<B: Backend>(
    position: FloatTensor<B>,
    size: usize,
    device: &Device<B>,
) -> Neighbours<B> {
    let settings = get_device_settings::<B>(device);
    let first = B::float_floor(position.clone());
    let after = B::float_sub(position, first.clone());
    let before = B::float_add_scalar(B::float_neg(after.clone()), 1f32.into());
    let last = size as f32 - 1.0;
    let found = [(0f32, before), (1f32, after)].map(|(offset, weight)| {
        let at = B::float_add_scalar(first.clone(), offset.into());
        let low = B::float_lower_elem(at.clone(), 0f32.into(), settings.bool_dtype);
        let high = B::float_greater_elem(at.clone(), last.into(), settings.bool_dtype);
        let weight = B::float_mask_fill(weight, B::bool_or(low, high), 0f32.into());
        let index = B::float_clamp(at, 0f32.into(), last.into());
        (B::float_into_int(index, settings.int_dtype), weight)
    });
    let [(first, before), (second, after)] = found;
    Neighbours { index: [first, second], weight: [before, after] }
}
