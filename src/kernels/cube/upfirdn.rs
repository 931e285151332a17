//! FIR resampling in one pass over the output, or in two where the filter is long.

use cubecl::prelude::*;

use super::launch::{Floats, contiguous, dims, element, empty, grid, line};
use crate::kernels::spec::Fir;

/// Up to this number of taps, all of a square are read at once: each output then needs at most 36
/// reads, most of them from the cache, and nothing is stored in between.
const SQUARE: usize = 6;
/// Units of a cube.
const UNITS: usize = 128;

/// One axis of a pass: zeros inserted, padded by `before`, filtered, decimated.
#[derive(CubeType, CubeLaunch)]
struct Axis {
    taps: Sequence<f32>,
    input: usize,
    before: i32,
    #[cube(comptime)]
    up: usize,
    #[cube(comptime)]
    down: usize,
}

#[cube(launch_unchecked)]
fn upfirdn_kernel<E: Float>(
    x: &[E],
    y: &mut [E],
    rows: &Axis,
    columns: &Axis,
    planes: usize,
    width: usize,
    pixels: usize,
    #[define(E)] _element: ElemType,
) {
    let pixel = CUBE_POS_X as usize * comptime!(UNITS) + UNIT_POS as usize;
    let plane = line();
    if pixel < pixels && plane < planes {
        let top = i32::cast_from(pixel / width) * comptime!(rows.down as i32) - rows.before;
        let left = i32::cast_from(pixel % width) * comptime!(columns.down as i32) - columns.before;
        let offset = plane * rows.input * columns.input;
        let mut sum = 0.0f32.runtime();
        #[unroll]
        for i in 0..rows.taps.len() {
            let row = top + comptime!(i as i32);
            let up = comptime!(rows.up as i32);
            if row >= 0 && row % up == 0 && row / up < i32::cast_from(rows.input) {
                let start = offset + usize::cast_from(row / up) * columns.input;
                let mut along = 0.0f32.runtime();
                #[unroll]
                for j in 0..columns.taps.len() {
                    let column = left + comptime!(j as i32);
                    let up = comptime!(columns.up as i32);
                    if column >= 0
                        && column % up == 0
                        && column / up < i32::cast_from(columns.input)
                    {
                        let value = f32::cast_from(x[start + usize::cast_from(column / up)]);
                        along += columns.taps[j] * value;
                    }
                }
                sum += rows.taps[i] * along;
            }
        }
        y[plane * pixels + pixel] = E::cast_from(sum);
    }
}

/// The filter of one axis, or nothing where the axis stays as it is.
#[derive(Clone)]
struct Pass {
    taps: Vec<f32>,
    up: usize,
    down: usize,
    before: i32,
    input: usize,
    output: usize,
}

impl Pass {
    fn of(fir: &Fir, axis: usize, input: usize, output: usize, gain: f32) -> Self {
        let mut taps: Vec<f32> = fir.taps.iter().map(|tap| tap * gain).collect();
        if !fir.flip {
            taps.reverse();
        }
        Self { taps, up: fir.up, down: fir.down, before: fir.pad[axis][0], input, output }
    }

    fn unchanged(side: usize) -> Self {
        Self { taps: vec![1.0], up: 1, down: 1, before: 0, input: side, output: side }
    }

    fn arg(&self) -> AxisLaunch {
        let taps = self.taps.iter().copied().collect();
        AxisLaunch::new(taps, self.input, self.before, self.up, self.down)
    }
}

/// See [`Kernels::k_upfirdn2d`](crate::kernels::Kernels::k_upfirdn2d).
pub fn upfirdn2d(x: Floats, fir: &Fir) -> Floats {
    let x = contiguous(x);
    let [_, _, h, w] = dims(&x);
    let [oh, ow] = fir.output([h, w]);
    let rows = Pass::of(fir, 0, h, oh, 1.0);
    let columns = Pass::of(fir, 1, w, ow, fir.gain);
    if fir.taps.len() <= SQUARE {
        return pass(x, &rows, &columns);
    }
    let x = pass(x, &Pass::unchanged(h), &columns);
    pass(x, &rows, &Pass::unchanged(ow))
}

fn pass(x: Floats, rows: &Pass, columns: &Pass) -> Floats {
    let [n, c, _, _] = dims(&x);
    let y = empty(&x, [n, c, rows.output, columns.output]);
    let pixels = rows.output * columns.output;
    if pixels == 0 {
        return y;
    }
    let (client, element) = (x.client.clone(), element(&x));
    // SAFETY: every read is checked against the input's height and width, every write against the
    // number of planes and pixels.
    unsafe {
        upfirdn_kernel::launch_unchecked(
            &client,
            grid(pixels.div_ceil(UNITS), n * c),
            CubeDim::new_1d(UNITS as u32),
            x.into_buffer_arg(),
            y.clone().into_buffer_arg(),
            rows.arg(),
            columns.arg(),
            n * c,
            columns.output,
            pixels,
            element,
        );
    }
    y
}
