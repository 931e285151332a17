//! The kernels of the CPU backend: its tensors as slices, and calls of [`cpu`].

mod convolve;
mod tensors;

use burn::backend::{Flex, TensorMetadata};
use burn::tensor::{DType, TensorData};

use self::convolve::{
    check_added, check_bias, conv_of, convolved, convolved_plus, gains, is_large, linear, pixels,
    rows, shape_of,
};
use self::tensors::{Floats, all_f32, change, contiguous, dims, made, produce, slice, whole};
use super::backend::Kernels;
use super::cpu::pointwise::NoiseAct;
use super::cpu::shape::Source;
use super::cpu::target::Target;
use super::outputs::{
    AdamOutput, BiasActGradients, GroupNormGradients, GroupNormTrace, LstmGradients, LstmTrace,
    NoiseActGradients, NoiseOperands, ScalePlanesGradients, Tensors,
};
use super::spec::{Activation, AdamStep, Conv, Fir, Groups, Sequences, Warp};
use super::{composed, cpu};

impl Kernels for Flex {
    fn k_conv2d(x: Floats, w: Floats, conv: Conv) -> Floats {
        if !all_f32(&[&x, &w]) {
            return composed::conv2d::<Self>(x, w, conv);
        }
        convolved([x, w], None, [], (conv, false), None)
    }

    fn k_conv2d_act(x: Floats, w: Floats, b: Floats, conv: Conv, act: Activation) -> Floats {
        if !all_f32(&[&x, &w, &b]) {
            return composed::conv2d_act::<Self>(x, w, b, conv, act);
        }
        let conv = (conv, false);
        check_bias(&b, shape_of(&x, &w, conv));
        let finish = |[b]: [&[f32]; 1], i: usize, _, y: &mut [f32]| {
            cpu::pointwise::bias_act_pixels(b[i % b.len()], act, y);
        };
        convolved([x, w], None, [b], conv, Some(&finish))
    }

    fn k_conv2d_add(
        x: Floats,
        w: Floats,
        other: Floats,
        conv: Conv,
        resample: Option<Fir>,
    ) -> Floats {
        if !all_f32(&[&x, &w, &other]) {
            return composed::conv2d_add::<Self>(x, w, other, conv, resample);
        }
        convolved_plus([x, w], composed::resampled::<Self>(other, resample), (conv, false))
    }

    fn k_conv2d_transposed(g: Floats, w: Floats, conv: Conv) -> Floats {
        if !all_f32(&[&g, &w]) {
            return composed::conv2d_transposed::<Self>(g, w, conv);
        }
        convolved([g, w], None, [], (conv, true), None)
    }

    fn k_conv2d_transposed_add(g: Floats, w: Floats, other: Floats, conv: Conv) -> Floats {
        if !all_f32(&[&g, &w, &other]) {
            return composed::conv2d_transposed_add::<Self>(g, w, other, conv);
        }
        convolved_plus([g, w], other, (conv, true))
    }

    fn k_conv2d_weight_gradient(x: Floats, g: Floats, conv: Conv) -> Floats {
        if !all_f32(&[&x, &g]) {
            return composed::conv2d_weight_gradient::<Self>(x, g, conv);
        }
        let [n, i, _, _] = dims(&x);
        let o = dims::<4>(&g)[1];
        let sides = if conv.swapped { [i, o] } else { [o, i] };
        let p = conv_of(n, sides, conv);
        let gains = gains(conv, p.batch * p.in_channels);
        let gradient =
            produce([x, g], [sides[0], sides[1], conv.kernel, conv.kernel], |[x, g], w| {
                let x = Source { planes: x, scale: gains.as_deref() };
                cpu::conv::conv2d_weight_gradient(&p, x, g.into(), w);
            });
        composed::parts::weight_gradient::<Self>(gradient, conv)
    }

    fn k_product(x: Floats, w: Floats, gain: f32) -> Floats {
        if !all_f32(&[&x, &w]) || !is_large(dims::<2>(&x)[0], w.shape().num_elements()) {
            return composed::product::<Self>(x, w, gain);
        }
        rows(Self::k_conv2d(pixels(x), pixels(w), linear(gain)))
    }

    fn k_product_back(g: Floats, w: Floats, gain: f32) -> Floats {
        if !all_f32(&[&g, &w]) || !is_large(dims::<2>(&g)[0], w.shape().num_elements()) {
            return composed::product_back::<Self>(g, w, gain);
        }
        rows(Self::k_conv2d_transposed(pixels(g), pixels(w), linear(gain)))
    }

    fn k_product_weight_gradient(g: Floats, x: Floats, gain: f32) -> Floats {
        let ([n, o], [_, i]) = (dims(&g), dims(&x));
        if !all_f32(&[&g, &x]) || !is_large(n, o * i) {
            return composed::product_weight_gradient::<Self>(g, x, gain);
        }
        rows(Self::k_conv2d_weight_gradient(pixels(x), pixels(g), linear(gain)))
    }

    fn k_modulated_conv2d(x: Floats, s: Floats, w: Floats, conv: Conv, transposed: bool) -> Floats {
        if !all_f32(&[&x, &s, &w]) {
            return composed::modulated_conv2d::<Self>(x, s, w, conv, transposed);
        }
        convolved([x, w], Some(s), [], (conv, transposed), None)
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
        if !all_f32(&[&x, &s, &w, &b, &other]) {
            let operands = [x, s, w, b];
            return composed::modulated_conv2d_add::<Self>(operands, other, conv, resample);
        }
        let (conv, other) = ((conv, false), composed::resampled::<Self>(other, resample));
        let shape = shape_of(&x, &w, conv);
        check_bias(&b, shape);
        check_added(&other, shape);
        let plane = shape[2] * shape[3];
        let finish = |[b, other]: [&[f32]; 2], i: usize, pixels, y: &mut [f32]| {
            cpu::pointwise::bias_act_pixels(b[i % b.len()], Activation::LINEAR, y);
            cpu::pointwise::add_pixels(other, plane, i, pixels, y);
        };
        convolved([x, w], Some(s), [b, other], conv, Some(&finish))
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
        let NoiseOperands { scale, noise, strength, bias } = &operands;
        if !all_f32(&[&x, &s, &w, scale, noise, strength, bias]) {
            let convolved = [x, s, w];
            return composed::modulated_noise_act::<Self>(
                convolved, operands, conv, transposed, act,
            );
        }
        let NoiseOperands { scale, noise, strength, bias } = operands;
        let conv = (conv, transposed);
        let shape @ [n, c, h, width] = shape_of(&x, &w, conv);
        assert_eq!(dims(&scale), [n, c], "a factor for every plane");
        check_bias(&bias, shape);
        let images = dims::<4>(&noise)[0];
        assert!(images == 1 || images == n, "noise for {n} images");
        assert_eq!(dims(&noise), [images, 1, h, width], "noise for every pixel");
        let finish = |others: [&[f32]; 4], i: usize, pixels, y: &mut [f32]| {
            cpu::pointwise::noise_act_pixels(&noise_act(others, act), h * width, i, pixels, y);
        };
        convolved([x, w], Some(s), [scale, noise, strength, bias], conv, Some(&finish))
    }

    fn k_modulated_weight_gradient(
        x: Floats,
        s: Floats,
        g: Floats,
        conv: Conv,
        transposed: bool,
    ) -> Floats {
        if !all_f32(&[&x, &s, &g]) {
            return composed::modulated_weight_gradient::<Self>(x, s, g, conv, transposed);
        }
        let s = composed::gained::<Self>(s, conv);
        let [n, of_x, _, _] = dims(&x);
        let of_g = dims::<4>(&g)[1];
        let sides = if transposed != conv.swapped { [of_x, of_g] } else { [of_g, of_x] };
        let p = conv_of(n, sides, conv);
        let gradient =
            produce([x, s, g], [sides[0], sides[1], conv.kernel, conv.kernel], |[x, s, g], w| {
                let (x, g) = (Source { planes: x, scale: Some(s) }, Source::from(g));
                let [x, g] = if transposed { [g, x] } else { [x, g] };
                cpu::conv::conv2d_weight_gradient(&p, x, g, w);
            });
        composed::parts::weight_gradient::<Self>(gradient, conv)
    }

    fn k_upfirdn2d(x: Floats, fir: Fir) -> Floats {
        if !all_f32(&[&x]) {
            return composed::upfirdn2d::<Self>(x, fir);
        }
        let [n, c, h, w] = dims(&x);
        let [oh, ow] = fir.output([h, w]);
        made([x], [n, c, oh, ow], |[x]| cpu::upfirdn::upfirdn2d(&fir, [h, w], x))
    }

    fn k_warp(x: Floats, warp: Warp) -> Floats {
        if !all_f32(&[&x]) {
            return composed::warp::<Self>(x, warp);
        }
        let [n, c, _, _] = dims(&x);
        let [h, w] = warp.output;
        produce([x], [n, c, h, w], |[x], y| cpu::warp::forward(x, &warp, y))
    }

    fn k_warp_adjoint(g: Floats, warp: Warp) -> Floats {
        if !all_f32(&[&g]) {
            return composed::warp_adjoint::<Self>(g, warp);
        }
        let [n, c, _, _] = dims(&g);
        let [h, w] = warp.input;
        produce([g], [n, c, h, w], |[g], x| cpu::warp::adjoint(g, &warp, x))
    }

    fn k_bias_act(x: Floats, b: Floats, act: Activation) -> Floats {
        if !all_f32(&[&x, &b]) {
            return composed::bias_act::<Self>(x, b, act);
        }
        let [_, _, h, w] = dims(&x);
        // SAFETY: the pass visits everything.
        unsafe { change(x, [b], |x, [b]| cpu::pointwise::bias_act(x, b, h * w, act)).0 }
    }

    fn k_bias_act_gradients(
        g: Floats,
        y: Floats,
        act: Activation,
        bias_gain: f32,
    ) -> BiasActGradients<Self> {
        if act.is_identity() || !all_f32(&[&g, &y]) {
            return composed::bias_act_gradients::<Self>(g, y, act, bias_gain);
        }
        let [_, c, h, w] = dims(&g);
        let mut bias = vec![0.0; c];
        let pass = |g: Target, [y]: [&[f32]; 1]| {
            cpu::pointwise::bias_act_gradients(g, y, h * w, act, &mut bias);
        };
        // SAFETY: the pass visits everything.
        let (x, ()) = unsafe { change(g, [y], pass) };
        let bias = Floats::from_data(TensorData::new(bias, [c]));
        BiasActGradients { bias: composed::scaled::<Self>(bias, bias_gain), x }
    }

    fn k_act_slope(g: Floats, y: Floats, act: Activation) -> Floats {
        if !all_f32(&[&g, &y]) {
            return composed::act_slope::<Self>(g, y, act);
        }
        // SAFETY: the pass visits everything.
        unsafe { change(g, [y], |g, [y]| cpu::pointwise::act_gradient(g, y, act)).0 }
    }

    fn k_noise_act(
        x: Floats,
        scale: Floats,
        noise: Floats,
        strength: Floats,
        b: Floats,
        act: Activation,
    ) -> Floats {
        if !all_f32(&[&x, &scale, &noise, &strength, &b]) {
            return composed::noise_act::<Self>(x, scale, noise, strength, b, act);
        }
        let [_, _, h, w] = dims(&x);
        let pass = |x: Target, parameters: [&[f32]; 4]| {
            cpu::pointwise::noise_act(x, noise_act(parameters, act), h * w);
        };
        // SAFETY: the pass visits everything.
        unsafe { change(x, [scale, noise, strength, b], pass).0 }
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
        if !all_f32(&[&y, &g, &scale, &noise, &strength, &b]) {
            let parameters = [scale, noise, strength, b];
            return composed::noise_act_gradients::<Self>(y, g, parameters, act);
        }
        let [n, c, h, w] = dims(&y);
        let inputs = [y, scale, noise, strength, b];
        let pass = |g: Target, [y, parameters @ ..]: [&[f32]; 5]| {
            cpu::pointwise::noise_act_gradients(g, y, noise_act(parameters, act), h * w)
        };
        // SAFETY: the pass visits everything.
        let (x, found) = unsafe { change(g, inputs, pass) };
        NoiseActGradients {
            x,
            scale: Floats::from_data(TensorData::new(found.scale, [n, c])),
            strength: Floats::from_data(TensorData::new(vec![found.strength], [1])),
            bias: Floats::from_data(TensorData::new(found.bias, [c])),
        }
    }

    fn k_channel_sums(x: Floats) -> Floats {
        if !all_f32(&[&x]) {
            return composed::channel_sums::<Self>(x);
        }
        let [_, c, h, w] = dims(&x);
        produce([x], [c], |[x], sums| cpu::pointwise::channel_sums(x, h * w, sums))
    }

    fn k_scale_planes(x: Floats, s: Floats) -> Floats {
        if !all_f32(&[&x, &s]) {
            return composed::scale_planes::<Self>(x, s);
        }
        let [_, _, h, w] = dims(&x);
        // SAFETY: the pass visits everything.
        unsafe { change(x, [s], |x, [s]| cpu::pointwise::scale_planes(x, s, h * w)).0 }
    }

    fn k_scale_planes_gradients(x: Floats, s: Floats, g: Floats) -> ScalePlanesGradients<Self> {
        if !all_f32(&[&x, &s, &g]) {
            return composed::scale_planes_gradients::<Self>(x, s, g);
        }
        let [n, c, h, w] = dims(&x);
        let mut dots = vec![0.0; n * c];
        let pass = |g: Target, [x, s]: [&[f32]; 2]| {
            cpu::pointwise::scale_planes_gradients(g, x, s, h * w, &mut dots);
        };
        // SAFETY: the pass visits everything.
        let (x, ()) = unsafe { change(g, [x, s], pass) };
        ScalePlanesGradients { x, s: Floats::from_data(TensorData::new(dots, [n, c])) }
    }

    fn k_plane_dots(a: Floats, b: Floats) -> Floats {
        if !all_f32(&[&a, &b]) {
            return composed::plane_dots::<Self>(a, b);
        }
        let [n, c, h, w] = dims(&a);
        produce([a, b], [n, c], |[a, b], dots| cpu::pointwise::plane_dots(a, b, h * w, dots))
    }

    fn k_group_norm_trace(
        x: Floats,
        weight: Floats,
        bias: Floats,
        groups: Groups,
    ) -> GroupNormTrace<Self> {
        if !all_f32(&[&x, &weight, &bias]) {
            return composed::group_norm::trace::<Self>(x, weight, bias, groups);
        }
        let shape: [usize; 4] = dims(&x);
        let [x, weight, bias] = [x, weight, bias].map(contiguous);
        let mut y = vec![0.0; shape.iter().product()];
        let mut moments = vec![0.0; shape[0] * groups.count * 2];
        let affine = [slice(&weight), slice(&bias)];
        cpu::group_norm::forward(&grouped(shape, groups), slice(&x), affine, &mut y, &mut moments);
        GroupNormTrace {
            y: Floats::from_data(TensorData::new(y, shape)),
            moments: Floats::from_data(TensorData::new(moments, [shape[0], groups.count, 2])),
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
        if !all_f32(&[&x, &weight, &y, &moments, &g]) {
            let trace = GroupNormTrace { y, moments };
            return composed::group_norm::gradients::<Self>(x, weight, trace, g, groups);
        }
        let shape: [usize; 4] = dims(&x);
        let [x, weight, y, moments, g] = [x, weight, y, moments, g].map(contiguous);
        let mut d_x = vec![0.0; shape.iter().product()];
        let [mut d_weight, mut d_bias] = [(); 2].map(|()| vec![0.0; shape[1]]);
        cpu::group_norm::backward(
            &grouped(shape, groups),
            [&x, &weight, &y, &moments, &g].map(slice),
            &mut d_x,
            [&mut d_weight, &mut d_bias],
        );
        GroupNormGradients {
            x: Floats::from_data(TensorData::new(d_x, shape)),
            weight: Floats::from_data(TensorData::new(d_weight, [shape[1]])),
            bias: Floats::from_data(TensorData::new(d_bias, [shape[1]])),
        }
    }

    fn k_lstm_trace(gates: Floats, w: Floats, sequences: Sequences) -> LstmTrace<Self> {
        if !all_f32(&[&gates, &w]) {
            return composed::lstm::trace::<Self>(gates, w, &sequences);
        }
        let [t, n, d] = dims(&gates);
        let (gates, w) = (contiguous(gates), contiguous(w));
        let mut values = [vec![0.0; t * n * d / 4], vec![0.0; t * n * d / 4], slice(&gates).into()];
        let [states, cells, gates] = &mut values;
        cpu::lstm::forward(
            &of_steps(&sequences, t, d / 4),
            slice(&w),
            cpu::lstm::Trace { states, cells, gates },
        );
        let [states, cells, gates] = values;
        let tensor = |values, d| Floats::from_data(TensorData::new(values, [t, n, d]));
        LstmTrace {
            states: tensor(states, d / 4),
            cells: tensor(cells, d / 4),
            gates: tensor(gates, d),
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
        if !all_f32(&[&states, &cells, &gates, &w, &g]) {
            let trace = LstmTrace { states, cells, gates };
            return composed::lstm::gradients::<Self>(trace, w, g, &sequences);
        }
        let [t, n, h] = dims(&g);
        let [states, cells, gates, w, g] = [states, cells, gates, w, g].map(contiguous);
        let (mut d_gates, mut d_w) = (vec![0.0; t * n * 4 * h], vec![0.0; 4 * h * h]);
        cpu::lstm::backward(
            &of_steps(&sequences, t, h),
            slice(&w),
            [&states, &cells, &gates].map(slice),
            slice(&g),
            &mut d_gates,
            &mut d_w,
        );
        LstmGradients {
            gates: Floats::from_data(TensorData::new(d_gates, [t, n, 4 * h])),
            w: Floats::from_data(TensorData::new(d_w, [4 * h, h])),
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
        if !parameters.iter().flatten().all(|t| t.dtype() == DType::F32) {
            return composed::adam::<Self>(parameters, step);
        }
        composed::adam_each(parameters, |[value, m, v, g]| {
            let g = contiguous(g);
            // Written in place if nothing else refers to the tensor, else into a copy.
            let [mut value, mut m, mut v] = [value, m, v].map(whole);
            let odd = cpu::adam::adam(
                &step,
                slice(&g),
                m.storage_mut::<f32>(),
                v.storage_mut::<f32>(),
                value.storage_mut::<f32>(),
            );
            let non_finite = Floats::from_data(TensorData::new(vec![odd as f32], [1]));
            composed::Stepped { tensors: [value, m, v], non_finite }
        })
    }

    fn k_blend(a: Tensors<Self>, b: Tensors<Self>, share: f32) -> Tensors<Self> {
        let pairs = a.0.into_iter().zip(b.0).map(|(a, b)| {
            if !all_f32(&[&a, &b]) {
                return composed::blend_one::<Self>(a, b, share);
            }
            // SAFETY: the pass visits everything.
            unsafe { change(a, [b], |a, [b]| cpu::pointwise::blend(a, b, share)).0 }
        });
        Tensors(pairs.collect())
    }
}

fn of_steps(sequences: &Sequences, steps: usize, hidden: usize) -> cpu::lstm::Sequences<'_> {
    cpu::lstm::Sequences {
        lengths: &sequences.lengths,
        steps,
        hidden,
        backward: sequences.backward,
    }
}

fn grouped([_, channels, h, w]: [usize; 4], groups: Groups) -> cpu::group_norm::Groups {
    cpu::group_norm::Groups {
        channels,
        plane: h * w,
        count: groups.count,
        epsilon: groups.eps,
        act: groups.act,
    }
}

fn noise_act<'a>(parameters: [&'a [f32]; 4], act: Activation) -> NoiseAct<'a> {
    let [scale, noise, strength, bias] = parameters;
    NoiseAct { scale, noise, strength: strength[0], bias, act }
}
