//! The weight as a right matrix, and the way back for its gradient.

use rayon::prelude::*;

use super::lowered::Lowered;
use super::scratch::{Scratch, Shared};
use super::shape::Conv2d;
use super::table::table;
use super::vector::gemm::{PANEL, spaced};
use super::vector::planes::{Planes, lanes};
use super::vector::simd::LANES;
use super::vector::winograd::{MATRICES, Side, Tiles};

/// Blocks of 16 columns in a panel.
const HALVES: usize = PANEL / LANES;

/// A weight `[O, I, k, k]` (or `[I, O, k, k]`) seen as `[columns, depth]` filters.
#[derive(Clone, Copy)]
pub struct View<'a> {
    weight: &'a [f32],
    taps: usize,
    columns: usize,
    column_stride: usize,
    depth: usize,
    depth_stride: usize,
    /// Whether the filters are turned by 180°.
    turned: bool,
}

impl<'a> View<'a> {
    /// Columns are output channels.
    pub fn forward(c: &Conv2d, weight: &'a [f32]) -> Self {
        let taps = c.kernel * c.kernel;
        let [column_stride, depth_stride] = strides(c);
        View {
            weight,
            taps,
            columns: c.out_channels,
            column_stride,
            depth: c.in_channels,
            depth_stride,
            turned: false,
        }
    }

    /// Columns are input channels.
    pub fn transposed(c: &Conv2d, weight: &'a [f32]) -> Self {
        let f = Self::forward(c, weight);
        View {
            columns: f.depth,
            column_stride: f.depth_stride,
            depth: f.columns,
            depth_stride: f.column_stride,
            ..f
        }
    }

    /// Columns are input channels, and the filters are those of the data gradient's convolution.
    pub fn turned(c: &Conv2d, weight: &'a [f32]) -> Self {
        View { turned: true, ..Self::transposed(c, weight) }
    }

    /// Writes filters `[16 channels of depth][taps]`, each with 16 columns in its lanes; those beyond the
    /// weight are 0.
    fn filters(&self, column_block: usize, depth_block: usize, to: &mut [f32]) {
        let (channels, depth) = (lanes(self.columns, column_block), lanes(self.depth, depth_block));
        if depth < LANES || channels == 0 {
            to.fill(0.0);
        }
        // Filters that are adjacent in memory are transposed together.
        let (count, step) = if self.depth_stride == self.taps { (depth, depth) } else { (1, 1) };
        for d in (0..if channels == 0 { 0 } else { depth }).step_by(step) {
            let at = column_block * LANES * self.column_stride
                + (depth_block * LANES + d) * self.depth_stride;
            let planes = Planes {
                plane: self.weight[at..].as_ptr().cast_mut(),
                plane_stride: self.column_stride,
                channels,
                pixels: count * self.taps,
                width: count * self.taps,
                lanes: to[d * self.taps * LANES..].as_mut_ptr(),
                lane_stride: LANES,
                lane_row: 0,
                scale: std::ptr::null(),
                readable: self.weight.len() - at,
            };
            // SAFETY: the filters are within the weight and, of 16 lanes each, within `to`.
            unsafe { (table().load)(&planes) };
        }
        if self.turned {
            for filter in to.chunks_exact_mut(self.taps * LANES) {
                filter.as_chunks_mut::<LANES>().0.reverse();
            }
        }
    }

    /// Calls `f(block of columns, block of depth, filters)` for every 16×16 filters, in parallel.
    fn for_each(&self, f: impl Fn(usize, usize, &mut [f32]) + Sync) {
        let columns = self.columns.div_ceil(PANEL) * HALVES;
        let depths = self.depth.div_ceil(LANES);
        (0..columns * depths).into_par_iter().with_min_len(4).for_each(|task| {
            let mut filters = Scratch::new(LANES * self.taps * LANES);
            let (column, depth) = (task / depths, task % depths);
            self.filters(column, depth, &mut filters);
            f(column, depth, &mut filters);
        });
    }

    /// The right matrices of the lowered convolution: [panels][matrices][depth, PANEL].
    pub fn right(&self, lowered: &Lowered) -> Scratch {
        if lowered.winograd {
            return self.transformed(lowered.conv.stride);
        }
        // Rows are ordered by (block of 16 channels, tap, channel), as patches are.
        self.untransformed(1, |channel, tap| {
            (0, (channel / LANES * self.taps + tap) * LANES + channel % LANES)
        })
    }

    /// The right matrices of the data gradient: [panels][taps][depth, PANEL], or, given a stride,
    /// [panels][matrices][depth, PANEL] of Winograd's transform.
    pub fn right_by_tap(&self, winograd: Option<usize>) -> Scratch {
        if let Some(stride) = winograd {
            return self.transformed(stride);
        }
        self.untransformed(self.taps, |channel, tap| (tap, channel))
    }

    /// [panels][matrices][rows, PANEL]; `place(channel of depth, tap)` is the matrix and the row.
    fn untransformed(
        &self,
        matrices: usize,
        place: impl Fn(usize, usize) -> (usize, usize) + Sync,
    ) -> Scratch {
        let matrix = spaced(self.depth.next_multiple_of(LANES) * self.taps / matrices * PANEL);
        let panel = matrices * matrix;
        let mut right = Scratch::new(self.columns.div_ceil(PANEL) * panel);
        let to = Shared::new(&mut right);
        self.for_each(|column, depth, filters| {
            let at = (column / HALVES) * panel + (column % HALVES) * LANES;
            for (i, lane) in filters.as_chunks::<LANES>().0.iter().enumerate() {
                let (index, row) = place(depth * LANES + i / self.taps, i % self.taps);
                let to = to.at(at + index * matrix + row * PANEL);
                // SAFETY: only this task writes these columns of these rows.
                unsafe { to.cast::<[f32; LANES]>().write(*lane) };
            }
        });
        right
    }

    /// [panels][matrices][depth, PANEL].
    fn transformed(&self, stride: usize) -> Scratch {
        let matrix = spaced(self.depth.next_multiple_of(LANES) * PANEL);
        let panel = MATRICES * MATRICES * matrix;
        let mut right = Scratch::new(self.columns.div_ceil(PANEL) * panel);
        let to = Shared::new(&mut right);
        let f = if stride == 1 { table().unit_weight } else { table().strided_weight };
        self.for_each(|column, depth, filters| {
            let at = (column / HALVES) * panel + (column % HALVES) * LANES;
            let from = Side {
                at: filters.as_mut_ptr(),
                tile: 9 * LANES,
                tile_row: 0,
                column: LANES,
                row: 3 * LANES,
            };
            let to = Side {
                at: to.at(at + depth * LANES * PANEL),
                tile: PANEL,
                tile_row: 0,
                column: matrix,
                row: MATRICES * matrix,
            };
            // SAFETY: 16 filters; only this task writes these columns of these rows.
            unsafe { f(&Tiles { rows: 1, columns: LANES, from, to }) };
        });
        right
    }
}

/// The weight's gradient from that of the right matrices, `[panels][matrices][depth, PANEL]`.
pub fn gradient(lowered: &Lowered, right: &mut [f32], gw: &mut [f32]) {
    let (c, k) = (lowered.conv, table());
    let taps = c.kernel * c.kernel;
    let depths = c.in_channels.div_ceil(LANES);
    let matrix = spaced(lowered.depth * PANEL);
    let (right, gw) = (Shared::new(right), Shared::new(gw));
    (0..c.out_channels.div_ceil(LANES) * depths).into_par_iter().for_each(|task| {
        let (column, depth) = (task / depths, task % depths);
        let mut filters = Scratch::new(LANES * taps * LANES);
        let rows = if lowered.winograd { LANES } else { LANES * taps };
        let at = (column / HALVES) * lowered.matrices * matrix + (column % HALVES) * LANES;
        let at = right.at(at + depth * rows * PANEL);
        let (lanes_at, lane_stride, lane_row) = if lowered.winograd {
            let from =
                Side { at, tile: PANEL, tile_row: 0, column: matrix, row: MATRICES * matrix };
            let to = Side {
                at: filters.as_mut_ptr(),
                tile: taps * LANES,
                tile_row: 0,
                column: LANES,
                row: 3 * LANES,
            };
            let f = if c.stride == 1 { k.unit_weight_gradient } else { k.strided_weight_gradient };
            // SAFETY: 16 rows of each matrix, 16 filters of 9 taps.
            unsafe { f(&Tiles { rows: 1, columns: LANES, from, to }) };
            (filters.as_mut_ptr(), LANES, taps * LANES)
        } else {
            (at, LANES * PANEL, PANEL)
        };
        let [column_stride, depth_stride] = strides(&c);
        let inputs = lanes(c.in_channels, depth);
        // Filters that are adjacent in memory are transposed together.
        let (count, step) = if depth_stride == taps { (inputs, inputs) } else { (1, 1) };
        for d in (0..inputs).step_by(step) {
            let at = column * LANES * column_stride + (depth * LANES + d) * depth_stride;
            let planes = Planes {
                plane: gw.at(at),
                plane_stride: column_stride,
                channels: lanes(c.out_channels, column),
                pixels: count * taps,
                width: taps,
                lanes: lanes_at.wrapping_add(d * lane_row),
                lane_stride,
                lane_row,
                scale: std::ptr::null(),
                readable: 0,
            };
            // SAFETY: only this task writes these filters.
            unsafe { (k.store)(&planes) };
        }
    });
}

/// From a filter of the weight to that of the next output channel, and to that of the next input
/// channel.
fn strides(c: &Conv2d) -> [usize; 2] {
    let taps = c.kernel * c.kernel;
    if c.swapped { [taps, c.out_channels * taps] } else { [c.in_channels * taps, taps] }
}
