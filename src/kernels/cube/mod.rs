//! The kernels for GPUs, written in CubeCL, which the device's compiler builds when they are first
//! launched.
//!
//! They compute in f32, or in pairs of bf16 on tensor cores. Images and their gradients are f32 or f16;
//! parameters and their gradients are always f32. No kernel adds with atomics, so results are the same in
//! every run.

mod arranged;
mod columns;
mod conv;
mod demodulation;
mod epilogue;
mod filter;
mod gemm;
mod group_norm;
mod launch;
mod linear;
mod linear_layers;
mod lstm;
mod many;
mod minibatch_std;
mod noise;
mod normals;
mod parts;
mod pixels;
mod planes;
mod smooth;
mod softplus;
mod split_sum;
mod sums;
mod tensor_cores;
mod tile;
mod types;
mod units;
mod upfirdn;
mod warp;
mod weight_gradient;

use burn::backend::ops::FloatTensorOps;
use burn::tensor::DType;
use burn_cubecl::CubeBackend;

pub use self::arranged::Keeping;
use self::epilogue::{Epilogue, Noise};
pub use self::launch::stores_half;
use self::launch::{Floats, contiguous, dims, reshaped, supported};
use self::planes::Division;
use self::smooth::{adjoint, filter, plain, smoothed};
use self::sums::{group_sums, group_sums_twice};
use self::types::{all_f32, cast, full, of_type};
use self::weight_gradient::{Scaled, weight_gradient};
use super::backend::Kernels;
use super::composed;
use super::outputs::{
    AdamOutput, BiasActGradients, Demodulation, DemodulationGradients, DemodulationTrace,
    GroupNormGradients, GroupNormTrace, LinearLayersGradients, LstmGradients, LstmTrace,
    ModulatedGradients, NoiseActGradients, NoiseOperands, ScalePlanesGradients,
    ScalePlanesTangentGradients, Tensors,
};
use super::spec::{Activation, AdamStep, Affine, Conv, Fir, Groups, LinearLayers, Sequences, Warp};
use crate::draws::Sequence;

impl Kernels for CubeBackend {
    fn k_conv2d(x: Floats, w: Floats, conv: Conv) -> Floats {
        match supported(&[&x], &[&w]) {
            true => {
                let (x, conv) = smoothed(x, conv);
                plain(x, None, w, conv, false)
            }
            false => composed::conv2d::<Self>(x, w, conv),
        }
    }

    fn k_conv2d_act(x: Floats, w: Floats, b: Floats, conv: Conv, act: Activation) -> Floats {
        if !supported(&[&x], &[&w, &b]) {
            return composed::bias_act::<Self>(composed::conv2d::<Self>(x, w, conv), b, act);
        }
        let epilogue = Epilogue { bias_gain: 1.0, bias: Some(b), act, ..Epilogue::gain(conv.gain) };
        let (x, conv) = smoothed(x, conv);
        conv::convolve(x, None, w, (conv, false), &epilogue)
    }

    fn k_conv2d_add(
        x: Floats,
        w: Floats,
        other: Floats,
        conv: Conv,
        resample: Option<Fir>,
    ) -> Floats {
        if !supported(&[&x], &[&w]) || !supported(&[&other], &[]) {
            let other = composed::resampled::<Self>(other, resample);
            return Self::float_add(composed::conv2d::<Self>(x, w, conv), other);
        }
        let gain = Epilogue::gain(conv.gain);
        let epilogue = Epilogue { other: Some(other), resample, ..gain };
        let (x, conv) = smoothed(x, conv);
        conv::convolve(x, None, w, (conv, false), &epilogue)
    }

    fn k_modulated_conv2d_add(
        x: Floats,
        s: Floats,
        w: Floats,
        b: Floats,
        other: Floats,
        conv: Conv,
        resample: Option<Fir>,
    ) -> Floats {
        if !supported(&[&x], &[&s, &w, &b]) || !supported(&[&other], &[]) {
            let other = composed::resampled::<Self>(other, resample);
            let y = composed::modulated_conv2d::<Self>(x, s, w, conv, false);
            return Self::float_add(composed::bias_act::<Self>(y, b, Activation::LINEAR), other);
        }
        let gain = Epilogue::gain(conv.gain);
        let (bias, other) = (Some(b), Some(other));
        let epilogue = Epilogue { bias_gain: 1.0, bias, other, resample, ..gain };
        let (x, conv) = smoothed(x, conv);
        conv::convolve(x, Some(s), w, (conv, false), &epilogue)
    }

    fn k_linear(x: Floats, w: Floats, b: Floats, affine: Affine) -> Floats {
        if !all_f32([&x, &w, &b].into_iter()) {
            let y = composed::product::<Self>(x, w, affine.gain);
            let [n, o] = dims(&y);
            let b = Self::float_mul_scalar(b, affine.bias_gain.into());
            let y = Self::float_reshape(y, [n, o, 1, 1].into());
            return Self::float_reshape(
                composed::bias_act::<Self>(y, b, affine.act),
                [n, o].into(),
            );
        }
        let Affine { gain, bias_gain, act } = affine;
        let epilogue = Epilogue { bias_gain, bias: Some(b), act, ..Epilogue::gain(gain) };
        linear::product(x, w, &epilogue)
    }

    fn k_product(x: Floats, w: Floats, gain: f32) -> Floats {
        match all_f32([&x, &w].into_iter()) {
            true => linear::product(x, w, &Epilogue::gain(gain)),
            false => composed::product::<Self>(x, w, gain),
        }
    }

    fn k_product_back(g: Floats, w: Floats, gain: f32) -> Floats {
        match all_f32([&g, &w].into_iter()) {
            true => linear::product_back(g, w, gain),
            false => composed::product_back::<Self>(g, w, gain),
        }
    }

    fn k_product_weight_gradient(g: Floats, x: Floats, gain: f32) -> Floats {
        match all_f32([&g, &x].into_iter()) {
            true => linear::product_weight_gradient(g, x, gain),
            false => composed::product_weight_gradient::<Self>(g, x, gain),
        }
    }

    fn k_linear_layers(
        x: Floats,
        w: Tensors<Self>,
        b: Tensors<Self>,
        layers: LinearLayers,
    ) -> Tensors<Self> {
        let dtype = w.0[0].dtype;
        let [x, w, b] = [Tensors(vec![x]), w, b].map(|list| full(list).0);
        of_type(Tensors(linear_layers::forward(x, w, b, &layers)), dtype)
    }

    fn k_linear_layers_gradients(
        x: Floats,
        w: Tensors<Self>,
        g: Tensors<Self>,
        layers: LinearLayers,
        inputs: bool,
        parameters: bool,
    ) -> LinearLayersGradients<Self> {
        let dtype = w.0[0].dtype;
        let lists = [Tensors(vec![x]), w, g].map(|list| full(list).0);
        let found = linear_layers::gradients(lists, &layers, inputs, parameters);
        let [x, w, b] = [found.x, found.w, found.b].map(|list| of_type(list, dtype));
        LinearLayersGradients { x, w, b }
    }

    fn k_demodulation_trace(
        w: Tensors<Self>,
        s: Tensors<Self>,
        t: Tensors<Self>,
    ) -> DemodulationTrace<Self> {
        let dtype = w.0[0].dtype;
        let [w, s, t] = [w, s, t].map(|list| full(list).0);
        let DemodulationTrace { y, along, energy } = demodulation::forward(w, s, t);
        DemodulationTrace { y: of_type(y, dtype), along: of_type(along, dtype), energy }
    }

    fn k_demodulation_gradients(
        w: Tensors<Self>,
        s: Tensors<Self>,
        t: Tensors<Self>,
        trace: DemodulationTrace<Self>,
        given: Demodulation<Self>,
    ) -> DemodulationGradients<Self> {
        let dtype = w.0[0].dtype;
        let lists = [w, s, t].map(|list| full(list).0);
        let DemodulationTrace { y, along, energy } = trace;
        let trace = DemodulationTrace { y: full(y), along: full(along), energy };
        let Demodulation { w, s, t, y, along } = given;
        let [w, s, t, y, along] = [w, s, t, y, along].map(full);
        let given = Demodulation { w, s, t, y, along };
        let [w, s, t] = lists;
        // The kernel computes the gradients of styles and their tangents together or not at all.
        let together = t.is_empty() || given.s.0.is_empty() == given.t.0.is_empty();
        let found = match together && demodulation::BINDINGS <= many::bindings(&w[0]) {
            true => demodulation::gradients([w, s, t], trace, given),
            false => {
                let [w, s, t] = [w, s, t].map(Tensors);
                composed::demodulation_gradients::<Self>(w, s, t, trace, given)
            }
        };
        let [w, s, t] = [found.w, found.s, found.t].map(|list| of_type(list, dtype));
        DemodulationGradients { w, s, t }
    }

    fn k_normals(out: Floats, sequence: Sequence, first: usize, std: f32) -> Floats {
        normals::fill(out, sequence, first, std)
    }

    fn k_softplus(x: Floats) -> Floats {
        match supported(&[&x], &[]) {
            true => softplus::softplus(x),
            false => composed::softplus::<Self>(x),
        }
    }

    fn k_softplus_gradient(x: Floats, g: Floats) -> Floats {
        match supported(&[&x, &g], &[]) {
            true => softplus::softplus_gradient(x, g),
            false => composed::softplus_gradient::<Self>(x, g),
        }
    }

    fn k_mean_softplus(x: Floats, negative: bool) -> Floats {
        match supported(&[&x], &[]) {
            true => softplus::mean_softplus(x, negative),
            false => composed::mean_softplus::<Self>(x, negative),
        }
    }

    fn k_mean_softplus_gradient(x: Floats, g: Floats, negative: bool) -> Floats {
        match supported(&[&x, &g], &[]) {
            true => softplus::mean_softplus_gradient(x, g, negative),
            false => composed::mean_softplus_gradient::<Self>(x, g, negative),
        }
    }

    fn k_conv2d_transposed(g: Floats, w: Floats, conv: Conv) -> Floats {
        match supported(&[&g], &[&w]) {
            true => adjoint(g, None, w, conv),
            false => composed::conv2d_transposed::<Self>(g, w, conv),
        }
    }

    fn k_conv2d_transposed_add(g: Floats, w: Floats, other: Floats, conv: Conv) -> Floats {
        if conv.smooth.is_some() || !supported(&[&g, &other], &[&w]) {
            return composed::conv2d_transposed_add::<Self>(g, w, other, conv);
        }
        let epilogue = Epilogue { other: Some(other), ..Epilogue::gain(conv.gain) };
        conv::convolve(g, None, w, (conv, true), &epilogue)
    }

    fn k_conv2d_weight_gradient(x: Floats, g: Floats, conv: Conv) -> Floats {
        match supported(&[&x, &g], &[]) {
            true => {
                let (x, conv) = smoothed(x, conv);
                weight_gradient(x, g, None, conv)
            }
            false => composed::conv2d_weight_gradient::<Self>(x, g, conv),
        }
    }

    fn k_modulated_conv2d(x: Floats, s: Floats, w: Floats, conv: Conv, transposed: bool) -> Floats {
        if !supported(&[&x], &[&s, &w]) {
            return composed::modulated_conv2d::<Self>(x, s, w, conv, transposed);
        }
        // A factor of a plane may be multiplied before or after filtering.
        if transposed {
            return adjoint(x, Some(s), w, conv);
        }
        let (x, conv) = smoothed(x, conv);
        plain(x, Some(s), w, conv, false)
    }

    fn k_modulated_weight_gradient(
        x: Floats,
        s: Floats,
        g: Floats,
        conv: Conv,
        transposed: bool,
    ) -> Floats {
        if !supported(&[&x, &g], &[&s]) {
            return composed::modulated_weight_gradient::<Self>(x, s, g, conv, transposed);
        }
        let (read, other) = if transposed { (g, x) } else { (x, g) };
        let (read, conv) = smoothed(read, conv);
        let scaled = if transposed { Scaled::Output } else { Scaled::Input };
        weight_gradient(read, other, Some((s, scaled)), conv)
    }

    fn k_modulated_gradients(
        x: Floats,
        s: Floats,
        w: Floats,
        g: Floats,
        conv: Conv,
    ) -> ModulatedGradients<Self> {
        if !supported(&[&x, &g], &[&s, &w]) {
            let of_w = composed::modulated_weight_gradient::<Self>(x, s, g.clone(), conv, true);
            return ModulatedGradients { w: of_w, adjoint: composed::conv2d::<Self>(g, w, conv) };
        }
        // Both read the filtered gradient.
        let (g, conv) = smoothed(g, conv);
        let of_w = weight_gradient(g.clone(), x, Some((s, Scaled::Output)), conv);
        ModulatedGradients { w: of_w, adjoint: plain(g, None, w, conv, false) }
    }

    fn k_upfirdn2d(x: Floats, fir: Fir) -> Floats {
        match supported(&[&x], &[]) {
            true => upfirdn::upfirdn2d(x, &fir),
            false => composed::upfirdn2d::<Self>(x, fir),
        }
    }

    fn k_warp(x: Floats, warp: Warp) -> Floats {
        match supported(&[&x], &[]) {
            true => warp::warp(x, &warp),
            false => composed::warp::<Self>(x, warp),
        }
    }

    fn k_warp_adjoint(g: Floats, warp: Warp) -> Floats {
        match supported(&[&g], &[]) {
            true => warp::warp_adjoint(g, &warp),
            false => composed::warp_adjoint::<Self>(g, warp),
        }
    }

    fn k_bias_act(x: Floats, b: Floats, act: Activation) -> Floats {
        match supported(&[&x], &[&b]) {
            true => planes::bias_act(x, b, act),
            false => composed::bias_act::<Self>(x, b, act),
        }
    }

    fn k_act_slope(g: Floats, y: Floats, act: Activation) -> Floats {
        match supported(&[&g, &y], &[]) {
            true => planes::act_slope(g, y, act),
            false => composed::act_slope::<Self>(g, y, act),
        }
    }

    fn k_bias_act_gradients(
        g: Floats,
        y: Floats,
        act: Activation,
        bias_gain: f32,
    ) -> BiasActGradients<Self> {
        let scaled = |bias| match bias_gain {
            1.0 => bias,
            gain => Self::float_mul_scalar(bias, gain.into()),
        };
        if act.is_identity() {
            return BiasActGradients { bias: scaled(Self::k_channel_sums(g.clone())), x: g };
        }
        if !supported(&[&g, &y], &[]) {
            let x = composed::act_slope::<Self>(g, y, act);
            return BiasActGradients { bias: scaled(composed::channel_sums::<Self>(x.clone())), x };
        }
        let [_, c, h, w] = dims(&g);
        if h * w == 1 {
            let (x, bias) = columns::slope_columns(g, y, act, bias_gain);
            return BiasActGradients { x, bias };
        }
        let (x, sums, division) = planes::slope_sums(g, y, act);
        BiasActGradients { bias: scaled(group_sums(sums, division.by_channel(), [c])), x }
    }

    fn k_bias_act_gradients_in_parts(
        g: Floats,
        y: Floats,
        act: Activation,
    ) -> BiasActGradients<Self> {
        if act.is_identity() {
            return BiasActGradients { bias: Self::k_channel_sums_in_parts(g.clone()), x: g };
        }
        let [n, c, h, w] = dims(&g);
        if !supported(&[&g, &y], &[]) || h * w == 1 {
            let found = Self::k_bias_act_gradients(g, y, act, 1.0);
            return composed::parts::bias_act_gradients::<Self>(found);
        }
        let (x, sums, division) = planes::slope_sums(g, y, act);
        BiasActGradients { x, bias: reshaped(sums, [n, c, division.sums() / (n * c)]) }
    }

    fn k_channel_sums_in_parts(x: Floats) -> Floats {
        let [n, c, h, w] = dims(&x);
        if !supported(&[&x], &[]) || h * w == 1 {
            return composed::parts::in_parts::<Self>(Self::k_channel_sums(x));
        }
        let (sums, division) = planes::plane_sums(x, None);
        reshaped(sums, [n, c, division.sums() / (n * c)])
    }

    fn k_sums_of_parts(parts: Tensors<Self>, like: Tensors<Self>) -> Tensors<Self> {
        let sums = parts::sums_of_parts(full(parts).0, &like.0);
        Tensors((sums.into_iter().zip(like.0)).map(|(sum, like)| cast(sum, like.dtype)).collect())
    }

    fn k_channel_sums(x: Floats) -> Floats {
        if !supported(&[&x], &[]) {
            return composed::channel_sums::<Self>(x);
        }
        let [n, c, h, w] = dims(&x);
        if h * w == 1 && x.dtype == DType::F32 {
            let batch = sums::Groups { offset: 0, outer: n, groups: c, inner: 1 };
            return group_sums(contiguous(x), batch, [c]);
        }
        let (sums, division) = planes::plane_sums(x, None);
        group_sums(sums, division.by_channel(), [c])
    }

    fn k_scale_planes(x: Floats, s: Floats) -> Floats {
        match supported(&[&x], &[&s]) {
            true => planes::scale_planes(x, s),
            false => composed::scale_planes::<Self>(x, s),
        }
    }

    fn k_scale_planes_gradients(x: Floats, s: Floats, g: Floats) -> ScalePlanesGradients<Self> {
        if !supported(&[&x, &g], &[&s]) {
            return composed::scale_planes_gradients::<Self>(x, s, g);
        }
        let [n, c, _, _] = dims(&x);
        let (x, sums, division) = planes::scale_gradients(x, s, g);
        ScalePlanesGradients { s: of_planes(sums, division, [n, c]), x }
    }

    fn k_scale_planes_tangent(x: Floats, t: Floats, s: Floats, u: Floats) -> Floats {
        match supported(&[&x, &t], &[&s, &u]) {
            true => planes::scale_tangent([x, t], [s, u]),
            false => Self::float_add(
                composed::scale_planes::<Self>(t, s),
                composed::scale_planes::<Self>(x, u),
            ),
        }
    }

    fn k_scale_planes_tangent_gradients(
        x: Floats,
        t: Floats,
        s: Floats,
        u: Floats,
        g: Floats,
    ) -> ScalePlanesTangentGradients<Self> {
        if !supported(&[&x, &t, &g], &[&s, &u]) {
            let of_t = composed::scale_planes_gradients::<Self>(t, s, g.clone());
            let of_x = composed::scale_planes_gradients::<Self>(x, u, g);
            return ScalePlanesTangentGradients { x: of_x.x, t: of_t.x, s: of_t.s, u: of_x.s };
        }
        let [n, c, _, _] = dims(&x);
        let ([x, t], sums, division) = planes::scale_tangent_gradients([x, t], [s, u], g);
        let [s, u] = group_sums_twice(sums, division.by_plane(), [n, c]);
        ScalePlanesTangentGradients { x, t, s, u }
    }

    fn k_plane_dots(a: Floats, b: Floats) -> Floats {
        if !supported(&[&a, &b], &[]) {
            return composed::plane_dots::<Self>(a, b);
        }
        let [n, c, _, _] = dims(&a);
        let (sums, division) = planes::plane_sums(a, Some(b));
        of_planes(sums, division, [n, c])
    }

    fn k_minibatch_std(x: Floats, group: usize) -> Floats {
        match supported(&[&x], &[]) {
            true => minibatch_std::minibatch_std(x, group),
            false => composed::minibatch_std::<Self>(x, group),
        }
    }

    fn k_minibatch_std_gradient(x: Floats, g: Floats, group: usize) -> Floats {
        match supported(&[&x, &g], &[]) {
            true => minibatch_std::minibatch_std_gradient(x, g, group),
            false => composed::minibatch_std_gradient::<Self>(x, g, group),
        }
    }

    fn k_noise_act(
        x: Floats,
        scale: Floats,
        noise: Floats,
        strength: Floats,
        b: Floats,
        act: Activation,
    ) -> Floats {
        match supported(&[&x], &[&scale, &noise, &strength, &b]) {
            true => noise::noise_act(x, [scale, noise, strength, b], act),
            false => composed::noise_act::<Self>(x, scale, noise, strength, b, act),
        }
    }

    fn k_noise_act_gradients(
        y: Floats,
        g: Floats,
        scale: Floats,
        noise: Floats,
        strength: Floats,
        b: Floats,
        act: Activation,
    ) -> NoiseActGradients<Self> {
        match supported(&[&y, &g], &[&scale, &noise, &strength, &b]) {
            true => noise::noise_act_gradients(y, g, [scale, noise, strength, b], act),
            false => composed::noise_act_gradients::<Self>(y, g, [scale, noise, strength, b], act),
        }
    }

    fn k_noise_act_gradients_in_parts(
        y: Floats,
        g: Floats,
        operands: NoiseOperands<Self>,
        act: Activation,
        gain: f32,
    ) -> NoiseActGradients<Self> {
        let NoiseOperands { scale, noise, strength, bias } = operands;
        if supported(&[&y, &g], &[&scale, &noise, &strength, &bias]) {
            let parameters = [scale, noise, strength, bias];
            return noise::noise_act_gradients_in_parts(y, g, parameters, act, gain);
        }
        let found = Self::k_noise_act_gradients(y, g, scale, noise, strength, bias, act);
        composed::parts::noise_act_gradients::<Self>(found, gain)
    }

    fn k_modulated_noise_act(
        x: Floats,
        s: Floats,
        w: Floats,
        operands: NoiseOperands<Self>,
        conv: Conv,
        transposed: bool,
        act: Activation,
    ) -> Floats {
        let NoiseOperands { scale, noise, strength, bias } = operands;
        // The sums of a layer to be demodulated may be too large for f16.
        let safe = if x.dtype == DType::F16 { Conv::safe_gain(dims(&w)) } else { 1.0 };
        let fits = conv::BINDINGS <= many::bindings(&x);
        if !fits || !supported(&[&x], &[&s, &w, &scale, &noise, &strength, &bias]) {
            let y = Self::k_modulated_conv2d(x, s, w, conv.gained(safe), transposed);
            let scale = match safe {
                1.0 => scale,
                gain => Self::float_div_scalar(scale, gain.into()),
            };
            return Self::k_noise_act(y, scale, noise, strength, bias, act);
        }
        let noise = Some(Noise { scale, noise, strength });
        let gain = Epilogue::gain(conv.gain);
        let epilogue = Epilogue { bias_gain: 1.0, bias: Some(bias), act, noise, ..gain };
        if !transposed {
            let (x, conv) = smoothed(x, conv);
            return conv::convolve(x, Some(s), w, (conv, false), &epilogue);
        }
        match filter(conv) {
            Some((fir, rest)) => {
                let y = plain(x, Some(s), w, rest.gained(safe), true);
                let epilogue = Epilogue { gain: 1.0 / safe, ..epilogue };
                upfirdn::upfirdn2d_then(y, &fir.adjoint(conv.input), &epilogue)
            }
            None => conv::convolve(x, Some(s), w, (conv, true), &epilogue),
        }
    }

    fn k_group_norm_trace(
        x: Floats,
        weight: Floats,
        bias: Floats,
        groups: Groups,
    ) -> GroupNormTrace<Self> {
        match supported(&[&x], &[&weight, &bias]) {
            true => group_norm::trace(x, weight, bias, groups),
            false => composed::group_norm::trace::<Self>(x, weight, bias, groups),
        }
    }

    fn k_group_norm_gradients(
        x: Floats,
        weight: Floats,
        y: Floats,
        moments: Floats,
        g: Floats,
        groups: Groups,
    ) -> GroupNormGradients<Self> {
        let is_supported = supported(&[&x, &y, &g], &[&weight, &moments]);
        let trace = GroupNormTrace { y, moments };
        match is_supported {
            true => group_norm::gradients(x, weight, trace, g, groups),
            false => composed::group_norm::gradients::<Self>(x, weight, trace, g, groups),
        }
    }

    fn k_lstm_trace(gates: Floats, w: Floats, sequences: Sequences) -> LstmTrace<Self> {
        match all_f32([&gates, &w].into_iter()) {
            true => lstm::trace(gates, w, &sequences),
            false => composed::lstm::trace::<Self>(gates, w, &sequences),
        }
    }

    fn k_lstm_gradients(
        states: Floats,
        cells: Floats,
        gates: Floats,
        w: Floats,
        g: Floats,
        sequences: Sequences,
    ) -> LstmGradients<Self> {
        let is_f32 = all_f32([&states, &cells, &gates, &w, &g].into_iter());
        let trace = LstmTrace { states, cells, gates };
        match is_f32 {
            true => lstm::gradients(trace, w, g, &sequences),
            false => composed::lstm::gradients::<Self>(trace, w, g, &sequences),
        }
    }

    fn k_adam(
        values: Tensors<Self>,
        m: Tensors<Self>,
        v: Tensors<Self>,
        g: Tensors<Self>,
        step: AdamStep,
    ) -> AdamOutput<Self> {
        let parameters = [values.0, m.0, v.0, g.0];
        match all_f32(parameters.iter().flatten()) {
            true => many::adam(parameters, step),
            false => composed::adam::<Self>(parameters, step),
        }
    }

    fn k_blend(a: Tensors<Self>, b: Tensors<Self>, share: f32) -> Tensors<Self> {
        match all_f32(a.0.iter().chain(&b.0)) {
            true => Tensors(many::blend(a.0, b.0, share)),
            false => composed::blend::<Self>(a, b, share),
        }
    }

    fn k_sums(a: Tensors<Self>, b: Tensors<Self>) -> Tensors<Self> {
        match all_f32(a.0.iter().chain(&b.0)) {
            true => Tensors(many::sums(a.0, b.0)),
            false => composed::sums::<Self>(a, b),
        }
    }
}

/// Sums over planes `[N, C]`, from those over their parts.
fn of_planes(sums: Floats, division: Division, shape: [usize; 2]) -> Floats {
    match division.is_whole() {
        true => reshaped(sums, shape),
        false => group_sums(sums, division.by_plane(), shape),
    }
}
