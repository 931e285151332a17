//! Activations, factors of planes, and sums over planes.

use burn::backend::{Backend, TensorMetadata, tensor::FloatTensor};
use burn::tensor::Shape;

use super::dims::dims;
use super::linear::scaled;
use crate::kernels::backend::Kernels;
use crate::kernels::outputs::{BiasActGradients, NoiseActGradients, ScalePlanesGradients};
use crate::kernels::spec::Activation;

/// See [`Kernels::k_bias_act`](crate::kernels::Kernels::k_bias_act).
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

/// See [`Kernels::k_bias_act_gradients`](crate::kernels::Kernels::k_bias_act_gradients).
pub fn bias_act_gradients<B: Kernels>(
    g: FloatTensor<B>,
    y: FloatTensor<B>,
    act: Activation,
    bias_gain: f32,
) -> BiasActGradients<B> {
    let x = if act.is_identity() { g } else { B::k_act_slope(g, y, act) };
    BiasActGradients { bias: scaled::<B>(B::k_channel_sums(x.clone()), bias_gain), x }
}

/// See [`Kernels::k_act_slope`](crate::kernels::Kernels::k_act_slope).
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

/// See [`Kernels::k_channel_sums`](crate::kernels::Kernels::k_channel_sums).
pub fn channel_sums<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
    let [n, c, h, w] = dims(x.shape());
    let x = B::float_sum_dim(B::float_reshape(x, Shape::from([n, c, h * w])), 2);
    let x = B::float_sum_dim(x, 0);
    B::float_reshape(x, Shape::from([c]))
}

/// See [`Kernels::k_scale_planes`](crate::kernels::Kernels::k_scale_planes).
pub fn scale_planes<B: Backend>(x: FloatTensor<B>, s: FloatTensor<B>) -> FloatTensor<B> {
    let [n, c, _, _] = dims(x.shape());
    B::float_mul(x, B::float_reshape(s, Shape::from([n, c, 1, 1])))
}

/// See [`Kernels::k_plane_dots`](crate::kernels::Kernels::k_plane_dots).
pub fn plane_dots<B: Backend>(a: FloatTensor<B>, b: FloatTensor<B>) -> FloatTensor<B> {
    let [n, c, h, w] = dims(a.shape());
    let product = B::float_reshape(B::float_mul(a, b), Shape::from([n, c, h * w]));
    B::float_reshape(B::float_sum_dim(product, 2), Shape::from([n, c]))
}

/// See [`Kernels::k_scale_planes_gradients`](crate::kernels::Kernels::k_scale_planes_gradients).
pub fn scale_planes_gradients<B: Backend>(
    x: FloatTensor<B>,
    s: FloatTensor<B>,
    g: FloatTensor<B>,
) -> ScalePlanesGradients<B> {
    let of_s = plane_dots::<B>(g.clone(), x);
    ScalePlanesGradients { x: scale_planes::<B>(g, s), s: of_s }
}

/// See [`Kernels::k_noise_act`](crate::kernels::Kernels::k_noise_act).
pub fn noise_act<B: Backend>(
    x: FloatTensor<B>,
    scale: FloatTensor<B>,
    noise: FloatTensor<B>,
    strength: FloatTensor<B>,
    b: FloatTensor<B>,
    act: Activation,
) -> FloatTensor<B> {
    let noise = B::float_mul(noise, B::float_reshape(strength, Shape::from([1, 1, 1, 1])));
    bias_act::<B>(B::float_add(scale_planes::<B>(x, scale), noise), b, act)
}

/// See [`Kernels::k_noise_act_gradients`](crate::kernels::Kernels::k_noise_act_gradients). The
/// parameters are the factors of the planes, the noise, its strength and the bias.
pub fn noise_act_gradients<B: Backend>(
    y: FloatTensor<B>,
    g: FloatTensor<B>,
    [scale, noise, strength, b]: [FloatTensor<B>; 4],
    act: Activation,
) -> NoiseActGradients<B> {
    let [n, c, _, _] = dims(y.shape());
    let h = act_slope::<B>(g, y.clone(), act);
    // The argument of the activation, without bias and noise: the scaled input.
    let undone = Activation { slope: act.slope.recip(), gain: 1.0, clamp: None };
    let zeros = B::float_zeros(Shape::from([c]), &y.device(), y.dtype().into());
    let t = bias_act::<B>(B::float_mul_scalar(y, act.gain.recip().into()), zeros, undone);
    let strength = B::float_reshape(strength, Shape::from([1, 1, 1, 1]));
    let b = B::float_reshape(b, Shape::from([1, c, 1, 1]));
    let added = B::float_add(B::float_mul(noise.clone(), strength), b);
    let scaled = B::float_sub(t, added);
    let factors = B::float_reshape(scale.clone(), Shape::from([n, c, 1, 1]));
    let x = B::float_div(scaled, factors);
    NoiseActGradients {
        scale: plane_dots::<B>(h.clone(), x),
        strength: B::float_sum(B::float_mul(h.clone(), noise)),
        bias: channel_sums::<B>(h.clone()),
        x: scale_planes::<B>(h, scale),
    }
}

/// See [`Kernels::k_softplus`](crate::kernels::Kernels::k_softplus).
pub fn softplus<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
    let tail = B::float_log1p(B::float_exp(B::float_neg(B::float_abs(x.clone()))));
    B::float_add(B::float_clamp_min(x, 0f32.into()), tail)
}

/// See [`Kernels::k_softplus_gradient`](crate::kernels::Kernels::k_softplus_gradient).
pub fn softplus_gradient<B: Backend>(x: FloatTensor<B>, g: FloatTensor<B>) -> FloatTensor<B> {
    B::float_mul(B::sigmoid(x), g)
}

/// See [`Kernels::k_mean_softplus`](crate::kernels::Kernels::k_mean_softplus).
pub fn mean_softplus<B: Backend>(x: FloatTensor<B>, negative: bool) -> FloatTensor<B> {
    B::float_mean(softplus::<B>(if negative { B::float_neg(x) } else { x }))
}

/// See [`Kernels::k_mean_softplus_gradient`](crate::kernels::Kernels::k_mean_softplus_gradient).
pub fn mean_softplus_gradient<B: Backend>(
    x: FloatTensor<B>,
    g: FloatTensor<B>,
    negative: bool,
) -> FloatTensor<B> {
    let shape = x.shape();
    let share = 1.0 / shape.num_elements() as f32;
    let g = B::float_expand(B::float_mul_scalar(g, share.into()), shape);
    match negative {
        true => B::float_neg(softplus_gradient::<B>(B::float_neg(x), g)),
        false => softplus_gradient::<B>(x, g),
    }
}
