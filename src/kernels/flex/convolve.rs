//! Convolutions and linear layers of tensors.

use std::ops::Range;

use burn::backend::{Flex, ops::FloatTensorOps};
use burn::tensor::{Shape, TensorData};

use super::tensors::{Floats, contiguous, dims, slice};
use crate::kernels::cpu::output::Epilogue;
use crate::kernels::cpu::shape::{Conv2d, Source};
use crate::kernels::spec::Conv;
use crate::kernels::{composed, cpu};

/// The convolution of `batch` images with a weight whose first two sides are given.
pub fn conv_of(batch: usize, [first, second]: [usize; 2], conv: Conv) -> Conv2d {
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

/// The epilogue of a convolution that reads N further tensors: see [`Epilogue`].
pub type Finish<'a, const N: usize> =
    dyn Fn([&[f32]; N], usize, Range<usize>, &mut [f32]) + Sync + 'a;

/// The shape of a convolution of x with weight w, or of its adjoint.
pub fn shape_of(x: &Floats, w: &Floats, (conv, transposed): (Conv, bool)) -> [usize; 4] {
    let [first, second, _, _] = dims(w);
    let p = conv_of(dims::<4>(x)[0], [first, second], conv);
    match transposed {
        true => [p.batch, p.in_channels, p.in_h, p.in_w],
        false => [p.batch, p.out_channels, p.out_h(), p.out_w()],
    }
}

/// A convolution of x, or its adjoint, with weight w and factors of the planes of x, then an epilogue.
pub fn convolved<const N: usize>(
    [x, w]: [Floats; 2],
    s: Option<Floats>,
    others: [Floats; N],
    (conv, transposed): (Conv, bool),
    finish: Option<&Finish<N>>,
) -> Floats {
    let shape = shape_of(&x, &w, (conv, transposed));
    let ([n, c, _, _], [first, second, _, _]) = (dims(&x), dims(&w));
    let p = conv_of(n, [first, second], conv);
    let s = s.map(|s| contiguous(composed::gained::<Flex>(s, conv)));
    let gains = if s.is_some() { None } else { gains(conv, n * c) };
    let ([x, w], others) = ([x, w].map(contiguous), others.map(contiguous));
    let scale = s.as_ref().map(slice).or(gains.as_deref());
    let (source, others) = (Source { planes: slice(&x), scale }, others.each_ref().map(slice));
    let finish = finish.map(|finish| {
        move |i: usize, pixels: Range<usize>, y: &mut [f32]| finish(others, i, pixels, y)
    });
    let epilogue = finish.as_ref().map(|finish| finish as &Epilogue);
    let values = match transposed {
        true => cpu::conv::conv2d_data_gradient_then(&p, source, slice(&w), epilogue),
        false => cpu::conv::conv2d_then(&p, source, slice(&w), epilogue),
    };
    Floats::from_data(TensorData::new(values, shape))
}

/// A convolution, or its adjoint, plus another tensor.
pub fn convolved_plus([x, w]: [Floats; 2], other: Floats, conv: (Conv, bool)) -> Floats {
    let shape = shape_of(&x, &w, conv);
    check_added(&other, shape);
    let plane = shape[2] * shape[3];
    let finish = move |[other]: [&[f32]; 1], i: usize, pixels: Range<usize>, y: &mut [f32]| {
        cpu::pointwise::add_pixels(other, plane, i, pixels, y);
    };
    convolved([x, w], None, [other], conv, Some(&finish))
}

/// # Panics
/// If a tensor that is added to a result of this shape has another one.
pub fn check_added(other: &Floats, shape: [usize; 4]) {
    assert_eq!(dims(other), shape, "the shape of the tensor that is added");
}

/// # Panics
/// If b does not have one number for each channel of a result of this shape.
pub fn check_bias(b: &Floats, shape: [usize; 4]) {
    assert_eq!(dims(b), [shape[1]], "a bias for every channel");
}

/// The factor of a convolution's weight, as a factor of every plane of another operand, where it costs
/// next to nothing; none if it is 1.
pub fn gains(conv: Conv, planes: usize) -> Option<Vec<f32>> {
    (conv.gain != 1.0).then(|| vec![conv.gain; planes])
}

/// Linear layers with fewer weights are not worth dividing among threads.
const LEAST_WEIGHTS: usize = 1 << 16;

/// Linear layers of fewer rows are faster as one product: a convolution arranges its weight first.
const LEAST_ROWS: usize = 8;

/// Whether a linear layer of this size is computed as a convolution.
pub fn is_large(rows: usize, weights: usize) -> bool {
    rows >= LEAST_ROWS && weights >= LEAST_WEIGHTS
}

/// Rows as images of one pixel, on which a linear layer is a 1×1 convolution.
pub fn pixels(x: Floats) -> Floats {
    let [rows, columns] = dims(&x);
    Flex::float_reshape(x, Shape::from([rows, columns, 1, 1]))
}

/// The rows of images of one pixel.
pub fn rows(x: Floats) -> Floats {
    let [rows, columns, _, _] = dims(&x);
    Flex::float_reshape(x, Shape::from([rows, columns]))
}

/// The convolution that a linear layer is.
pub fn linear(gain: f32) -> Conv {
    Conv::new([1, 1], 1, 1, 0).gained(gain)
}
