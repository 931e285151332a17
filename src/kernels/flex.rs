//! The kernels of the CPU backend: its tensors as slices, and calls of [`cpu`].

use burn::backend::{Flex, TensorMetadata, tensor::FloatTensor};
use burn::tensor::{DType, TensorData};

use super::backend::Kernels;
use super::cpu::pointwise::NoiseAct;
use super::cpu::shape::{Conv2d, Source};
use super::outputs::{
    AdamOutput, GroupNormGradients, GroupNormTrace, LstmGradients, LstmTrace, NoiseActGradients,
    ScalePlanesGradients, Tensors,
};
use super::spec::{Activation, AdamStep, Conv, Fir, Groups, Sequences, Warp};
use super::{composed, cpu};

type Floats = FloatTensor<Flex>;

/// Calls `fill` with the inputs as contiguous f32 slices; returns a new tensor of `shape`.
fn produce<const N: usize>(
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
fn made<const N: usize>(
    inputs: [Floats; N],
    shape: impl Into<Vec<usize>>,
    make: impl FnOnce([&[f32]; N]) -> Vec<f32>,
) -> Floats {
    let inputs = inputs.map(contiguous);
    Floats::from_data(TensorData::new(make(inputs.each_ref().map(slice)), shape.into()))
}

/// Changes `x` element by element; returns the tensor that `fill` has written, and its result.
///
/// If nothing else refers to `x`, the result takes its memory over: fresh pages cost more than most
/// changes. Then `fill` gets `None` and the values in the last slice; else it gets them as `Some`.
fn change<const N: usize, T>(
    x: Floats,
    others: [Floats; N],
    fill: impl FnOnce(Option<&[f32]>, [&[f32]; N], &mut [f32]) -> T,
) -> (Floats, T) {
    let others = others.map(contiguous);
    let slices = others.each_ref().map(slice);
    let mut x = contiguous(x);
    if x.is_unique() && is_whole(&x) {
        let found = fill(None, slices, x.storage_mut::<f32>());
        return (x, found);
    }
    let shape = x.shape();
    let mut values = vec![0f32; shape.num_elements()];
    let found = fill(Some(slice(&x)), slices, &mut values);
    (Floats::from_data(TensorData::new(values, shape)), found)
}

fn contiguous(tensor: Floats) -> Floats {
    if tensor.is_contiguous() { tensor } else { tensor.to_contiguous() }
}

/// Makes a tensor contiguous and the only one in its storage.
fn whole(tensor: Floats) -> Floats {
    if is_whole(&tensor) { tensor } else { tensor.to_contiguous() }
}

fn is_whole(tensor: &Floats) -> bool {
    let bytes = tensor.shape().num_elements() * size_of::<f32>();
    tensor.is_contiguous() && tensor.bytes().len() == bytes
}

fn slice(tensor: &Floats) -> &[f32] {
    tensor.as_slice::<f32>().expect("made contiguous f32 above")
}

fn all_f32(tensors: &[&Floats]) -> bool {
    tensors.iter().all(|t| t.dtype() == DType::F32)
}

fn dims<const D: usize>(tensor: &Floats) -> [usize; D] {
    tensor.shape().dims::<D>()
}

/// The convolution of `batch` images with a weight whose first two sides are given.
fn conv_of(batch: usize, [first, second]: [usize; 2], conv: Conv) -> Conv2d {
    let [outs, ins] = if conv.swapped { [second, first] } else { [first, second] };
    Conv2d {
        batch,
        in_channels: ins,
        out_channels: outs,
        in_h: conv.input[0],
        in_w: conv.input[1],
        kernel: conv.kernel,
        stride: conv.stride,
        padding: conv.padding,
        smooth: conv.smooth,
        swapped: conv.swapped,
    }
}

impl Kernels for Flex {
    fn k_conv2d(x: Floats, w: Floats, conv: Conv) -> Floats {
        if !all_f32(&[&x, &w]) {
            return composed::conv2d::<Self>(x, w, conv);
        }
        let w = composed::gained::<Self>(w, conv);
        let [first, second, _, _] = dims(&w);
        let p = conv_of(dims::<4>(&x)[0], [first, second], conv);
        made([x, w], [p.batch, p.out_channels, p.out_h(), p.out_w()], |[x, w]| {
            cpu::conv::conv2d(&p, x.into(), w)
        })
    }

    fn k_conv2d_transposed(g: Floats, w: Floats, conv: Conv) -> Floats {
        if !all_f32(&[&g, &w]) {
            return composed::conv2d_transposed::<Self>(g, w, conv);
        }
        let w = composed::gained::<Self>(w, conv);
        let [first, second, _, _] = dims(&w);
        let p = conv_of(dims::<4>(&g)[0], [first, second], conv);
        made([g, w], [p.batch, p.in_channels, p.in_h, p.in_w], |[g, w]| {
            cpu::conv::conv2d_data_gradient(&p, g.into(), w)
        })
    }

    fn k_conv2d_weight_gradient(x: Floats, g: Floats, conv: Conv) -> Floats {
        if !all_f32(&[&x, &g]) {
            return composed::conv2d_weight_gradient::<Self>(x, g, conv);
        }
        let [n, i, _, _] = dims(&x);
        let o = dims::<4>(&g)[1];
        let sides = if conv.swapped { [i, o] } else { [o, i] };
        let p = conv_of(n, sides, conv);
        let gradient =
            produce([x, g], [sides[0], sides[1], conv.kernel, conv.kernel], |[x, g], w| {
                cpu::conv::conv2d_weight_gradient(&p, x.into(), g.into(), w);
            });
        composed::parts::weight_gradient::<Self>(composed::gained::<Self>(gradient, conv), conv)
    }

    fn k_modulated_conv2d(x: Floats, s: Floats, w: Floats, conv: Conv, transposed: bool) -> Floats {
        if !all_f32(&[&x, &s, &w]) {
            return composed::modulated_conv2d::<Self>(x, s, w, conv, transposed);
        }
        let w = composed::gained::<Self>(w, conv);
        let [first, second, _, _] = dims(&w);
        let p = conv_of(dims::<4>(&x)[0], [first, second], conv);
        let shape = match transposed {
            true => [p.batch, p.in_channels, p.in_h, p.in_w],
            false => [p.batch, p.out_channels, p.out_h(), p.out_w()],
        };
        made([x, s, w], shape, |[x, s, w]| {
            let x = Source { planes: x, scale: Some(s) };
            match transposed {
                true => cpu::conv::conv2d_data_gradient(&p, x, w),
                false => cpu::conv::conv2d(&p, x, w),
            }
        })
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
        composed::parts::weight_gradient::<Self>(composed::gained::<Self>(gradient, conv), conv)
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
        change(x, [b], |x, [b], y| cpu::pointwise::bias_act(x, b, h * w, act, y)).0
    }

    fn k_act_slope(g: Floats, y: Floats, act: Activation) -> Floats {
        if !all_f32(&[&g, &y]) {
            return composed::act_slope::<Self>(g, y, act);
        }
        change(g, [y], |g, [y], out| cpu::pointwise::act_gradient(g, y, act, out)).0
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
        change(x, [scale, noise, strength, b], |x, parameters, y| {
            cpu::pointwise::noise_act(x, noise_act(parameters, act), h * w, y);
        })
        .0
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
        let (x, found) = change(g, inputs, |g, [y, parameters @ ..], out| {
            cpu::pointwise::noise_act_gradients(g, y, noise_act(parameters, act), h * w, out)
        });
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
        change(x, [s], |x, [s], y| cpu::pointwise::scale_planes(x, s, h * w, y)).0
    }

    fn k_scale_planes_gradients(x: Floats, s: Floats, g: Floats) -> ScalePlanesGradients<Self> {
        if !all_f32(&[&x, &s, &g]) {
            return composed::scale_planes_gradients::<Self>(x, s, g);
        }
        let [n, c, h, w] = dims(&x);
        let mut dots = vec![0.0; n * c];
        let (x, ()) = change(g, [x, s], |g, [x, s], out| {
            cpu::pointwise::scale_planes_gradients(g, x, s, h * w, out, &mut dots);
        });
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
