//! The weight gradient: left matrices of x, transposed, times right matrices of gy, summed over
//! blocks.

use rayon::prelude::*;

use super::blocks::{Block, share};
use super::conv::Conv2d;
use super::gemm::{PANEL, Product};
use super::isa::{Kernels, kernels};
use super::lowered::{Lowered, Source, factors, lanes};
use super::planes::Planes;
use super::scratch::{Scratch, Shared};
use super::simd::LANES;
use super::weights;
use super::winograd::{POINTS, Side, TILE, Tiles};

/// gw [O, I, k, k] from x [N, I, H, W] and gy [N, O, H', W'].
///
/// Every thread sums a fixed share of the blocks; the shares are then added in their order.
pub fn weight_gradient(c: &Conv2d, x: Source, gy: Source, gw: &mut [f32]) {
    let k = kernels();
    let lowered = Lowered::new(c);
    let panels = lowered.panels();
    let blocks = lowered.blocks(panels * PANEL);
    let parts = rayon::current_num_threads().min(blocks.len());
    let matrix = lowered.depth * PANEL;
    let part = lowered.points * panels * matrix;
    let mut sums = Scratch::new(parts * part);
    let to = Shared::new(&mut sums);
    (0..parts).into_par_iter().for_each(|p| {
        let mine = share(blocks.len(), parts, p);
        for b in mine.clone() {
            let block = blocks.get(b);
            let tiles = lowered.tiles(&block);
            let left = lowered.lower(k, x, &block);
            let left_stride = Lowered::spaced(tiles * lowered.depth);
            let right = lower_gradient(k, &lowered, gy, &block);
            let right_stride = Lowered::spaced(panels * tiles * PANEL);
            for point in 0..lowered.points {
                for panel in 0..panels {
                    let product = Product {
                        rows: lowered.depth,
                        depth: tiles,
                        a: left[point * left_stride..].as_ptr(),
                        a_row: 1,
                        a_col: lowered.depth,
                        b: right[point * right_stride + panel * tiles * PANEL..].as_ptr(),
                        c: to.at(p * part + (point * panels + panel) * matrix),
                        accumulate: b != mine.start,
                    };
                    // SAFETY: the matrices have these sizes; only this task writes its sums.
                    unsafe { (k.product)(&product) };
                }
            }
        }
    });
    weights::gradient(&lowered, &sums, parts, gw);
}

/// The pixels of a block of gy, arranged as right matrices [points][panels][tiles, PANEL].
fn lower_gradient(k: &Kernels, lowered: &Lowered, gy: Source, block: &Block) -> Scratch {
    let c = &lowered.conv;
    let (out_h, out_w) = (c.out_h(), c.out_w());
    let (rows, columns) = (block.rows.len(), lowered.tile_columns);
    let tiles = lowered.tiles(block);
    let spaced = Lowered::spaced(lowered.panels() * tiles * PANEL);
    let mut right = Scratch::new(lowered.points * spaced);
    let top = block.rows.start * if lowered.winograd { TILE } else { 1 };
    let height = if lowered.winograd { (rows * TILE).min(out_h - top) } else { rows };
    let strip_w = columns * TILE;
    let mut strip = lowered.winograd.then(|| Scratch::new(rows * TILE * strip_w * LANES));
    if let Some(strip) = &mut strip {
        // Pixels of tiles that reach beyond the image count as zero.
        strip.fill(0.0);
    }
    for (i, image) in block.images.clone().enumerate() {
        for cb in 0..lowered.panels() * PANEL / LANES {
            let halves = PANEL / LANES;
            let to = (cb / halves * tiles + i * rows * columns) * PANEL + cb % halves * LANES;
            let channels = lanes(c.out_channels, cb);
            if channels == 0 {
                // Columns that nobody reads, but numbers nevertheless.
                continue;
            }
            let channel = image * c.out_channels + cb * LANES;
            let at = (channel * out_h + top) * out_w;
            let (lanes_at, lane_stride, lane_row) = match &mut strip {
                Some(strip) => (strip.as_mut_ptr(), LANES, strip_w * LANES),
                None => (right[to..].as_mut_ptr(), PANEL, out_w * PANEL),
            };
            let planes = Planes {
                plane: gy.planes[at..].as_ptr().cast_mut(),
                plane_stride: out_h * out_w,
                channels,
                pixels: height * out_w,
                width: out_w,
                lanes: lanes_at,
                lane_stride,
                lane_row,
                scale: factors(gy.scale, channel),
                readable: gy.planes.len() - at,
            };
            // SAFETY: the rows are within gy, and both the strip and the right matrix hold them.
            unsafe { (k.load)(&planes) };
            if let Some(strip) = &mut strip {
                let from = Side {
                    at: strip.as_mut_ptr(),
                    tile: TILE * LANES,
                    tile_row: TILE * strip_w * LANES,
                    column: LANES,
                    row: strip_w * LANES,
                };
                let to = Side {
                    at: right[to..].as_mut_ptr(),
                    tile: PANEL,
                    tile_row: columns * PANEL,
                    column: spaced,
                    row: POINTS * spaced,
                };
                // SAFETY: the strip has 16 pixels for each tile, the right matrices a row.
                unsafe { (k.transform_output_gradient)(&Tiles { rows, columns, from, to }) };
            }
        }
    }
    right
}
