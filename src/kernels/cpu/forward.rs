//! The forward convolution: left matrices of x times right matrices of the weight.

use rayon::prelude::*;

use super::blocks::Block;
use super::lowered::{Lowered, Rows};
use super::output::Output;
use super::scratch::Scratch;
use super::shape::Source;
use super::table::{Table, table};
use super::vector::gemm::{PANEL, Product, spaced};
use super::vector::planes::{Planes, lanes};
use super::vector::simd::LANES;
use super::vector::winograd::{self, Side, TILE, Tiles};

/// Computes y from x and the right matrices of the weight, `[panels][matrices][depth, PANEL]`.
pub fn convolve(lowered: &Lowered, x: Source, right: &[f32], y: Output) {
    let k = table();
    let depth = lowered.depth;
    let blocks = lowered.blocks(PANEL);
    (0..blocks.len()).into_par_iter().for_each(|b| {
        let block = blocks.get(b);
        let tiles = lowered.tiles(&block);
        let (left_stride, out_stride) = (spaced(tiles * depth), spaced(tiles * PANEL));
        let mut left = Scratch::new(lowered.points * left_stride);
        let rows = Rows { at: left.as_mut_ptr(), point: left_stride, row: depth };
        // SAFETY: the matrices have a row for each tile.
        unsafe { lowered.input(k, x, &block, rows) };
        let mut out = Scratch::new(lowered.points * out_stride);
        for panel in 0..lowered.panels() {
            for point in 0..lowered.points {
                let matrix = panel * lowered.matrices + lowered.matrix(point);
                let product = Product {
                    rows: tiles,
                    depth,
                    a: left[point * left_stride..].as_ptr(),
                    a_row: depth,
                    a_col: 1,
                    b: right[matrix * spaced(depth * PANEL)..].as_ptr(),
                    c: out[point * out_stride..].as_mut_ptr(),
                    accumulate: false,
                };
                // SAFETY: the three matrices have these sizes.
                unsafe { (k.product)(&product) };
            }
            store(lowered, k, &mut out, &block, panel, y);
        }
    });
}

/// Writes a panel of products, [points][tiles, PANEL], to the block's part of y.
fn store(lowered: &Lowered, k: &Table, out: &mut [f32], block: &Block, panel: usize, y: Output) {
    let c = &lowered.conv;
    let (out_h, out_w) = (c.out_h(), c.out_w());
    let (rows, columns) = (block.rows.len(), lowered.tile_columns);
    let top = block.rows.start * lowered.tile;
    let out_stride = spaced(lowered.tiles(block) * PANEL);
    let strip_w = columns * TILE;
    let mut strip = lowered.winograd.then(|| Scratch::new(rows * TILE * strip_w * LANES));
    for (i, image) in block.images.clone().enumerate() {
        for half in 0..PANEL / LANES {
            let cb = panel * PANEL / LANES + half;
            if lanes(c.out_channels, cb) == 0 {
                continue;
            }
            let from = out[i * rows * columns * PANEL + half * LANES..].as_mut_ptr();
            let (lanes_at, lane_stride, lane_row) = match &mut strip {
                None => (from, PANEL, out_w * PANEL),
                Some(strip) => {
                    let from = Side {
                        at: from,
                        tile: PANEL,
                        tile_row: columns * PANEL,
                        column: out_stride,
                        row: winograd::points(c.stride) * out_stride,
                    };
                    let to = Side {
                        at: strip.as_mut_ptr(),
                        tile: TILE * LANES,
                        tile_row: TILE * strip_w * LANES,
                        column: LANES,
                        row: strip_w * LANES,
                    };
                    let f = if c.stride == 1 { k.unit_output } else { k.strided_output };
                    // SAFETY: the strip has 16 pixels for each tile.
                    unsafe { f(&Tiles { rows, columns, from, to }) };
                    (strip.as_mut_ptr(), LANES, strip_w * LANES)
                }
            };
            let channel = image * c.out_channels + cb * LANES;
            let planes = Planes {
                plane: y.values.at((channel * out_h + top) * out_w),
                plane_stride: out_h * out_w,
                channels: lanes(c.out_channels, cb),
                pixels: (rows * lowered.tile).min(out_h - top) * out_w,
                width: out_w,
                lanes: lanes_at,
                lane_stride,
                lane_row,
                scale: std::ptr::null(),
                readable: 0,
            };
            // SAFETY: only this task writes these rows of these images.
            unsafe {
                (k.store)(&planes);
                y.finish(&planes, channel, top * out_w);
            }
        }
    }
}
