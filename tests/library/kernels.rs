//! Properties of the kernels at shapes that no network has: the CPU's own kernels agree with the
//! compositions of Burn's operations, and gradients agree with adjoints or finite differences.

use std::sync::Arc;

use crate::common::difference;
use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Flex, TensorMetadata};
use burn::tensor::{Device, Tensor, TensorData};
use cigan::draws;
use cigan::kernels::{
    self, Activation, Conv, Fir, Groups, Kernels, NoiseOperands, Smooth, Tensors, Warp, composed,
};
use cigan::nn::Dual;
use cigan::nn::params::to_vec;

/// Standard normal values that depend on `purpose`.
fn random(purpose: &str, shape: [usize; 4]) -> TensorData {
    let mut rng =
        draws::stream(0, &format!("kernels.{purpose}"), shape.iter().product::<usize>() as u64);
    TensorData::new(draws::normal(&mut rng, shape.iter().product()), shape)
}

fn tensor(purpose: &str, shape: [usize; 4]) -> Tensor<4> {
    Tensor::from_data(random(purpose, shape), &Device::flex())
}

fn primitive(purpose: &str, shape: [usize; 4]) -> FloatTensor<Flex> {
    Flex::float_from_data(random(purpose, shape), &Default::default())
}

fn dot<const D: usize>(a: Tensor<D>, b: Tensor<D>) -> f64 {
    let (a, b) = (to_vec(a), to_vec(b));
    assert_eq!(a.len(), b.len());
    a.iter().zip(&b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

/// |a|·|b|, which errors of ⟨a, b⟩ are relative to.
fn sizes<const D: usize>(a: &Tensor<D>, b: &Tensor<D>) -> f64 {
    (dot(a.clone(), a.clone()) * dot(b.clone(), b.clone())).sqrt().max(1e-12)
}

/// For a linear `map` of tensors of `shape`, ⟨A x, y⟩ = ⟨x, Aᵀ y⟩, where Aᵀ y is the gradient of
/// ⟨A x, y⟩ at another x.
fn check_adjoint(what: &str, shape: [usize; 4], map: impl Fn(Tensor<4>) -> Tensor<4>) {
    let elsewhere = tensor("elsewhere", shape).autodiff().require_grad();
    let out = map(elsewhere.clone());
    let y = tensor("y", out.dims());
    let gradients = (out * y.clone()).sum().backward();
    let transposed = elsewhere.grad(&gradients).unwrap();
    let x = tensor("x", shape);
    let moved = map(x.clone());
    let scale = sizes(&moved, &y);
    let error = (dot(moved, y) - dot(x, transposed)).abs() / scale;
    assert!(error < 1e-5, "{what}: ⟨Ax, y⟩ and ⟨x, Aᵀy⟩ differ by {error}");
}

fn check_equal(what: &str, own: FloatTensor<Flex>, composed: FloatTensor<Flex>) {
    assert_eq!(own.shape(), composed.shape(), "{what}");
    let values = |x: FloatTensor<Flex>| x.into_data().try_to_vec::<f32>().unwrap();
    let error = difference(&values(own), &values(composed));
    assert!(error < 2e-5, "{what}: relative difference {error}");
}

/// [N, I, H, W], O, kernel, stride, padding.
const CONVOLUTIONS: [([usize; 4], usize, usize, usize, usize); 9] = [
    ([1, 1, 5, 7], 1, 3, 1, 1),
    ([2, 3, 7, 5], 5, 3, 1, 1),
    ([3, 2, 6, 9], 4, 1, 1, 0),
    ([2, 5, 9, 7], 3, 3, 2, 0),
    ([1, 4, 8, 6], 2, 3, 2, 0),
    ([2, 3, 8, 5], 3, 3, 2, 1),
    ([3, 2, 5, 5], 7, 1, 2, 0),
    ([5, 17, 4, 4], 19, 3, 1, 1),
    ([1, 33, 17, 3], 1, 3, 1, 1),
];

#[test]
fn convolutions_agree() {
    for (x_shape, o, kernel, stride, padding) in CONVOLUTIONS {
        let [n, i, h, w] = x_shape;
        let conv = Conv::new([h, w], kernel, stride, padding).gained(0.7);
        let [oh, ow] = conv.output();
        let what = format!("{x_shape:?} → {o} channels, {conv:?}");
        let x = || primitive("x", x_shape);
        let weight = || primitive("w", [o, i, kernel, kernel]);
        let g = || primitive("g", [n, o, oh, ow]);
        let own = Flex::k_conv2d(x(), weight(), conv);
        check_equal(&what, own, composed::conv2d::<Flex>(x(), weight(), conv));
        let own = Flex::k_conv2d_transposed(g(), weight(), conv);
        check_equal(&what, own, composed::conv2d_transposed::<Flex>(g(), weight(), conv));
        let own = Flex::k_conv2d_weight_gradient(x(), g(), conv);
        check_equal(&what, own, composed::conv2d_weight_gradient::<Flex>(x(), g(), conv));

        let plain = Flex::k_conv2d(x(), weight(), conv);
        let sum = Flex::float_add(plain.clone(), g());
        check_equal(&what, Flex::k_conv2d_add(x(), weight(), g(), conv, None), sum);
        let transposed = Flex::k_conv2d_transposed(g(), weight(), conv);
        let sum = Flex::float_add(transposed, x());
        check_equal(&what, Flex::k_conv2d_transposed_add(g(), weight(), x(), conv), sum);
        let bias = || Flex::float_reshape(primitive("b", [o, 1, 1, 1]), [o].into());
        for act in ACTIVATIONS {
            let own = Flex::k_conv2d_act(x(), weight(), bias(), conv, act);
            check_equal(&what, own, composed::bias_act::<Flex>(plain.clone(), bias(), act));
        }
    }
}

/// Epilogues of convolutions with a filter; operands that are not contiguous, or are filtered first.
#[test]
fn epilogues_agree() {
    let smooth = Smooth { taps: [0.1, 0.7, -0.3, 0.5], padding: 2 };
    for (kernel, [n, i, o], size) in [(3, [2, 3, 5], [8, 8]), (1, [3, 18, 33], [6, 38])] {
        let conv = Conv::down(size, kernel, smooth).gained(0.7);
        let [h, w] = conv.output();
        let what = format!("{n} × {i} → {o} channels, {conv:?}");
        let x = || primitive("x", [n, i, size[0], size[1]]);
        let weight = || primitive("w", [o, i, kernel, kernel]);
        let g = || Flex::float_swap_dims(primitive("g", [n, o, w, h]), 2, 3);
        let plain = Flex::k_conv2d(x(), weight(), conv);
        check_equal(&what, plain.clone(), composed::conv2d::<Flex>(x(), weight(), conv));
        let sum = Flex::float_add(plain.clone(), g());
        check_equal(&what, Flex::k_conv2d_add(x(), weight(), g(), conv, None), sum);
        let fir = Fir { up: 2, pad: [[2, 1]; 2], ..filters()[0].1.clone() };
        let halves = || primitive("half", [n, o, h / 2, w / 2]);
        let sum = Flex::float_add(plain.clone(), Flex::k_upfirdn2d(halves(), fir.clone()));
        let own = Flex::k_conv2d_add(x(), weight(), halves(), conv, Some(fir));
        check_equal(&what, own, sum);
        let transposed = Flex::k_conv2d_transposed(g(), weight(), conv);
        let expected = composed::conv2d_transposed::<Flex>(g(), weight(), conv);
        check_equal(&what, transposed.clone(), expected);
        let sum = Flex::float_add(transposed, x());
        check_equal(&what, Flex::k_conv2d_transposed_add(g(), weight(), x(), conv), sum);
        let bias = || Flex::float_reshape(primitive("b", [o, 1, 1, 1]), [o].into());
        let own = Flex::k_conv2d_act(x(), weight(), bias(), conv, Activation::LRELU);
        check_equal(&what, own, composed::bias_act::<Flex>(plain, bias(), Activation::LRELU));
    }
}

#[test]
#[should_panic = "the shape of the tensor that is added"]
fn tensors_of_another_shape_are_not_added() {
    let conv = Conv::new([5, 7], 3, 1, 1);
    let other = primitive("other", [1, 2, 7, 5]);
    Flex::k_conv2d_add(
        primitive("x", [1, 3, 5, 7]),
        primitive("w", [2, 3, 3, 3]),
        other,
        conv,
        None,
    );
}

/// Linear layers on both sides of the limits beyond which they are convolutions.
#[test]
fn linear_layers_agree() {
    for [n, i, o] in
        [[1, 1, 1], [9, 17, 5], [7, 300, 257], [8, 300, 257], [9, 70_000, 1], [8, 1, 70_000]]
    {
        let matrix = |purpose, [a, b]: [usize; 2]| {
            Flex::float_reshape(primitive(purpose, [a, b, 1, 1]), [a, b].into())
        };
        let x = || matrix("x", [n, i]);
        let w = || matrix("w", [o, i]);
        let g = || matrix("g", [n, o]);
        let what = format!("{n} × {i} → {o}");
        let own = Flex::k_product(x(), w(), 0.3);
        check_equal(&what, own, composed::product::<Flex>(x(), w(), 0.3));
        let own = Flex::k_product_back(g(), w(), 0.3);
        check_equal(&what, own, composed::product_back::<Flex>(g(), w(), 0.3));
        let own = Flex::k_product_weight_gradient(g(), x(), 0.3);
        check_equal(&what, own, composed::product_weight_gradient::<Flex>(g(), x(), 0.3));
        let turned = |x| Flex::float_swap_dims(x, 0, 1);
        let own = Flex::k_product(turned(matrix("x", [i, n])), turned(matrix("w", [i, o])), 0.3);
        let [x, w] = [turned(matrix("x", [i, n])), turned(matrix("w", [i, o]))];
        check_equal(&what, own, composed::product::<Flex>(x, w, 0.3));
    }
}

#[test]
fn averages_agree() {
    let list = |purpose| Tensors([1, 300, 20_000].map(|n| primitive(purpose, [n, 1, 1, 1])).into());
    let own = Flex::k_blend(list("a"), list("b"), 0.9);
    let other = composed::blend::<Flex>(list("a"), list("b"), 0.9);
    own.0.into_iter().zip(other.0).for_each(|(own, other)| check_equal("blend", own, other));
}

#[test]
fn convolutions_have_adjoints() {
    for (x_shape, o, kernel, stride, padding) in CONVOLUTIONS {
        let w_shape = [o, x_shape[1], kernel, kernel];
        let (x, w) = (tensor("x0", x_shape), tensor("w0", w_shape));
        let what = format!("{x_shape:?} → {o} channels, kernel {kernel}, stride {stride}");
        let conv = |x, w| kernels::conv2d(x, w, stride, padding);
        check_adjoint(&what, x_shape, |x| conv(x, w.clone()));
        check_adjoint(&what, w_shape, |w| conv(x.clone(), w));

        // The same numbers as a transposed convolution, I → O.
        let w_shape = [x_shape[1], o, kernel, kernel];
        let w = tensor("w0", w_shape);
        let what = format!("transposed, {what}");
        let conv = |x, w| kernels::conv2d_transposed(x, w, stride, padding);
        check_adjoint(&what, x_shape, |x| conv(x, w.clone()));
        check_adjoint(&what, w_shape, |w| conv(x.clone(), w));
    }
}

/// The same shapes as plain convolutions and as transposed ones, with both orders of the weight's sides
/// and a factor for each plane of the input. `f` gets the input's shape, the weight's, the convolution, and whether it is transposed.
fn each_modulated(f: impl Fn([usize; 4], [usize; 4], Conv, bool)) {
    let smooth = Some(Smooth { taps: [0.1, 0.7, -0.3, 0.5], padding: 2 });
    let smoothed = [([2, 3, 8, 8], 5, 3, 2, 0), ([1, 18, 6, 10], 3, 3, 2, 0)];
    let all = CONVOLUTIONS.map(|c| (c, None)).into_iter().chain(smoothed.map(|c| (c, smooth)));
    for ((x_shape, o, kernel, stride, padding), smooth) in all {
        let [n, i, h, w] = x_shape;
        for swapped in [false, true] {
            let conv = Conv::new([h, w], kernel, stride, padding).gained(0.7);
            let conv = Conv { smooth, swapped, ..conv };
            let [oh, ow] = conv.output();
            let [first, second] = if swapped { [i, o] } else { [o, i] };
            f(x_shape, [first, second, kernel, kernel], conv, false);
            f([n, o, oh, ow], [first, second, kernel, kernel], conv, true);
        }
    }
}

#[test]
fn modulated_convolutions_agree() {
    each_modulated(|x_shape, w_shape, conv, transposed| {
        let what = format!("{x_shape:?}, {w_shape:?}, {conv:?}, transposed: {transposed}");
        let [n, c, _, _] = x_shape;
        let x = || primitive("x", x_shape);
        let s = || Flex::float_reshape(primitive("s", [n, c, 1, 1]), [n, c].into());
        let w = || primitive("w", w_shape);
        let plain = Flex::k_modulated_conv2d(x(), s(), w(), conv, transposed);
        let other = composed::modulated_conv2d::<Flex>(x(), s(), w(), conv, transposed);
        let g = || primitive("g", plain.shape().dims::<4>());
        let gradient = Flex::k_modulated_weight_gradient(x(), s(), g(), conv, transposed);
        let expected = composed::modulated_weight_gradient::<Flex>(x(), s(), g(), conv, transposed);
        check_equal(&what, gradient, expected);
        check_equal(&what, plain.clone(), other);

        let shape @ [n, c, h, w_out] = plain.shape().dims::<4>();
        let bias = || Flex::float_reshape(primitive("b", [c, 1, 1, 1]), [c].into());
        if !transposed {
            let own = Flex::k_modulated_conv2d_add(x(), s(), w(), bias(), g(), conv, None);
            let biased = Flex::k_bias_act(plain.clone(), bias(), Activation::LINEAR);
            check_equal(&what, own, Flex::float_add(biased, g()));
        }
        let act = Activation { clamp: Some(1.5), ..Activation::LRELU };
        for images in [1, n] {
            let operands = || NoiseOperands::<Flex> {
                scale: Flex::float_reshape(primitive("scale", [n, c, 1, 1]), [n, c].into()),
                noise: primitive("noise", [images, 1, h, w_out]),
                strength: Flex::float_reshape(primitive("r", [1; 4]), [1].into()),
                bias: bias(),
            };
            let given = operands();
            let own = Flex::k_modulated_noise_act(x(), s(), w(), given, conv, transposed, act);
            let NoiseOperands { scale, noise, strength, bias } = operands();
            let y = plain.clone();
            let other = composed::noise_act::<Flex>(y, scale, noise, strength, bias, act);
            assert_eq!(own.shape().dims::<4>(), shape);
            check_equal(&what, own, other);
        }
    });
}

/// A modulated convolution is linear in each of its three operands.
#[test]
fn modulated_convolutions_have_adjoints() {
    for (x_shape, o, kernel, stride, padding) in CONVOLUTIONS {
        let [n, c, _, _] = x_shape;
        let w_shape = [o, c, kernel, kernel];
        let (x, w) = (tensor("x0", x_shape), tensor("w0", w_shape));
        let s = tensor("s0", [n, c, 1, 1]).reshape([n, c]);
        let what = format!("{x_shape:?} → {o} channels, kernel {kernel}, stride {stride}");
        let conv = |x, s, w| kernels::modulated_conv2d(x, s, w, stride, padding);
        check_adjoint(&what, x_shape, |x| conv(x, s.clone(), w.clone()));
        check_adjoint(&what, w_shape, |w| conv(x.clone(), s.clone(), w));
        check_adjoint(&what, [n, c, 1, 1], |s| conv(x.clone(), s.reshape([n, c]), w.clone()));
    }
    let smooth = Smooth { taps: [0.1, 0.7, -0.3, 0.5], padding: 2 };
    for (x_shape, to) in [([2, 3, 4, 4], 5), ([1, 17, 7, 3], 2)] {
        let [n, c, _, _] = x_shape;
        let w_shape = [to, c, 3, 3];
        let (x, w) = (tensor("x0", x_shape), tensor("w0", w_shape));
        let s = tensor("s0", [n, c, 1, 1]).reshape([n, c]);
        let what = format!("{x_shape:?} up to {to} channels");
        let conv = |x, s, w| kernels::modulated_conv2d_up(x, s, w, smooth);
        check_adjoint(&what, x_shape, |x| conv(x, s.clone(), w.clone()));
        check_adjoint(&what, w_shape, |w| conv(x.clone(), s.clone(), w));
        check_adjoint(&what, [n, c, 1, 1], |s| conv(x.clone(), s.reshape([n, c]), w.clone()));
    }
}

/// Filters of several lengths, rates and paddings, including negative and uneven ones.
fn filters() -> Vec<([usize; 4], Fir)> {
    let fir = |taps: &[f32], up, down, pad: [[i32; 2]; 2], flip| Fir {
        taps: Arc::from(taps),
        up,
        down,
        pad,
        flip,
        gain: 1.5,
    };
    let four = [0.1, 0.7, -0.3, 0.5];
    let twelve: Vec<f32> = (0..12).map(|i| (i as f32 * 1.7).sin()).collect();
    vec![
        ([1, 1, 5, 7], fir(&four, 1, 1, [[2, 1], [1, 2]], false)),
        ([2, 3, 7, 5], fir(&four, 2, 1, [[2, 1]; 2], false)),
        ([2, 3, 6, 9], fir(&four, 1, 2, [[1, 1]; 2], true)),
        ([1, 2, 9, 7], fir(&four, 2, 1, [[-1, 3], [4, -2]], true)),
        ([3, 1, 5, 6], fir(&twelve, 2, 1, [[6, 5]; 2], false)),
        ([1, 3, 22, 26], fir(&twelve, 1, 2, [[-1, -1]; 2], true)),
        ([2, 2, 4, 5], fir(&[0.3, -0.8], 3, 2, [[0, 1], [2, 0]], false)),
        ([1, 2, 11, 13], fir(&[1.0], 1, 3, [[0, 0]; 2], false)),
        ([1, 1, 33, 3], fir(&[0.2, 0.5, 0.1], 1, 1, [[1, 1]; 2], false)),
    ]
}

#[test]
fn resampling_agrees_and_has_an_adjoint() {
    for (shape, fir) in filters() {
        let what = format!("{shape:?} through {fir:?}");
        let x = || primitive("x", shape);
        let own = Flex::k_upfirdn2d(x(), fir.clone());
        check_equal(&what, own, composed::upfirdn2d::<Flex>(x(), fir.clone()));
        check_adjoint(&what, shape, |x| kernels::upfirdn2d(x, &fir));
    }
}

/// Images and warps of them: identity, shifts, rotations, changes of scale, and positions outside.
fn warps() -> Vec<([usize; 4], Warp)> {
    let warp = |maps: &[[f32; 6]], input, output| Warp { maps: Arc::from(maps), input, output };
    let same = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0];
    let shift = [1.0, 0.0, -2.0, 0.0, 1.0, 3.0];
    let turn = [0.8, -0.6, 2.3, 0.6, 0.8, -1.7];
    let flip = [-1.0, 0.0, 6.25, 0.0, 1.0, 0.5];
    let squeeze = [2.7, 0.4, -3.1, -0.2, 3.3, -4.9];
    let magnify = [0.13, 0.02, 1.5, -0.04, 0.21, 2.5];
    let away = [1.0, 0.0, 1e9, 0.0, 1.0, -1e9];
    let edge = [1.0, 0.0, -1.0, 0.0, 1.0, 4.0];
    vec![
        ([1, 3, 5, 7], warp(&[same], [5, 7], [5, 7])),
        ([2, 3, 5, 7], warp(&[shift, flip], [5, 7], [9, 4])),
        ([3, 2, 9, 6], warp(&[turn, squeeze, magnify], [9, 6], [7, 11])),
        ([2, 1, 6, 8], warp(&[away, edge], [6, 8], [5, 5])),
        ([1, 2, 1, 1], warp(&[turn], [1, 1], [3, 4])),
    ]
}

#[test]
fn warps_agree_and_have_an_adjoint() {
    for (shape, warp) in warps() {
        let what = format!("{shape:?} through {warp:?}");
        let [n, c, _, _] = shape;
        let [oh, ow] = warp.output;
        let x = || primitive("x", shape);
        let own = Flex::k_warp(x(), warp.clone());
        check_equal(&what, own, composed::warp::<Flex>(x(), warp.clone()));
        let g = || primitive("g", [n, c, oh, ow]);
        let own = Flex::k_warp_adjoint(g(), warp.clone());
        check_equal(&what, own, composed::warp_adjoint::<Flex>(g(), warp.clone()));
        check_adjoint(&what, shape, |x| kernels::warp(x, &warp));
    }
}

#[test]
fn the_identity_warp_changes_nothing() {
    let (shape, warp) = warps().swap_remove(0);
    let x = tensor("x", shape);
    assert_eq!(to_vec(kernels::warp(x.clone(), &warp)), to_vec(x));
}

#[test]
fn bilinear_weights() {
    let x = Tensor::from_data([[[[1f32, 2.0], [3.0, 5.0]]]], &Device::flex());
    // At (¼, ½) between the four; half a pixel left of the first column, where 0 begins.
    let [at, outside] = [[0.25, 0.5], [-0.5, 0.0]].map(|[column, row]| {
        let maps = Arc::from([[1.0, 0.0, column, 0.0, 1.0, row]]);
        let warp = Warp { maps, input: [2, 2], output: [1, 1] };
        to_vec(kernels::warp(x.clone(), &warp))[0]
    });
    assert_eq!([at, outside], [0.5 * 1.25 + 0.5 * 3.5, 0.5]);
}

const ACTIVATIONS: [Activation; 4] = [
    Activation::LRELU,
    Activation::LINEAR,
    Activation { slope: 0.2, gain: 1.3, clamp: Some(0.9) },
    Activation { slope: 1.0, gain: 0.5, clamp: Some(0.4) },
];

#[test]
fn pointwise_kernels_agree() {
    for shape in [[1, 1, 1, 1], [2, 3, 5, 7], [3, 5, 1, 9], [1, 17, 16, 16]] {
        let [n, c, _, _] = shape;
        let x = || primitive("x", shape);
        let y = || primitive("y", shape);
        let flat = |purpose, [a, b]: [usize; 2]| {
            Flex::float_reshape(primitive(purpose, [a, b, 1, 1]), [a, b].into())
        };
        let bias = || Flex::float_reshape(primitive("b", [c, 1, 1, 1]), [c].into());
        for act in ACTIVATIONS {
            let what = format!("{shape:?}, {act:?}");
            let own = Flex::k_bias_act(x(), bias(), act);
            check_equal(&what, own.clone(), composed::bias_act::<Flex>(x(), bias(), act));
            let slope = Flex::k_act_slope(y(), own.clone(), act);
            check_equal(&what, slope, composed::act_slope::<Flex>(y(), own.clone(), act));
            let found = Flex::k_bias_act_gradients(y(), own.clone(), act, 0.4);
            let expected = composed::bias_act_gradients::<Flex>(y(), own, act, 0.4);
            check_equal(&what, found.x, expected.x);
            check_equal(&what, found.bias, expected.bias);
        }
        let what = format!("{shape:?}");
        let sums = composed::channel_sums::<Flex>(x());
        check_equal(&what, Flex::k_channel_sums(x()), sums);
        let scaled = composed::scale_planes::<Flex>(x(), flat("s", [n, c]));
        check_equal(&what, Flex::k_scale_planes(x(), flat("s", [n, c])), scaled);
        let dots = composed::plane_dots::<Flex>(x(), y());
        check_equal(&what, Flex::k_plane_dots(x(), y()), dots);
        let own = Flex::k_scale_planes_gradients(x(), flat("s", [n, c]), y());
        let other = composed::scale_planes_gradients::<Flex>(x(), flat("s", [n, c]), y());
        check_equal(&what, own.x, other.x);
        check_equal(&what, own.s, other.s);
    }
}

#[test]
fn scales_have_adjoints() {
    for shape in [[1, 1, 3, 2], [2, 3, 5, 7], [4, 9, 1, 1]] {
        let [n, c, _, _] = shape;
        let (x, s) = (tensor("x0", shape), tensor("s0", [n, c, 1, 1]).reshape([n, c]));
        let what = format!("{shape:?}");
        check_adjoint(&what, shape, |x| kernels::scale_planes(x, s.clone()));
        check_adjoint(&what, [n, c, 1, 1], |s| kernels::scale_planes(x.clone(), s.reshape([n, c])));
    }
}

/// Central differences along a direction, at points that are not near a kink.
#[test]
fn activations_have_the_gradient_that_differences_show() {
    const STEP: f64 = 1e-3;
    let shape = [2, 3, 5, 7];
    for act in ACTIVATIONS {
        let kinks: Vec<f32> = [Some(0.0), act.clamp.map(|c| c / act.gain)]
            .into_iter()
            .flatten()
            .flat_map(|at| [at, -at, -at / act.slope])
            .collect();
        let x = to_vec(tensor("x", shape)).into_iter().map(|v| {
            let near = kinks.iter().find(|kink| (v - **kink).abs() < 0.02);
            near.map_or(v, |kink| kink + 0.05)
        });
        let x = Tensor::<4>::from_data(TensorData::new(x.collect(), shape), &Device::flex());
        let b = Tensor::<1>::zeros([3], &Device::flex());
        let (along_x, along_b) = (tensor("dx", shape), tensor("db", [3, 1, 1, 1]).reshape([3]));
        // Small enough not to cross a kink that is 0.02 away.
        let (along_x, along_b) = (along_x.clamp(-2.0, 2.0), along_b.clamp(-2.0, 2.0));
        let r = tensor("r", shape);
        let at = |t: f64| {
            let moved_x = x.clone() + along_x.clone() * t;
            dot(kernels::bias_act(moved_x, b.clone() + along_b.clone() * t, act), r.clone())
        };
        let expected = (at(STEP) - at(-STEP)) / (2.0 * STEP);

        let (x, b) = (x.autodiff().require_grad(), b.autodiff().require_grad());
        let out = kernels::bias_act(x.clone(), b.clone(), act);
        let gradients = (out * r.clone()).sum().backward();
        let found =
            dot(x.grad(&gradients).unwrap(), along_x) + dot(b.grad(&gradients).unwrap(), along_b);
        let error = (found - expected).abs() / expected.abs().max(1.0);
        assert!(error < 2e-3, "{act:?}: {found} by gradient, {expected} by differences");
    }
}

/// Activations that can be undone, so that a gradient needs the output alone.
const INVERTIBLE: [Activation; 3] =
    [Activation::LRELU, Activation::LINEAR, Activation { slope: 0.2, gain: 1.3, clamp: Some(0.9) }];

/// Operands of a `noise_act`: x, the factors of its planes, noise, its strength, the bias.
struct NoiseAct {
    x: Tensor<4>,
    scale: Tensor<2>,
    noise: Tensor<4>,
    strength: Tensor<1>,
    bias: Tensor<1>,
}

impl NoiseAct {
    /// Images [n, c, h, w] with noise for each, or one for all. No argument of the activation is
    /// nearer than 0.02 to a kink.
    fn new([n, c, h, w]: [usize; 4], shared: bool, act: Activation) -> Self {
        let kinks: Vec<f32> = [Some(0.0), act.clamp.map(|c| c / act.gain)]
            .into_iter()
            .flatten()
            .flat_map(|at| [at, -at, -at / act.slope])
            .collect();
        let t = to_vec(tensor("t", [n, c, h, w])).into_iter().map(|v| {
            let near = kinks.iter().find(|kink| (v - **kink).abs() < 0.02);
            near.map_or(v, |kink| kink + 0.05)
        });
        let t = Tensor::from_data(TensorData::new(t.collect(), [n, c, h, w]), &Device::flex());
        let scale = tensor("scale", [n, c, 1, 1]).abs() + 0.5;
        let noise = tensor("noise", [if shared { 1 } else { n }, 1, h, w]);
        let strength = Tensor::<1>::from_data([0.3f32], &Device::flex());
        let bias = tensor("b", [1, c, 1, 1]) * 0.5;
        let x = (t - noise.clone() * 0.3 - bias.clone()) / scale.clone();
        Self { x, scale: scale.reshape([n, c]), noise, strength, bias: bias.reshape([c]) }
    }

    fn value(&self, act: Activation) -> Tensor<4> {
        let Self { x, scale, noise, strength, bias } = self;
        kernels::noise_act(
            x.clone(),
            scale.clone(),
            noise.clone(),
            strength.clone(),
            bias.clone(),
            act,
        )
    }

    /// All operands, `step` away along a direction.
    fn moved(&self, along: &Self, step: f64) -> Self {
        Self {
            x: self.x.clone() + along.x.clone() * step,
            scale: self.scale.clone() + along.scale.clone() * step,
            noise: self.noise.clone() + along.noise.clone() * step,
            strength: self.strength.clone() + along.strength.clone() * step,
            bias: self.bias.clone() + along.bias.clone() * step,
        }
    }

    /// A direction, small enough not to cross a kink within a step of 1e-3.
    fn direction(shape: [usize; 4], shared: bool) -> Self {
        let [n, c, h, w] = shape;
        let small = |purpose, shape| tensor(purpose, shape).clamp(-1.0, 1.0);
        Self {
            x: small("dx", shape),
            scale: small("ds", [n, c, 1, 1]).reshape([n, c]),
            noise: small("dn", [if shared { 1 } else { n }, 1, h, w]),
            strength: Tensor::from_data([0.7f32], &Device::flex()),
            bias: small("db", [c, 1, 1, 1]).reshape([c]),
        }
    }
}

const NOISY: [([usize; 4], bool); 5] = [
    ([1, 1, 1, 1], false),
    ([2, 3, 5, 7], false),
    ([2, 3, 5, 7], true),
    ([3, 5, 4, 4], false),
    ([2, 17, 16, 16], true),
];

#[test]
fn noise_act_agrees_with_the_composition() {
    for (shape, shared) in NOISY {
        for act in INVERTIBLE {
            let what = format!("{shape:?}, noise shared: {shared}, {act:?}");
            let p = NoiseAct::new(shape, shared, act);
            let flat = |t: Tensor<1>| Flex::float_from_data(t.into_data(), &Default::default());
            let x = || Flex::float_from_data(p.x.clone().into_data(), &Default::default());
            let parameters = || {
                let scale = Flex::float_from_data(p.scale.clone().into_data(), &Default::default());
                let noise = Flex::float_from_data(p.noise.clone().into_data(), &Default::default());
                [scale, noise, flat(p.strength.clone()), flat(p.bias.clone())]
            };
            let [scale, noise, strength, bias] = parameters();
            let own = Flex::k_noise_act(x(), scale, noise, strength, bias, act);
            let [scale, noise, strength, bias] = parameters();
            let other = composed::noise_act::<Flex>(x(), scale, noise, strength, bias, act);
            check_equal(&what, own.clone(), other);
            let g = || primitive("g", shape);
            let [scale, noise, strength, bias] = parameters();
            let y = own;
            let own =
                Flex::k_noise_act_gradients(y.clone(), g(), scale, noise, strength, bias, act);
            let other = composed::noise_act_gradients::<Flex>(y, g(), parameters(), act);
            check_equal(&what, own.x, other.x);
            check_equal(&what, own.scale, other.scale);
            check_equal(&what, own.strength, other.strength);
            check_equal(&what, own.bias, other.bias);
        }
    }
}

#[test]
fn noise_act_has_the_gradient_that_differences_show() {
    const STEP: f64 = 1e-3;
    for (shape, shared) in NOISY {
        for act in INVERTIBLE {
            let p = NoiseAct::new(shape, shared, act);
            let along = NoiseAct::direction(shape, shared);
            let r = tensor("r", shape);
            let at = |t: f64| dot(p.moved(&along, t).value(act), r.clone());
            let expected = (at(STEP) - at(-STEP)) / (2.0 * STEP);

            let tracked = NoiseAct {
                x: p.x.autodiff().require_grad(),
                scale: p.scale.autodiff().require_grad(),
                noise: p.noise.autodiff().require_grad(),
                strength: p.strength.autodiff().require_grad(),
                bias: p.bias.autodiff().require_grad(),
            };
            let gradients = (tracked.value(act) * r).sum().backward();
            let found = dot(tracked.x.grad(&gradients).unwrap(), along.x)
                + dot(tracked.scale.grad(&gradients).unwrap(), along.scale)
                + dot(tracked.noise.grad(&gradients).unwrap(), along.noise)
                + dot(tracked.strength.grad(&gradients).unwrap(), along.strength)
                + dot(tracked.bias.grad(&gradients).unwrap(), along.bias);
            let error = (found - expected).abs() / expected.abs().max(1.0);
            assert!(
                error < 3e-3,
                "{shape:?}, {act:?}: {found} by gradient, {expected} by differences"
            );
        }
    }
}

/// The tangent along x and the factors is the difference of two values nearby.
#[test]
fn noise_act_has_the_tangent_that_differences_show() {
    const STEP: f64 = 1e-3;
    for (shape, shared) in NOISY {
        for act in INVERTIBLE {
            let p = NoiseAct::new(shape, shared, act);
            let mut along = NoiseAct::direction(shape, shared);
            along.noise = along.noise * 0.0;
            along.strength = along.strength * 0.0;
            along.bias = along.bias * 0.0;
            let [ahead, behind] = [STEP, -STEP].map(|step| p.moved(&along, step).value(act));
            let expected = (ahead - behind) / (2.0 * STEP);
            let found = Dual::new(p.x, along.x).noise_act(
                Dual::new(p.scale, along.scale),
                (p.noise, p.strength),
                p.bias,
                act,
            );
            let error = difference(&to_vec(found.tangent.unwrap()), &to_vec(expected));
            assert!(error < 1e-3, "{shape:?}, {act:?}: relative difference {error}");
        }
    }
}

/// A modulated convolution is linear in x and in the factors, so its tangent is the sum of two values.
#[test]
fn modulated_convolutions_have_tangents() {
    for (x_shape, o, kernel, stride, padding) in CONVOLUTIONS {
        let [n, c, _, _] = x_shape;
        let (x, dx) = (tensor("x", x_shape), tensor("dx", x_shape));
        let [s, ds] = ["s", "ds"].map(|of| tensor(of, [n, c, 1, 1]).reshape([n, c]));
        let w = tensor("w", [o, c, kernel, kernel]);
        let fused = |x, s| kernels::modulated_conv2d(x, s, w.clone(), stride, padding);
        let expected = fused(dx.clone(), s.clone()) + fused(x.clone(), ds.clone());
        let plain = |x| kernels::conv2d(x, w.clone(), stride, padding);
        let found = Dual::new(x, dx).modulated(Dual::new(s, ds), fused, plain);
        let error = difference(&to_vec(found.tangent.unwrap()), &to_vec(expected));
        assert!(error < 2e-5, "{x_shape:?} → {o} channels: relative difference {error}");
    }
}

#[test]
#[should_panic(expected = "slope below zero")]
fn noise_act_refuses_an_activation_that_cannot_be_undone() {
    NoiseAct::new([1, 1, 2, 2], false, Activation::LINEAR).value(Activation::RELU);
}

/// [N, C, H, W] and a number of groups.
const GROUPED: [([usize; 4], usize); 5] = [
    ([1, 1, 2, 3], 1),
    ([2, 6, 5, 7], 3),
    ([3, 8, 4, 4], 8),
    ([2, 5, 1, 9], 1),
    ([1, 16, 16, 16], 4),
];

#[test]
fn group_norms_agree() {
    for (shape, count) in GROUPED {
        let of = |purpose, side| {
            let values = primitive(purpose, [side, 1, 1, 1]);
            Flex::float_reshape(values, [side].into())
        };
        // Rounding must not spoil the result where the mean is large against the deviation.
        let x = || Flex::float_add_scalar(primitive("x", shape), 5f32.into());
        let (weight, bias) = (|| of("weight", shape[1]), || of("bias", shape[1]));
        let g = || primitive("g", shape);
        for act in ACTIVATIONS {
            let what = format!("{shape:?}, {count} groups, {act:?}");
            let groups = Groups { count, eps: 1e-5, act };
            let own = Flex::k_group_norm_trace(x(), weight(), bias(), groups);
            let other = composed::group_norm::trace::<Flex>(x(), weight(), bias(), groups);
            check_equal(&what, own.y.clone(), other.y.clone());
            check_equal(&what, own.moments.clone(), other.moments.clone());
            let (y, moments) = (own.y, own.moments);
            let own = Flex::k_group_norm_gradients(x(), weight(), y, moments, g(), groups);
            let other = composed::group_norm::gradients::<Flex>(x(), weight(), other, g(), groups);
            check_equal(&what, own.x, other.x);
            check_equal(&what, own.weight, other.weight);
            check_equal(&what, own.bias, other.bias);
        }
    }
}

/// The plain formula, differentiated by Burn, agrees: y = act((x − mean)/√(variance + ε)·w + b).
#[test]
fn group_norms_follow_the_formula() {
    for (shape, count) in GROUPED {
        let [n, c, h, w] = shape;
        let inputs = || {
            let flat = |purpose| tensor(purpose, [c, 1, 1, 1]).reshape([c]);
            let tracked = |t: Tensor<1>| t.autodiff().require_grad();
            let x = tensor("x", shape).autodiff().require_grad();
            (x, tracked(flat("weight")), tracked(flat("bias")))
        };
        let act = Activation { slope: 0.2, gain: 1.0, clamp: None };
        let gradients = |form: &dyn Fn(Tensor<4>, Tensor<1>, Tensor<1>) -> Tensor<4>| {
            let (x, weight, bias) = inputs();
            let y = form(x.clone(), weight.clone(), bias.clone());
            let gradients = (y.clone() * tensor("g", shape)).sum().backward();
            let of = [weight, bias].map(|t| to_vec(t.grad(&gradients).unwrap()));
            [vec![to_vec(y.inner()), to_vec(x.grad(&gradients).unwrap())], of.to_vec()].concat()
        };
        let own = gradients(&|x, weight, bias| {
            kernels::group_norm(x, weight, bias, Groups { count, eps: 1e-5, act })
        });
        let plain = gradients(&|x, weight, bias| {
            let x = x.reshape([n, count, c / count * h * w]);
            let centred = x.clone() - x.mean_dim(2);
            let variance = centred.clone().powi_scalar(2).mean_dim(2);
            let normal = (centred / (variance + 1e-5).sqrt()).reshape(shape);
            let y = normal * weight.reshape([1, c, 1, 1]) + bias.reshape([1, c, 1, 1]);
            burn::tensor::activation::leaky_relu(y, 0.2)
        });
        for (own, plain) in own.iter().zip(&plain) {
            let error = difference(own, plain);
            assert!(error < 2e-5, "{shape:?}, {count} groups: relative difference {error}");
        }
    }
}

#[test]
fn parts_are_added_up() {
    let parts = |outer: usize, groups: usize, inner: usize| {
        let values: Vec<f32> = (0..outer * groups * inner).map(|i| (i * i % 23) as f32).collect();
        let sums: Vec<f32> = (0..groups)
            .map(|group| {
                let runs = (0..outer).map(|run| (run * groups + group) * inner);
                runs.flat_map(|first| first..first + inner).map(|i| values[i]).sum()
            })
            .collect();
        let data = TensorData::new(values, [outer, groups, inner]);
        (Flex::float_from_data(data, &Default::default()), sums)
    };
    let shapes = [[3, 4, 1, 1], [4, 1, 1, 1], [2, 3, 1, 1], [1, 1, 1, 1]];
    let (given, expected): (Vec<_>, Vec<_>) =
        [parts(5, 12, 1), parts(3, 4, 2), parts(1, 6, 7), parts(1, 1, 1)].into_iter().unzip();
    let like = shapes.map(|shape| primitive("like", shape)).into_iter().collect();
    let found = Flex::k_sums_of_parts(kernels::Tensors(given), kernels::Tensors(like)).0;
    for ((found, expected), shape) in found.into_iter().zip(expected).zip(shapes) {
        assert_eq!(found.shape().dims::<4>(), shape);
        assert_eq!(found.into_data().try_to_vec::<f32>().unwrap(), expected);
    }
}
