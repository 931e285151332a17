//! A separable FIR filter between zero insertion and decimation, at one pixel.

use cubecl::prelude::*;

use crate::kernels::spec::Fir;

/// One axis of a pass: zeros inserted, padded by `before`, filtered, decimated.
#[derive(CubeType, CubeLaunch)]
pub struct Axis {
    taps: Sequence<f32>,
    input: usize,
    before: i32,
    #[cube(comptime)]
    up: usize,
    #[cube(comptime)]
    down: usize,
}

/// Both axes.
#[derive(CubeType, CubeLaunch)]
pub struct Filter {
    rows: Axis,
    columns: Axis,
}

/// A pixel of a filtered plane of x.
#[cube]
pub fn filtered<E: Float>(
    x: &[E],
    plane: usize,
    row: usize,
    column: usize,
    filter: &Filter,
) -> f32 {
    along_axes(x, plane, row, column, &filter.rows, &filter.columns)
}

#[cube]
fn along_axes<E: Float>(
    x: &[E],
    plane: usize,
    row: usize,
    column: usize,
    rows: &Axis,
    columns: &Axis,
) -> f32 {
    let top = i32::cast_from(row) * comptime!(rows.down as i32) - rows.before;
    let left = i32::cast_from(column) * comptime!(columns.down as i32) - columns.before;
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
                if column >= 0 && column % up == 0 && column / up < i32::cast_from(columns.input) {
                    let value = f32::cast_from(x[start + usize::cast_from(column / up)]);
                    along += columns.taps[j] * value;
                }
            }
            sum += rows.taps[i] * along;
        }
    }
    sum
}

/// The filter of one axis, or nothing where the axis stays as it is.
#[derive(Clone)]
pub struct Pass {
    taps: Vec<f32>,
    up: usize,
    down: usize,
    before: i32,
    input: usize,
    /// Pixels of the result.
    pub output: usize,
}

impl Pass {
    /// The passes along rows and columns of a filter of planes with these sides.
    pub fn both(fir: &Fir, [h, w]: [usize; 2]) -> [Self; 2] {
        let [oh, ow] = fir.output([h, w]);
        [Self::of(fir, 0, h, oh, 1.0), Self::of(fir, 1, w, ow, fir.gain)]
    }

    fn of(fir: &Fir, axis: usize, input: usize, output: usize, gain: f32) -> Self {
        let mut taps: Vec<f32> = fir.taps.iter().map(|tap| tap * gain).collect();
        if !fir.flip {
            taps.reverse();
        }
        Self { taps, up: fir.up, down: fir.down, before: fir.pad[axis][0], input, output }
    }

    /// No filter.
    pub fn unchanged(side: usize) -> Self {
        Self { taps: vec![1.0], up: 1, down: 1, before: 0, input: side, output: side }
    }

    /// Two passes as a launch argument.
    pub fn args([rows, columns]: [&Self; 2]) -> FilterLaunch {
        FilterLaunch::new(rows.arg(), columns.arg())
    }

    fn arg(&self) -> AxisLaunch {
        let taps = self.taps.iter().copied().collect();
        AxisLaunch::new(taps, self.input, self.before, self.up, self.down)
    }
}
