//! Group normalisation; see
//! [`Kernels::k_group_norm_trace`](crate::kernels::Kernels::k_group_norm_trace).

use burn::backend::{Backend, TensorMetadata, tensor::FloatTensor};
use burn::tensor::{Shape, Slice};

use super::dims::dims;
use super::pointwise::{act_slope, bias_act, channel_sums};
use crate::kernels::outputs::{GroupNormGradients, GroupNormTrace};
use crate::kernels::spec::Groups;

/// `[N, C, H, W]` → `[N, groups, elements of a group]`.
fn grouped<B: Backend>(x: FloatTensor<B>, groups: Groups) -> FloatTensor<B> {
    let [n, c, h, w] = dims(x.shape());
    B::float_reshape(x, Shape::from([n, groups.count, c / groups.count * h * w]))
}

/// A factor for every channel: x `[N, C, H, W]`, s `[C]`.
fn scale_channels<B: Backend>(x: FloatTensor<B>, s: FloatTensor<B>) -> FloatTensor<B> {
    let [c] = dims(s.shape());
    B::float_mul(x, B::float_reshape(s, Shape::from([1, c, 1, 1])))
}

/// x `[N, C, H, W]`, weight and bias `[C]`.
pub fn trace<B: Backend>(
    x: FloatTensor<B>,
    weight: FloatTensor<B>,
    bias: FloatTensor<B>,
    groups: Groups,
) -> GroupNormTrace<B> {
    let shape = x.shape();
    let x = grouped::<B>(x, groups);
    let mean = B::float_mean_dim(x.clone(), 2);
    let centred = B::float_sub(x, mean.clone());
    let variance = B::float_mean_dim(B::float_mul(centred.clone(), centred.clone()), 2);
    let rate = B::float_recip(B::float_sqrt(B::float_add_scalar(variance, groups.eps.into())));
    let normal = B::float_reshape(B::float_mul(centred, rate.clone()), shape);
    let y = bias_act::<B>(scale_channels::<B>(normal, weight), bias, groups.act);
    GroupNormTrace { y, moments: B::float_cat(vec![mean, rate], 2) }
}

/// See [`Kernels::k_group_norm_gradients`](crate::kernels::Kernels::k_group_norm_gradients).
pub fn gradients<B: Backend>(
    x: FloatTensor<B>,
    weight: FloatTensor<B>,
    trace: GroupNormTrace<B>,
    g: FloatTensor<B>,
    groups: Groups,
) -> GroupNormGradients<B> {
    let shape = x.shape();
    let [n, count, _] = dims(trace.moments.shape());
    let moment = |at: isize| {
        let all = |n: usize| Slice::new(0, Some(n as isize), 1);
        let one = Slice::new(at, Some(at + 1), 1);
        B::float_slice(trace.moments.clone(), &[all(n), all(count), one])
    };
    let (mean, rate) = (moment(0), moment(1));
    let normal = B::float_mul(B::float_sub(grouped::<B>(x, groups), mean), rate.clone());
    let g = if groups.act.is_identity() { g } else { act_slope::<B>(g, trace.y, groups.act) };
    let flat = B::float_reshape(normal.clone(), shape.clone());
    let d_weight = channel_sums::<B>(B::float_mul(g.clone(), flat));
    let d_bias = channel_sums::<B>(g.clone());
    let g = grouped::<B>(scale_channels::<B>(g, weight), groups);
    let level = B::float_mean_dim(g.clone(), 2);
    let along = B::float_mean_dim(B::float_mul(g.clone(), normal.clone()), 2);
    let d_x = B::float_sub(B::float_sub(g, level), B::float_mul(normal, along));
    let d_x = B::float_reshape(B::float_mul(d_x, rate), shape);
    GroupNormGradients { x: d_x, weight: d_weight, bias: d_bias }
}
