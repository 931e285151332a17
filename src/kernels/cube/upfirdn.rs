//! FIR resampling in one pass over the output, or in two where the filter is long.

use cubecl::prelude::*;

use super::epilogue::{Epilogue, Finish, NoiseBuffers, factor, finished, noise};
use super::filter::{Filter, Pass, filtered};
use super::launch::{Floats, contiguous, dims, element, empty, grid, line};
use crate::kernels::spec::Fir;

/// Up to this number of taps, all of a square are read at once: each output then needs at most 36
/// reads, most of them from the cache, and nothing is stored in between.
const SQUARE: usize = 6;
/// Units of a cube.
const UNITS: usize = 128;

#[cube(launch_unchecked)]
fn upfirdn_kernel<E: Float>(
    x: &[E],
    bias: &[f32],
    noises: &mut Sequence<NoiseBuffers>,
    y: &mut [E],
    filter: &Filter,
    planes: usize,
    channels: usize,
    width: usize,
    pixels: usize,
    finish: &Finish,
    #[define(E)] _element: ElemType,
) {
    let pixel = CUBE_POS_X as usize * comptime!(UNITS) + UNIT_POS as usize;
    let plane = line();
    if pixel < pixels && plane < planes {
        let sum = filtered(x, plane, pixel / width, pixel % width, filter);
        let bias = if comptime!(finish.biased) { bias[plane % channels] } else { 0.0f32.runtime() };
        let value = finished::<Const<1>>(
            Vector::new(sum),
            Vector::new(factor(noises, plane)),
            Vector::new(noise(noises, plane / channels, pixel, pixels, finish.shared)),
            bias,
            finish,
        );
        y[plane * pixels + pixel] = E::cast_from(value.extract(0usize));
    }
}

/// See [`Kernels::k_upfirdn2d`](crate::kernels::Kernels::k_upfirdn2d).
pub fn upfirdn2d(x: Floats, fir: &Fir) -> Floats {
    upfirdn2d_then(x, fir, &Epilogue::gain(1.0))
}

/// The same with an epilogue, which adds no other tensor.
pub fn upfirdn2d_then(x: Floats, fir: &Fir, epilogue: &Epilogue) -> Floats {
    let x = contiguous(x);
    let [_, _, h, w] = dims(&x);
    let [rows, columns] = Pass::both(fir, [h, w]);
    if fir.taps.len() <= SQUARE {
        return pass(x, &rows, &columns, epilogue);
    }
    let unchanged = Pass::unchanged(columns.output);
    let x = pass(x, &Pass::unchanged(h), &columns, &Epilogue::gain(1.0));
    pass(x, &rows, &unchanged, epilogue)
}

fn pass(x: Floats, rows: &Pass, columns: &Pass, epilogue: &Epilogue) -> Floats {
    let [n, c, _, _] = dims(&x);
    let y = empty(&x, [n, c, rows.output, columns.output]);
    let pixels = rows.output * columns.output;
    if pixels == 0 {
        return y;
    }
    let (client, element) = (x.client.clone(), element(&x));
    let (finish, [bias, _]) = epilogue.args(&x);
    // SAFETY: every read is checked against the input's height and width, every write against the
    // number of planes and pixels.
    unsafe {
        upfirdn_kernel::launch_unchecked(
            &client,
            grid(pixels.div_ceil(UNITS), n * c),
            CubeDim::new_1d(UNITS as u32),
            x.into_buffer_arg(),
            bias.into_buffer_arg(),
            epilogue.noises().collect(),
            y.clone().into_buffer_arg(),
            Pass::args([rows, columns]),
            n * c,
            c,
            columns.output,
            pixels,
            finish,
            element,
        );
    }
    y
}
