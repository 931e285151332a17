//! The data gradient of a convolution of any stride: for every tap a product, added where the tap
//! takes its pixels.

use rayon::prelude::*;

use super::blocks::Blocks;
use super::conv::Conv2d;
use super::gemm::{PANEL, Product};
use super::isa::kernels;
use super::lowered::{Source, Target, factors, lanes};
use super::lowering::Patches;
use super::planes::Planes;
use super::scratch::Scratch;
use super::simd::LANES;
use super::weights::View;

/// Floats that a block's matrices may have.
const BLOCK_FLOATS: usize = 160 * 1024;

/// gx [N, I, H, W] from gy [N, O, H', W'].
pub fn scatter(c: &Conv2d, gy: Source, w: &[f32], gx: Target) {
    let k = kernels();
    let right = View::transposed(c, w).right_by_tap();
    let (out_h, out_w, taps) = (c.out_h(), c.out_w(), c.kernel * c.kernel);
    let depth = c.out_channels.next_multiple_of(LANES);
    // Blocks are of rows of gx, in units of `stride`; a row of gy gives about one such unit.
    let units = c.in_h.div_ceil(c.stride);
    let pixels = BLOCK_FLOATS / (depth + taps * PANEL);
    let blocks = Blocks::new(c.batch, units, out_w, pixels.max(12), rayon::current_num_threads());
    (0..blocks.len()).into_par_iter().for_each(|b| {
        let block = blocks.get(b);
        let top = block.rows.start * c.stride;
        let bottom = (block.rows.end * c.stride).min(c.in_h);
        // The rows of gy that have a tap within these rows of gx.
        let first = (top + c.padding).saturating_sub(c.kernel - 1).div_ceil(c.stride);
        let end = ((bottom - 1 + c.padding) / c.stride + 1).min(out_h);
        let rows = end.saturating_sub(first);
        let pixels = block.images.len() * rows * out_w;
        let mut left = Scratch::new(pixels * depth);
        for (i, image) in block.images.clone().enumerate() {
            for cb in 0..if rows > 0 { depth / LANES } else { 0 } {
                let channel = image * c.out_channels + cb * LANES;
                let at = (channel * out_h + first) * out_w;
                let planes = Planes {
                    plane: gy.planes[at..].as_ptr().cast_mut(),
                    plane_stride: out_h * out_w,
                    channels: lanes(c.out_channels, cb),
                    pixels: rows * out_w,
                    width: rows * out_w,
                    lanes: left[i * rows * out_w * depth + cb * LANES..].as_mut_ptr(),
                    lane_stride: depth,
                    lane_row: 0,
                    scale: factors(gy.scale, channel),
                    readable: gy.planes.len() - at,
                };
                // SAFETY: the rows are within gy; the left matrix has a row for each pixel.
                unsafe { (k.load)(&planes) };
            }
        }
        // All pixels that the taps reach, from row first·stride − padding of gx on, and in any case
        // those that are to be stored.
        let origin = (first * c.stride).min(top + c.padding);
        let reach = (first + rows.max(1) - 1) * c.stride + c.kernel;
        let strip_h = reach.max(bottom + c.padding) - origin;
        let strip_w = ((out_w - 1) * c.stride + c.kernel).max(c.padding + c.in_w);
        let mut strip = Scratch::new(strip_h * strip_w * LANES);
        let mut out = Scratch::new(taps * pixels * PANEL);
        for panel in 0..c.in_channels.div_ceil(PANEL) {
            for tap in 0..taps {
                let product = Product {
                    rows: pixels,
                    depth,
                    a: left.as_ptr(),
                    a_row: depth,
                    a_col: 1,
                    b: right[(panel * taps + tap) * depth * PANEL..].as_ptr(),
                    c: out[tap * pixels * PANEL..].as_mut_ptr(),
                    accumulate: false,
                };
                // SAFETY: the three matrices have these sizes.
                unsafe { (k.product)(&product) };
            }
            for (i, image) in block.images.clone().enumerate() {
                for half in 0..PANEL / LANES {
                    let cb = panel * PANEL / LANES + half;
                    if lanes(c.in_channels, cb) == 0 {
                        continue;
                    }
                    strip.fill(0.0);
                    let patches = Patches {
                        kernel: c.kernel,
                        stride: c.stride,
                        rows,
                        columns: out_w,
                        strip: strip[(first * c.stride - origin) * strip_w * LANES..].as_mut_ptr(),
                        strip_row: strip_w * LANES,
                        patches: out
                            .as_mut_ptr()
                            .wrapping_add(i * rows * out_w * PANEL + half * LANES),
                        tap: pixels * PANEL,
                        pixel: PANEL,
                    };
                    // SAFETY: the strip holds all that the taps reach.
                    unsafe { (k.scatter)(&patches) };
                    let channel = image * c.in_channels + cb * LANES;
                    let inside = (top + c.padding - origin) * strip_w + c.padding;
                    let planes = Planes {
                        plane: gx.planes.at((channel * c.in_h + top) * c.in_w),
                        plane_stride: c.in_h * c.in_w,
                        channels: lanes(c.in_channels, cb),
                        pixels: (bottom - top) * c.in_w,
                        width: c.in_w,
                        lanes: strip[inside * LANES..].as_mut_ptr(),
                        lane_stride: LANES,
                        lane_row: strip_w * LANES,
                        scale: factors(gx.scale, channel),
                        readable: 0,
                    };
                    // SAFETY: only this task writes these rows of these images.
                    unsafe { (k.store)(&planes) };
                }
            }
        }
    });
}
