//! The data gradient as a sum: every row of a product contributes to some pixels of gx, and rows
//! overlap. (At stride 1 Winograd's data gradient is a convolution instead: see `conv`.)

use std::ops::Range;

use rayon::prelude::*;

use super::blocks::{Block, Blocks};
use super::lowered::{Lowered, Rows};
use super::output::Output;
use super::scratch::Scratch;
use super::shape::{Conv2d, Source};
use super::table::{Table, table};
use super::vector::fir::{Axis, Filter};
use super::vector::gemm::{PANEL, Product, spaced};
use super::vector::patches::Patches;
use super::vector::planes::{Planes, lanes};
use super::vector::simd::LANES;
use super::vector::winograd::{self, Side, TILE, Tiles};
use super::weights::View;

/// The most floats in the matrices of a block.
const BLOCK_FLOATS: usize = 160 * 1024;

/// The fewest rows of tiles in a block. The row at a border between two blocks of an image is computed
/// for both, which small blocks would make expensive.
const LEAST_ROWS: usize = 8;

/// The arrangement of a data gradient as matrix products.
struct Adjoint {
    lowered: Lowered,
    /// Number of products: one for each tap, or for each of Winograd's points.
    products: usize,
    /// Columns of a left matrix.
    depth: usize,
    /// The transpose of the filter of x: along rows, along columns.
    smooth: Option<[Axis; 2]>,
}

/// Computes gx `[N, I, H, W]` from gy `[N, O, H', W']`.
pub fn scatter(c: &Conv2d, gy: Source, w: &[f32], gx: Output) {
    let lowered = Lowered::new(c);
    let taps = c.kernel * c.kernel;
    let adjoint = Adjoint {
        products: if lowered.winograd { lowered.points } else { taps },
        depth: c.out_channels.next_multiple_of(LANES),
        smooth: c.smooth.map(|s| {
            let mut taps = s.taps;
            taps.reverse();
            let pad = taps.len() as i32 - 1 - s.padding as i32;
            [(c.mid_w(), c.in_w), (c.mid_h(), c.in_h)]
                .map(|(n, outputs)| Axis::new(&taps, [1, 1], pad, n, outputs))
        }),
        lowered,
    };
    let right = View::transposed(c, w).right_by_tap(adjoint.lowered.winograd.then_some(c.stride));
    let blocks = adjoint.blocks();
    (0..blocks.len()).into_par_iter().for_each(|b| adjoint.block(&blocks.get(b), gy, &right, gx));
}

impl Adjoint {
    /// The number of rows of gx that belong to a row of tiles.
    fn unit(&self) -> usize {
        self.lowered.tile * self.lowered.conv.stride
    }

    /// Blocks of rows of gx, counted in units.
    fn blocks(&self) -> Blocks {
        let columns = self.lowered.tile_columns.max(1);
        let lefts = if self.lowered.winograd { self.products } else { 1 };
        let tiles = BLOCK_FLOATS / (lefts * self.depth + self.products * PANEL);
        let c = &self.lowered.conv;
        let rows = c.in_h.div_ceil(self.unit());
        let least = rayon::current_num_threads();
        Blocks::new(c.batch, rows, columns, tiles.max(LEAST_ROWS * columns), least)
    }

    fn block(&self, block: &Block, gy: Source, right: &[f32], gx: Output) {
        let (k, lowered) = (table(), &self.lowered);
        let c = &lowered.conv;
        let top = block.rows.start * self.unit();
        let bottom = (block.rows.end * self.unit()).min(c.in_h);
        // The rows of the smoothed x that these depend on, and the tiles that have a tap there.
        let mid = self.smooth.as_ref().map_or(top..bottom, |[_, y]| y.sources(top..bottom));
        let first = (mid.start + c.padding).saturating_sub(c.kernel - 1).div_ceil(c.stride);
        let end = ((mid.end + c.padding).div_ceil(c.stride)).min(c.out_h());
        let rows = (first / lowered.tile).min(end)..end.max(first).div_ceil(lowered.tile);
        let tiled = Block { images: block.images.clone(), rows };
        let tiles = lowered.tiles(&tiled);
        let left_stride = spaced(tiles * self.depth);
        let mut left = Scratch::new(lowered.points * left_stride);
        let to = Rows { at: left.as_mut_ptr(), point: left_stride, row: self.depth };
        // SAFETY: the matrices have a row for each tile.
        unsafe { lowered.output_gradient(k, gy, &tiled, to, |cb| cb * LANES) };
        let out_stride = spaced(tiles * PANEL);
        let mut out = Scratch::new(self.products * out_stride);
        let matrices = if lowered.winograd { lowered.matrices } else { self.products };
        for panel in 0..c.in_channels.div_ceil(PANEL) {
            for i in 0..self.products {
                let (point, matrix) =
                    if lowered.winograd { (i, lowered.matrix(i)) } else { (0, i) };
                let product = Product {
                    rows: tiles,
                    depth: self.depth,
                    a: left[point * left_stride..].as_ptr(),
                    a_row: self.depth,
                    a_col: 1,
                    b: right[(panel * matrices + matrix) * spaced(self.depth * PANEL)..].as_ptr(),
                    c: out[i * out_stride..].as_mut_ptr(),
                    accumulate: false,
                };
                // SAFETY: the three matrices have these sizes.
                unsafe { (k.product)(&product) };
            }
            self.add_up(k, &mut out, &tiled, panel, &mid, top..bottom, gx);
        }
    }

    /// Adds up a panel of products, [products][tiles, PANEL], and writes rows of gx.
    #[allow(clippy::too_many_arguments)]
    fn add_up(
        &self,
        k: &Table,
        out: &mut [f32],
        tiled: &Block,
        panel: usize,
        mid: &Range<usize>,
        target: Range<usize>,
        gx: Output,
    ) {
        let lowered = &self.lowered;
        let c = &lowered.conv;
        let (rows, columns) = (tiled.rows.len(), lowered.tile_columns);
        let out_stride = spaced(lowered.tiles(tiled) * PANEL);
        // All rows that the tiles reach, starting at row `origin` of the smoothed and padded x, and
        // at least the rows that are needed.
        let start = tiled.rows.start * self.unit();
        let origin = start.min(mid.start + c.padding);
        let reach = |tiles: usize| (tiles * lowered.tile).max(1) * c.stride - c.stride + c.kernel;
        let strip_h = (start + reach(rows)).max(mid.end + c.padding) - origin;
        let strip_w = reach(columns).max(c.padding + c.mid_w());
        let mut strip = Scratch::new(strip_h * strip_w * LANES);
        for (i, image) in tiled.images.clone().enumerate() {
            for half in 0..PANEL / LANES {
                let cb = panel * PANEL / LANES + half;
                if lanes(c.in_channels, cb) == 0 {
                    continue;
                }
                strip.fill(0.0);
                let from = i * rows * columns * PANEL + half * LANES;
                let from = out.as_mut_ptr().wrapping_add(from);
                let at = strip[(start - origin) * strip_w * LANES..].as_mut_ptr();
                if lowered.winograd {
                    let from = Side {
                        at: from,
                        tile: PANEL,
                        tile_row: columns * PANEL,
                        column: out_stride,
                        row: winograd::points(c.stride) * out_stride,
                    };
                    let step = TILE * c.stride * LANES;
                    let to = Side {
                        at,
                        tile: step,
                        tile_row: step * strip_w,
                        column: LANES,
                        row: strip_w * LANES,
                    };
                    // SAFETY: the strip holds all rows that the tiles reach.
                    unsafe { (k.strided_input_gradient)(&Tiles { rows, columns, from, to }) };
                } else {
                    let patches = Patches {
                        kernel: c.kernel,
                        stride: c.stride,
                        rows,
                        columns,
                        strip: at,
                        strip_row: strip_w * LANES,
                        patches: from,
                        tap: out_stride,
                        pixel: PANEL,
                    };
                    // SAFETY: as above.
                    unsafe { (k.scatter)(&patches) };
                }
                let inside = (mid.start + c.padding - origin) * strip_w + c.padding;
                let inside = strip.as_mut_ptr().wrapping_add(inside * LANES);
                // SAFETY: the strip has these rows; only this task writes these of these images.
                unsafe {
                    self.store(k, inside, strip_w * LANES, mid, target.clone(), image, cb, gx)
                };
            }
        }
    }

    /// Stores rows of gx, given the rows `mid` of the gradient of the smoothed x.
    ///
    /// # Safety
    /// The strip has those rows; no other thread writes these rows of gx.
    #[allow(clippy::too_many_arguments)]
    unsafe fn store(
        &self,
        k: &Table,
        strip: *mut f32,
        strip_row: usize,
        mid: &Range<usize>,
        target: Range<usize>,
        image: usize,
        cb: usize,
        gx: Output,
    ) {
        let c = &self.lowered.conv;
        let channel = image * c.in_channels + cb * LANES;
        let first = target.start * c.in_w;
        let planes = Planes {
            plane: gx.values.at((channel * c.in_h + target.start) * c.in_w),
            plane_stride: c.in_h * c.in_w,
            channels: lanes(c.in_channels, cb),
            pixels: target.len() * c.in_w,
            width: c.in_w,
            lanes: strip,
            lane_stride: LANES,
            lane_row: strip_row,
            scale: std::ptr::null(),
            readable: 0,
        };
        let Some([across, along]) = &self.smooth else {
            // SAFETY: the contract.
            unsafe {
                (k.store)(&planes);
                gx.finish(&planes, channel, first);
            }
            return;
        };
        let row = Axis::line(c.in_w);
        let mut half = Scratch::new(mid.len() * row);
        let mut whole = Scratch::new(target.len() * row);
        let horizontal = Filter {
            axis: across,
            outputs: 0..c.in_w,
            from: strip,
            origin: 0,
            from_step: LANES,
            from_line: strip_row,
            to: half.as_mut_ptr(),
            to_step: LANES,
            to_line: row,
            lines: mid.len(),
        };
        let vertical = Filter {
            axis: along,
            outputs: target,
            from: half.as_ptr(),
            origin: mid.start,
            from_step: row,
            from_line: LANES,
            to: whole.as_mut_ptr(),
            to_step: row,
            to_line: LANES,
            lines: c.in_w,
        };
        // SAFETY: the strips have these rows; the contract.
        unsafe {
            (k.filter)(&horizontal);
            (k.filter)(&vertical);
            (k.store)(&Planes { lanes: whole.as_mut_ptr(), lane_row: row, ..planes });
            gx.finish(&planes, channel, first);
        }
    }
}
