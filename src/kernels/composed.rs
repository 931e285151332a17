//! The kernels composed from Burn's operations: what GPUs run, and the check on our own.

pub mod group_norm;
pub mod lstm;
mod warp;

pub use warp::{warp, warp_adjoint};

use burn::backend::{
    Backend, TensorMetadata,
    ops::{ConvOptions, ConvTransposeOptions},
    tensor::FloatTensor,
};
use burn::tensor::{Shape, Slice, TensorData};

use super::{Activation, AdamOutput, AdamStep, Conv, Fir};

fn dims<const D: usize>(shape: Shape) -> [usize; D] {
    shape.dims::<D>()
}

/// See [`Kernels::k_conv2d`](super::Kernels::k_conv2d).
pub fn conv2d<B: Backend>(x: FloatTensor<B>, w: FloatTensor<B>, conv: Conv) -> FloatTensor<B> {
    B::conv2d(smoothed::<B>(x, conv), w, None, options(conv))
}

/// The input behind its filter, where it has one.
fn smoothed<B: Backend>(x: FloatTensor<B>, conv: Conv) -> FloatTensor<B> {
    match conv.smooth {
        Some(smooth) => upfirdn2d::<B>(x, smooth.fir()),
        None => x,
    }
}

/// See [`Kernels::k_conv2d_transposed`](super::Kernels::k_conv2d_transposed).
pub fn conv2d_transposed<B: Backend>(
    g: FloatTensor<B>,
    w: FloatTensor<B>,
    conv: Conv,
) -> FloatTensor<B> {
    let end = conv.filtered();
    // What the stride leaves over at the far edge of the input never met the kernel.
    let left_over = |i: usize| (end[i] + 2 * conv.padding - conv.kernel) % conv.stride;
    let options = ConvTransposeOptions::new(
        [conv.stride; 2],
        [conv.padding; 2],
        [left_over(0), left_over(1)],
        [1, 1],
        1,
    );
    let x = B::conv_transpose2d(g, w, None, options);
    match conv.smooth {
        Some(smooth) => upfirdn2d::<B>(x, smooth.fir().adjoint(conv.input)),
        None => x,
    }
}

/// See [`Kernels::k_conv2d_weight_gradient`](super::Kernels::k_conv2d_weight_gradient).
pub fn conv2d_weight_gradient<B: Backend>(
    x: FloatTensor<B>,
    g: FloatTensor<B>,
    conv: Conv,
) -> FloatTensor<B> {
    let x = smoothed::<B>(x, conv);
    let [_, i, _, _] = dims(x.shape());
    let [_, o, _, _] = dims(g.shape());
    let device = x.device();
    // Burn reads the shape of the weight, not its values.
    let w =
        B::float_zeros(Shape::from([o, i, conv.kernel, conv.kernel]), &device, x.dtype().into());
    B::conv2d_weight_backward(x, w, g, options(conv))
}

fn options(conv: Conv) -> ConvOptions<2> {
    ConvOptions::new([conv.stride; 2], [conv.padding; 2], [1, 1], 1)
}

/// See [`Kernels::k_upfirdn2d`](super::Kernels::k_upfirdn2d).
pub fn upfirdn2d<B: Backend>(x: FloatTensor<B>, fir: Fir) -> FloatTensor<B> {
    let [n, c, h, w] = dims(x.shape());
    let [oh, ow] = fir.output([h, w]);
    let (device, dtype) = (x.device(), x.dtype());
    let planes = B::float_reshape(x, Shape::from([n * c, 1, h, w]));
    // Zeros between the samples, none after the last one: up-1 of them are restored by padding.
    let planes = if fir.up > 1 { insert_zeros::<B>(planes, fir.up) } else { planes };
    let planes = pad::<B>(planes, fir.pad);
    let t = fir.taps.len();
    let at = |i: usize| if fir.flip { fir.taps[i] } else { fir.taps[t - 1 - i] };
    let kernel: Vec<f32> = (0..t * t).map(|i| at(i / t) * at(i % t) * fir.gain).collect();
    let kernel =
        B::float_from_data(TensorData::new(kernel, [1, 1, t, t]).convert_dtype(dtype), &device);
    let y = B::conv2d(planes, kernel, None, ConvOptions::new([fir.down; 2], [0; 2], [1; 2], 1));
    B::float_reshape(y, Shape::from([n, c, oh, ow]))
}

/// [P, 1, H, W] → [P, 1, H·up, W·up], each sample followed by zeros.
fn insert_zeros<B: Backend>(x: FloatTensor<B>, up: usize) -> FloatTensor<B> {
    let [p, _, h, w] = dims(x.shape());
    let (device, dtype) = (x.device(), x.dtype());
    let zeros = |shape: [usize; 4]| B::float_zeros(Shape::from(shape), &device, dtype.into());
    let x = B::float_reshape(x, Shape::from([p, h, w, 1]));
    let x = B::float_cat(vec![x, zeros([p, h, w, up - 1])], 3);
    let x = B::float_reshape(x, Shape::from([p, h, 1, w * up]));
    let x = B::float_cat(vec![x, zeros([p, h, up - 1, w * up])], 2);
    B::float_reshape(x, Shape::from([p, 1, h * up, w * up]))
}

/// Zeros added, or samples cut off where negative, before and after: rows, then columns.
fn pad<B: Backend>(x: FloatTensor<B>, pad: [[i32; 2]; 2]) -> FloatTensor<B> {
    let all = |n: usize| Slice::new(0, Some(n as isize), 1);
    let [p, _, h, w] = dims(x.shape());
    let cut = |n: usize, [before, after]: [i32; 2]| {
        Slice::new((-before).max(0) as isize, Some(n as isize - (-after).max(0) as isize), 1)
    };
    let x = if pad.iter().flatten().any(|&n| n < 0) {
        B::float_slice(x, &[all(p), all(1), cut(h, pad[0]), cut(w, pad[1])])
    } else {
        x
    };
    let pad = pad.map(|axis| axis.map(|n| n.max(0) as usize));
    if pad.iter().flatten().all(|&n| n == 0) {
        return x;
    }
    let [p, _, h, w] = dims(x.shape());
    let (device, dtype) = (x.device(), x.dtype());
    let frame = [p, 1, h + pad[0].iter().sum::<usize>(), w + pad[1].iter().sum::<usize>()];
    let frame = B::float_zeros(Shape::from(frame), &device, dtype.into());
    let place =
        |n: usize, before: usize| Slice::new(before as isize, Some((before + n) as isize), 1);
    B::float_slice_assign(frame, &[all(p), all(1), place(h, pad[0][0]), place(w, pad[1][0])], x)
}

/// See [`Kernels::k_bias_act`](super::Kernels::k_bias_act).
pub fn bias_act<B: Backend>(
    x: FloatTensor<B>,
    b: FloatTensor<B>,
    act: Activation,
) -> FloatTensor<B> {
    let [c] = dims(b.shape());
    let y = B::float_add(x, B::float_reshape(b, Shape::from([1, c, 1, 1])));
    let y = if act.slope == 1.0 { y } else { B::leaky_relu(y, act.slope.into()) };
    let y = if act.gain == 1.0 { y } else { B::float_mul_scalar(y, act.gain.into()) };
    match act.clamp {
        Some(limit) => B::float_clamp(y, (-limit).into(), limit.into()),
        None => y,
    }
}

/// See [`Kernels::k_act_slope`](super::Kernels::k_act_slope).
pub fn act_slope<B: Backend>(
    g: FloatTensor<B>,
    y: FloatTensor<B>,
    act: Activation,
) -> FloatTensor<B> {
    use burn::backend::get_device_settings;
    let bools = get_device_settings::<B>(&g.device()).bool_dtype;
    let out = if act.gain == 1.0 { g } else { B::float_mul_scalar(g, act.gain.into()) };
    let out = if act.slope == 1.0 {
        out
    } else {
        let off = B::float_lower_equal_elem(y.clone(), 0f32.into(), bools);
        let scaled = B::float_mul_scalar(out.clone(), act.slope.into());
        B::float_mask_where(out, off, scaled)
    };
    match act.clamp {
        Some(limit) => {
            let outside = B::float_greater_equal_elem(B::float_abs(y), limit.into(), bools);
            B::float_mask_fill(out, outside, 0f32.into())
        }
        None => out,
    }
}

/// See [`Kernels::k_channel_sums`](super::Kernels::k_channel_sums).
pub fn channel_sums<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
    let [n, c, h, w] = dims(x.shape());
    let x = B::float_sum_dim(B::float_reshape(x, Shape::from([n, c, h * w])), 2);
    let x = B::float_sum_dim(x, 0);
    B::float_reshape(x, Shape::from([c]))
}

/// See [`Kernels::k_scale_planes`](super::Kernels::k_scale_planes).
pub fn scale_planes<B: Backend>(x: FloatTensor<B>, s: FloatTensor<B>) -> FloatTensor<B> {
    let [n, c, _, _] = dims(x.shape());
    B::float_mul(x, B::float_reshape(s, Shape::from([n, c, 1, 1])))
}

/// See [`Kernels::k_plane_dots`](super::Kernels::k_plane_dots).
pub fn plane_dots<B: Backend>(a: FloatTensor<B>, b: FloatTensor<B>) -> FloatTensor<B> {
    let [n, c, h, w] = dims(a.shape());
    let product = B::float_reshape(B::float_mul(a, b), Shape::from([n, c, h * w]));
    B::float_reshape(B::float_sum_dim(product, 2), Shape::from([n, c]))
}

/// See [`Kernels::k_adam`](super::Kernels::k_adam).
pub fn adam<B: Backend>(
    value: FloatTensor<B>,
    m: FloatTensor<B>,
    v: FloatTensor<B>,
    g: FloatTensor<B>,
    step: AdamStep,
) -> AdamOutput<B> {
    use burn::backend::get_device_settings;
    let device = g.device();
    let bools = get_device_settings::<B>(&device).bool_dtype;
    let nan = B::float_is_nan(g.clone(), bools);
    let infinite = B::float_is_inf(g.clone(), bools);
    let dtype = g.dtype();
    let count = |mask| B::float_sum(B::bool_into_float(mask, dtype.into()));
    let non_finite = B::float_add(count(nan.clone()), count(infinite));
    let g = B::float_mask_fill(g, nan, 0f32.into());
    let limit = AdamStep::INFINITE;
    // Finite gradients beyond the limit keep their value: only what is infinite is replaced.
    let up = B::float_greater_elem(g.clone(), f32::MAX.into(), bools);
    let g = B::float_mask_fill(g, up, limit.into());
    let down = B::float_lower_elem(g.clone(), f32::MIN.into(), bools);
    let g = B::float_mask_fill(g, down, (-limit).into());

    let mix = |a, beta: f32, b| {
        B::float_add(
            B::float_mul_scalar(a, beta.into()),
            B::float_mul_scalar(b, (1.0 - beta).into()),
        )
    };
    let m = mix(m, step.beta1, g.clone());
    let v = mix(v, step.beta2, B::float_mul(g.clone(), g));
    let (first, second) = (step.correction(step.beta1), step.correction(step.beta2));
    let root = B::float_sqrt(B::float_div_scalar(v.clone(), second.into()));
    let change = B::float_div(m.clone(), B::float_add_scalar(root, step.eps.into()));
    let value = B::float_sub(value, B::float_mul_scalar(change, (step.lr / first).into()));
    AdamOutput { value, m, v, non_finite }
}
