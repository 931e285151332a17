//! The kernels as functions on Burn's tensors, differentiable on any device.

use burn::backend::Dispatch;
use burn::tensor::{DType, Device, Tensor};

use super::backend::Kernels;
use super::outputs::{NoiseOperands, Tensors};
use super::spec::{
    Activation, AdamStep, Affine, Conv, Fir, Groups, LinearLayers, Sequences, Smooth, Warp,
};
use crate::draws::Sequence;
use crate::draws::philox::BLOCK;

/// Convolution without bias: x `[N, I, H, W]`, w `[O, I, k, k]` → `[N, O, H', W']` ([`Conv::output`]).
pub fn conv2d(x: Tensor<4>, w: Tensor<4>, stride: usize, padding: usize) -> Tensor<4> {
    let conv = Conv::new(sides(&x), w.dims()[2], stride, padding);
    convolve(x, w, conv)
}

/// A filter, then a convolution of stride 2 without padding: x `[N, I, H, W]` →
/// `[N, O, H', W']` ([`Conv::output`]).
pub fn conv2d_down(x: Tensor<4>, w: Tensor<4>, smooth: Smooth) -> Tensor<4> {
    let conv = Conv::down(sides(&x), w.dims()[2], smooth);
    convolve(x, w, conv)
}

/// Any convolution of x `[N, I, H, W]` → `[N, O, H', W']` ([`Conv::output`]).
pub fn convolve(x: Tensor<4>, w: Tensor<4>, conv: Conv) -> Tensor<4> {
    Tensor::from_dispatch(<Dispatch as Kernels>::k_conv2d(
        x.into_dispatch(),
        w.into_dispatch(),
        conv,
    ))
}

/// [`convolve`], then bias b `[O]` and activation.
pub fn convolve_act(
    x: Tensor<4>,
    w: Tensor<4>,
    b: Tensor<1>,
    conv: Conv,
    act: Activation,
) -> Tensor<4> {
    Tensor::from_dispatch(<Dispatch as Kernels>::k_conv2d_act(
        x.into_dispatch(),
        w.into_dispatch(),
        b.into_dispatch(),
        conv,
        act,
    ))
}

/// [`convolve_act`] and [`upfirdn2d`] of the same x.
pub fn convolve_act_beside(
    x: Tensor<4>,
    w: Tensor<4>,
    b: Tensor<1>,
    conv: Conv,
    act: Activation,
    fir: &Fir,
) -> [Tensor<4>; 2] {
    let found = <Dispatch as Kernels>::k_conv2d_act_beside(
        x.into_dispatch(),
        w.into_dispatch(),
        b.into_dispatch(),
        conv,
        act,
        fir.clone(),
    );
    from_list(found).try_into().expect("the kernel returns two tensors")
}

/// [`convolve`], plus another tensor of the result's shape, or one that `resample` brings to it.
pub fn convolve_add(
    x: Tensor<4>,
    w: Tensor<4>,
    other: Tensor<4>,
    conv: Conv,
    resample: Option<&Fir>,
) -> Tensor<4> {
    Tensor::from_dispatch(<Dispatch as Kernels>::k_conv2d_add(
        x.into_dispatch(),
        w.into_dispatch(),
        other.into_dispatch(),
        conv,
        resample.cloned(),
    ))
}

/// A convolution of x with a factor s `[N, I]` for each of its planes, plus bias b `[O]` and another tensor
/// of the result's shape, or one that `resample` brings to it.
pub fn modulated_conv2d_add(
    x: Tensor<4>,
    s: Tensor<2>,
    w: Tensor<4>,
    b: Tensor<1>,
    other: Tensor<4>,
    conv: Conv,
    resample: Option<&Fir>,
) -> Tensor<4> {
    Tensor::from_dispatch(<Dispatch as Kernels>::k_modulated_conv2d_add(
        x.into_dispatch(),
        s.into_dispatch(),
        w.into_dispatch(),
        b.into_dispatch(),
        other.into_dispatch(),
        conv,
        resample.cloned(),
    ))
}

/// The adjoint of [`conv2d_down`]: a transposed convolution of stride 2, then the filter.
/// x `[N, O, H', W']`, w `[O, I, k, k]` → `[N, I, 2·(H'−1) + k + 3 − 2·padding, …]`.
pub fn conv2d_up(x: Tensor<4>, w: Tensor<4>, smooth: Smooth) -> Tensor<4> {
    let conv = Conv::up(sides(&x), w.dims()[2], smooth);
    transposed(x, w, conv)
}

/// [`conv2d`] of x with a factor `s` `[N, I]` for each of its planes.
pub fn modulated_conv2d(
    x: Tensor<4>,
    s: Tensor<2>,
    w: Tensor<4>,
    stride: usize,
    padding: usize,
) -> Tensor<4> {
    let conv = Conv::new(sides(&x), w.dims()[2], stride, padding);
    modulated(x, s, w, conv, false)
}

/// [`conv2d_up`] of x with a factor `s` `[N, I]` for each of its planes: x `[N, I, H, W]` and, unlike there,
/// w `[O, I, k, k]` → `[N, O, …]`.
pub fn modulated_conv2d_up(x: Tensor<4>, s: Tensor<2>, w: Tensor<4>, smooth: Smooth) -> Tensor<4> {
    let conv = Conv { swapped: true, ..Conv::up(sides(&x), w.dims()[2], smooth) };
    modulated(x, s, w, conv, true)
}

/// Any convolution of x with a factor s for each of its planes, or, `transposed`, its adjoint: x
/// `[N, I, H, W]`, s `[N, I]` → `[N, O, H', W']`; or x `[N, O, H', W']`, s `[N, O]` → `[N, I, H, W]`.
pub fn modulated(
    x: Tensor<4>,
    s: Tensor<2>,
    w: Tensor<4>,
    conv: Conv,
    transposed: bool,
) -> Tensor<4> {
    Tensor::from_dispatch(<Dispatch as Kernels>::k_modulated_conv2d(
        x.into_dispatch(),
        s.into_dispatch(),
        w.into_dispatch(),
        conv,
        transposed,
    ))
}

/// Transposed convolution: x `[N, O, H', W']`, w `[O, I, k, k]` → `[N, I, stride·(H'-1)+k-2·padding, …]`.
pub fn conv2d_transposed(x: Tensor<4>, w: Tensor<4>, stride: usize, padding: usize) -> Tensor<4> {
    let kernel = w.dims()[2];
    let input = sides(&x).map(|n| stride * (n - 1) + kernel - 2 * padding);
    transposed(x, w, Conv::new(input, kernel, stride, padding))
}

/// The adjoint of any convolution: x `[N, O, H', W']` → `[N, I, H, W]`.
pub fn transposed(x: Tensor<4>, w: Tensor<4>, conv: Conv) -> Tensor<4> {
    Tensor::from_dispatch(<Dispatch as Kernels>::k_conv2d_transposed(
        x.into_dispatch(),
        w.into_dispatch(),
        conv,
    ))
}

/// Height and width.
fn sides(x: &Tensor<4>) -> [usize; 2] {
    let [_, _, h, w] = x.dims();
    [h, w]
}

/// A linear layer: x `[N, I]`, w `[O, I]`, b `[O]` → `[N, O]`.
pub fn linear(x: Tensor<2>, w: Tensor<2>, b: Tensor<1>, affine: Affine) -> Tensor<2> {
    Tensor::from_dispatch(<Dispatch as Kernels>::k_linear(
        x.into_dispatch(),
        w.into_dispatch(),
        b.into_dispatch(),
        affine,
    ))
}

/// The product x·Wᵀ·`gain` of x `[N, I]` and w `[O, I]` → `[N, O]`.
pub fn product(x: Tensor<2>, w: Tensor<2>, gain: f32) -> Tensor<2> {
    Tensor::from_dispatch(<Dispatch as Kernels>::k_product(
        x.into_dispatch(),
        w.into_dispatch(),
        gain,
    ))
}

/// Linear layers without a non-linearity: x `[inputs·N, I]`, the inputs one after the other; w and b, one `[O, I]` and one `[O]` for
/// each layer → one `[N, O]` for each. Without biases, b is ignored.
pub fn linear_layers(
    x: Tensor<2>,
    w: Vec<Tensor<2>>,
    b: Vec<Tensor<1>>,
    layers: LinearLayers,
) -> Vec<Tensor<2>> {
    from_list(<Dispatch as Kernels>::k_linear_layers(
        x.into_dispatch(),
        into_list(w),
        into_list(b),
        layers,
    ))
}

/// The operands of modulated convolutions and the factors of demodulation, one tensor for each layer.
pub struct Demodulated {
    /// The weights `[O, I, k, k]`.
    pub w: Vec<Tensor<4>>,
    /// The styles `[N, I]`.
    pub s: Vec<Tensor<2>>,
    /// The tangents of the styles `[N, I]`, if there are any.
    pub t: Vec<Tensor<2>>,
    /// The factors `[N, O]`.
    pub y: Vec<Tensor<2>>,
    /// The tangents of the factors `[N, O]`, if the styles have any.
    pub along: Vec<Tensor<2>>,
}

/// The factors of demodulation of several layers, rsqrt(Σ_{i,k} (W_oik·s_i)² + 1e-8), and their tangents:
/// for each layer w `[O, I, k, k]`, s `[N, I]` and the tangent t `[N, I]` of s; t may be empty.
///
/// The convolutions should use the operands in the result, so that their gradients and those of the
/// factors are added in one kernel.
pub fn demodulation(w: Vec<Tensor<4>>, s: Vec<Tensor<2>>, t: Vec<Tensor<2>>) -> Demodulated {
    let found = <Dispatch as Kernels>::k_demodulation(into_list(w), into_list(s), into_list(t));
    Demodulated {
        w: from_list(found.w),
        s: from_list(found.s),
        t: from_list(found.t),
        y: from_list(found.y),
        along: from_list(found.along),
    }
}

/// The same tensors, for operations whose gradients are in parts ([`Conv::in_parts`]): the parts of all
/// of them are added with few launches.
///
/// Each tensor is for one convolution, and for that of its tangent.
pub fn together(w: Vec<Tensor<4>>, b: Vec<Tensor<1>>) -> (Vec<Tensor<4>>, Vec<Tensor<1>>) {
    if w.is_empty() && b.is_empty() {
        return (w, b);
    }
    let weights = w.len();
    let all = [into_list(w).0, into_list(b).0].concat();
    let mut w = <Dispatch as Kernels>::k_together(Tensors(all)).0;
    let b = w.split_off(weights);
    (from_list(Tensors(w)), from_list(Tensors(b)))
}

/// ln(1 + eˣ) of every element, without overflow.
pub fn softplus<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    Tensor::from_dispatch(<Dispatch as Kernels>::k_softplus(x.into_dispatch()))
}

/// `count` samples of N(0, `std`²) on a device: the elements of `sequence` from `first` on, a multiple of
/// four.
pub fn normals(
    sequence: Sequence,
    first: usize,
    std: f32,
    count: usize,
    device: &Device,
) -> Tensor<1> {
    assert!(first.is_multiple_of(BLOCK) && u32::try_from((first + count) / BLOCK).is_ok());
    let out = Tensor::<1>::empty([count], (device, DType::F32)).into_dispatch();
    Tensor::from_dispatch(<Dispatch as Kernels>::k_normals(out, sequence, first, std))
}

/// The mean of ln(1 + eˣ) over x `[N]`, or of ln(1 + e⁻ˣ) if `negative` → `[1]`.
pub fn mean_softplus(x: Tensor<1>, negative: bool) -> Tensor<1> {
    Tensor::from_dispatch(<Dispatch as Kernels>::k_mean_softplus(x.into_dispatch(), negative))
}

/// FIR resampling of every plane: x `[N, C, H, W]` → `[N, C, H', W']` ([`Fir::output`]).
pub fn upfirdn2d(x: Tensor<4>, fir: &Fir) -> Tensor<4> {
    Tensor::from_dispatch(<Dispatch as Kernels>::k_upfirdn2d(x.into_dispatch(), fir.clone()))
}

/// Bilinear sampling along one affine map per image: x `[N, C, H, W]` → `[N, C, H', W']`.
pub fn warp(x: Tensor<4>, warp: &Warp) -> Tensor<4> {
    Tensor::from_dispatch(<Dispatch as Kernels>::k_warp(x.into_dispatch(), warp.clone()))
}

/// clamp(lrelu(x + b)·gain): x `[N, C, H, W]`, b `[C]` → `[N, C, H, W]`.
pub fn bias_act(x: Tensor<4>, b: Tensor<1>, act: Activation) -> Tensor<4> {
    Tensor::from_dispatch(<Dispatch as Kernels>::k_bias_act(
        x.into_dispatch(),
        b.into_dispatch(),
        act,
    ))
}

/// t times the slope of `act` where its output is `y`; `y` is held constant.
pub fn act_slope(t: Tensor<4>, y: Tensor<4>, act: Activation) -> Tensor<4> {
    Tensor::from_dispatch(<Dispatch as Kernels>::k_act_slope(
        t.into_dispatch(),
        y.into_dispatch(),
        act,
    ))
}

/// Every plane times its own factor: x `[N, C, H, W]`, s `[N, C]`.
pub fn scale_planes(x: Tensor<4>, s: Tensor<2>) -> Tensor<4> {
    Tensor::from_dispatch(<Dispatch as Kernels>::k_scale_planes(
        x.into_dispatch(),
        s.into_dispatch(),
    ))
}

/// The tangent t·s + x·u of [`scale_planes`] along the tangents t of x and u of s: x and t
/// `[N, C, H, W]`, s and u `[N, C]`.
pub fn scale_planes_tangent(x: Tensor<4>, t: Tensor<4>, s: Tensor<2>, u: Tensor<2>) -> Tensor<4> {
    Tensor::from_dispatch(<Dispatch as Kernels>::k_scale_planes_tangent(
        x.into_dispatch(),
        t.into_dispatch(),
        s.into_dispatch(),
        u.into_dispatch(),
    ))
}

/// clamp(lrelu(x·scale + strength·noise + b)·gain): x `[N, C, H, W]`, `scale` `[N, C]`, `noise`
/// `[N or 1, 1, H, W]`, `strength` `[1]`, b `[C]`.
///
/// To save memory, gradients are computed from the output alone. That needs an activation that can
/// be undone, so its slope must not be 0, and factors other than 0.
pub fn noise_act(
    x: Tensor<4>,
    scale: Tensor<2>,
    noise: Tensor<4>,
    strength: Tensor<1>,
    b: Tensor<1>,
    act: Activation,
) -> Tensor<4> {
    assert!(act.slope != 0.0, "noise_act needs an activation with a slope below zero");
    Tensor::from_dispatch(<Dispatch as Kernels>::k_noise_act(
        x.into_dispatch(),
        scale.into_dispatch(),
        noise.into_dispatch(),
        strength.into_dispatch(),
        b.into_dispatch(),
        act,
    ))
}

/// The operands of [`noise_act`] beside its input `[N, C, H, W]`.
pub struct WithNoise {
    /// The factors of the planes `[N, C]`.
    pub scale: Tensor<2>,
    /// The noise `[N or 1, 1, H, W]`.
    pub noise: Tensor<4>,
    /// Its strength `[1]`.
    pub strength: Tensor<1>,
    /// The bias `[C]`.
    pub bias: Tensor<1>,
}

/// [`modulated`], then [`noise_act`].
pub fn modulated_noise_act(
    x: Tensor<4>,
    s: Tensor<2>,
    w: Tensor<4>,
    operands: WithNoise,
    conv: Conv,
    transposed: bool,
    act: Activation,
) -> Tensor<4> {
    assert!(act.slope != 0.0, "noise_act needs an activation with a slope below zero");
    let WithNoise { scale, noise, strength, bias } = operands;
    Tensor::from_dispatch(<Dispatch as Kernels>::k_modulated_noise_act(
        x.into_dispatch(),
        s.into_dispatch(),
        w.into_dispatch(),
        NoiseOperands {
            scale: scale.into_dispatch(),
            noise: noise.into_dispatch(),
            strength: strength.into_dispatch(),
            bias: bias.into_dispatch(),
        },
        conv,
        transposed,
        act,
    ))
}

/// Minibatch standard deviation (Karras et al. 2018, §3): x `[N, C, H, W]` with the mean over channels
/// and pixels of √(variance over a group of images + 1e-8) as an additional channel →
/// `[N, C+1, H, W]`.
///
/// The groups are strided: with N/G groups of G = `group` images each, image n belongs to group
/// n mod (N/G).
pub fn minibatch_std(x: Tensor<4>, group: usize) -> Tensor<4> {
    Tensor::from_dispatch(<Dispatch as Kernels>::k_minibatch_std(x.into_dispatch(), group))
}

/// Group normalisation, scale and shift of every channel, activation: x `[N, C, H, W]`,
/// `weight` and `bias` `[C]` → `[N, C, H, W]`.
pub fn group_norm(x: Tensor<4>, weight: Tensor<1>, bias: Tensor<1>, groups: Groups) -> Tensor<4> {
    Tensor::from_dispatch(<Dispatch as Kernels>::k_group_norm(
        x.into_dispatch(),
        weight.into_dispatch(),
        bias.into_dispatch(),
        groups,
    ))
}

/// The states of an LSTM after each token: `gates` `[T, N, 4H]` is the inputs' contribution to the gates
/// (input, forget, cell, output), w `[4H, H]` the recurrent weight → `[T, N, H]`.
pub fn lstm(gates: Tensor<3>, w: Tensor<2>, sequences: &Sequences) -> Tensor<3> {
    Tensor::from_dispatch(<Dispatch as Kernels>::k_lstm(
        gates.into_dispatch(),
        w.into_dispatch(),
        sequences.clone(),
    ))
}

/// Parameters and their moments after a step of Adam.
pub struct Adapted {
    /// Each `[P]`.
    pub values: Vec<Tensor<1>>,
    /// First moments, each `[P]`.
    pub m: Vec<Tensor<1>>,
    /// Second moments, each `[P]`.
    pub v: Vec<Tensor<1>>,
    /// `[1]`, the number of elements of all gradients that were NaN or infinite.
    pub non_finite: Tensor<1>,
}

/// One step of Adam on the values, first and second moments, and gradients of parameters: tensors `[P]`
/// without automatic differentiation. There is at least one parameter.
pub fn adam(
    values: Vec<Tensor<1>>,
    m: Vec<Tensor<1>>,
    v: Vec<Tensor<1>>,
    gradients: Vec<Tensor<1>>,
    step: AdamStep,
) -> Adapted {
    let done = <Dispatch as Kernels>::k_adam(
        into_list(values),
        into_list(m),
        into_list(v),
        into_list(gradients),
        step,
    );
    Adapted {
        values: from_list(done.values),
        m: from_list(done.m),
        v: from_list(done.v),
        non_finite: Tensor::from_dispatch(done.non_finite),
    }
}

/// b + (a − b)·`share` for each of the pairs of tensors, which are without automatic differentiation.
pub fn blend(a: Vec<Tensor<1>>, b: Vec<Tensor<1>>, share: f32) -> Vec<Tensor<1>> {
    if a.is_empty() {
        return a;
    }
    from_list(<Dispatch as Kernels>::k_blend(into_list(a), into_list(b), share))
}

/// a + b for each of the pairs of tensors, which are without automatic differentiation.
pub fn sums(a: Vec<Tensor<1>>, b: Vec<Tensor<1>>) -> Vec<Tensor<1>> {
    if a.is_empty() {
        return a;
    }
    from_list(<Dispatch as Kernels>::k_sums(into_list(a), into_list(b)))
}

fn into_list<const D: usize>(tensors: Vec<Tensor<D>>) -> Tensors<Dispatch> {
    Tensors(tensors.into_iter().map(Tensor::into_dispatch).collect())
}

fn from_list<const D: usize>(tensors: Tensors<Dispatch>) -> Vec<Tensor<D>> {
    tensors.0.into_iter().map(Tensor::from_dispatch).collect()
}
