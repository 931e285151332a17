//! The weight as a right matrix, and a right matrix's gradient as the weight's.

use rayon::prelude::*;

use super::conv::Conv2d;
use super::gemm::PANEL;
use super::isa::kernels;
use super::lowered::{Lowered, lanes};
use super::planes::Planes;
use super::scratch::{Scratch, Shared};
use super::simd::LANES;
use super::winograd::{POINTS, Side, Tiles};

/// Panels of 32 columns in blocks of 16.
const HALVES: usize = PANEL / LANES;

/// A weight [O, I, k, k] seen as [columns, depth] filters.
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
        View {
            weight,
            taps,
            columns: c.out_channels,
            column_stride: c.in_channels * taps,
            depth: c.in_channels,
            depth_stride: taps,
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

    /// `[16 channels of depth][taps]` filters, 16 columns in lanes each; absent ones are 0.
    fn filters(&self, column_block: usize, depth_block: usize, to: &mut [f32]) {
        let (channels, depth) = (lanes(self.columns, column_block), lanes(self.depth, depth_block));
        if depth < LANES || channels == 0 {
            to.fill(0.0);
        }
        // Filters that follow one another are transposed together.
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
            unsafe { (kernels().load)(&planes) };
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

    /// The right matrix of the lowered convolution: [panels][points][depth, PANEL].
    pub fn right(&self, lowered: &Lowered) -> Scratch {
        let panel = lowered.points * lowered.depth * PANEL;
        let mut right = Scratch::new(lowered.panels() * panel);
        let to = Shared::new(&mut right);
        self.for_each(|column, depth, filters| {
            let at = (column / HALVES) * panel + (column % HALVES) * LANES;
            if lowered.winograd {
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
                    column: lowered.depth * PANEL,
                    row: POINTS * lowered.depth * PANEL,
                };
                let tiles = Tiles { rows: 1, columns: LANES, from, to };
                // SAFETY: 16 filters; only this task writes these columns of these rows.
                unsafe { (kernels().transform_weight)(&tiles) };
            } else {
                // Rows are ordered by (block of 16 channels, tap, channel), as patches are.
                for (i, lane) in filters.as_chunks::<LANES>().0.iter().enumerate() {
                    let (channel, tap) = (i / self.taps, i % self.taps);
                    let row = (depth * self.taps + tap) * LANES + channel;
                    // SAFETY: as above.
                    unsafe { to.at(at + row * PANEL).cast::<[f32; LANES]>().write(*lane) };
                }
            }
        });
        right
    }

    /// One right matrix for each tap: [panels][taps][padded depth, PANEL].
    pub fn right_by_tap(&self) -> Scratch {
        let rows = self.depth.next_multiple_of(LANES);
        let panel = self.taps * rows * PANEL;
        let mut right = Scratch::new(self.columns.div_ceil(PANEL) * panel);
        let to = Shared::new(&mut right);
        self.for_each(|column, depth, filters| {
            let at = (column / HALVES) * panel + (column % HALVES) * LANES;
            for (i, lane) in filters.as_chunks::<LANES>().0.iter().enumerate() {
                let (channel, tap) = (i / self.taps, i % self.taps);
                let row = tap * rows + depth * LANES + channel;
                // SAFETY: only this task writes these columns of these rows.
                unsafe { to.at(at + row * PANEL).cast::<[f32; LANES]>().write(*lane) };
            }
        });
        right
    }
}

/// The weight's gradient from that of the right matrix, [points][panels][depth, PANEL], which is the
/// sum of `parts` of them.
pub fn gradient(lowered: &Lowered, sums: &[f32], parts: usize, gw: &mut [f32]) {
    let c = lowered.conv;
    let (taps, points) = (c.kernel * c.kernel, lowered.points);
    let depths = c.in_channels.div_ceil(LANES);
    let matrix = lowered.depth * PANEL;
    let part = points * lowered.panels() * matrix;
    let gw = Shared::new(gw);
    (0..c.out_channels.div_ceil(LANES) * depths).into_par_iter().for_each(|task| {
        let (column, depth) = (task / depths, task % depths);
        // Rows of the right matrix that belong to these 16 channels: 16 of each of 36 matrices, or
        // 16 for each tap.
        let rows = if lowered.winograd { points } else { taps };
        let mut sum = Scratch::new(rows * LANES * LANES);
        for (i, to) in sum.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
            let (block, channel) = (i / LANES, i % LANES);
            let (point, row) = if lowered.winograd {
                (block, depth * LANES + channel)
            } else {
                (0, (depth * taps + block) * LANES + channel)
            };
            let at = (point * lowered.panels() + column / HALVES) * matrix
                + row * PANEL
                + (column % HALVES) * LANES;
            *to = [0.0; LANES];
            for p in 0..parts {
                let from = &sums[p * part + at..][..LANES];
                to.iter_mut().zip(from).for_each(|(to, x)| *to += x);
            }
        }
        let mut filters = Scratch::new(LANES * taps * LANES);
        let (from, lane_stride, lane_row) = if lowered.winograd {
            let from = Side {
                at: sum.as_mut_ptr(),
                tile: LANES,
                tile_row: 0,
                column: LANES * LANES,
                row: POINTS * LANES * LANES,
            };
            let to = Side {
                at: filters.as_mut_ptr(),
                tile: 9 * LANES,
                tile_row: 0,
                column: LANES,
                row: 3 * LANES,
            };
            let tiles = Tiles { rows: 1, columns: LANES, from, to };
            // SAFETY: 16 matrices of 36 points, 16 filters of 9 taps.
            unsafe { (kernels().transform_weight_gradient)(&tiles) };
            (filters.as_mut_ptr(), LANES, 9 * LANES)
        } else {
            (sum.as_mut_ptr(), LANES * LANES, LANES)
        };
        let planes = Planes {
            plane: gw.at((column * LANES * c.in_channels + depth * LANES) * taps),
            plane_stride: c.in_channels * taps,
            channels: lanes(c.out_channels, column),
            pixels: lanes(c.in_channels, depth) * taps,
            width: taps,
            lanes: from,
            lane_stride,
            lane_row,
            scale: std::ptr::null(),
            readable: 0,
        };
        // SAFETY: only this task writes these filters.
        unsafe { (kernels().store)(&planes) };
    });
}
