//! The arrangement of a convolution as matrix products, and the left matrices: from its input, or from
//! the gradient of its output.

use std::ops::Range;

use super::blocks::{Block, Blocks};
use super::scratch::Scratch;
use super::shape::{Conv2d, Source};
use super::table::Table;
use super::vector::fir::{Axis, Filter};
use super::vector::gemm::PANEL;
use super::vector::patches::Patches;
use super::vector::planes::{Planes, factors, lanes};
use super::vector::simd::LANES;
use super::vector::winograd::{self, MATRICES, Side, TILE, Tiles};

/// The most floats in the matrices of a block: most of a second-level cache.
const BLOCK_FLOATS: usize = 160 * 1024;

/// The fewest rows of a left matrix; products of fewer are slow.
const LEAST_TILES: usize = 16;

/// A convolution as matrix products. A row of a left matrix belongs to a tile of the output: one
/// pixel, or 4×4 with Winograd's transforms.
pub struct Lowered {
    pub conv: Conv2d,
    /// Whether Winograd's transforms are used instead of patches.
    pub winograd: bool,
    /// Number of left matrices: 1, 36 or 81.
    pub points: usize,
    /// Number of right matrices: 1 or 36.
    pub matrices: usize,
    /// Columns of a left matrix.
    pub depth: usize,
    /// Side of a tile in output pixels.
    pub tile: usize,
    pub tile_rows: usize,
    pub tile_columns: usize,
    /// The filter of x: along rows, along columns.
    smooth: Option<[Axis; 2]>,
}

/// Where the rows of several matrices are, one matrix for each point.
#[derive(Clone, Copy)]
pub struct Rows {
    /// The first row, in the first point's matrix.
    pub at: *mut f32,
    /// From a point's matrix to the next one's.
    pub point: usize,
    /// From a row to the next.
    pub row: usize,
}

/// Where the lanes of a strip's pixels go.
#[derive(Clone, Copy)]
struct Place {
    at: *mut f32,
    step: usize,
    row: usize,
}

/// Sets the pixels of a strip that are outside these rows or columns to zero.
fn clear_around(strip: &mut [f32], width: usize, rows: Range<usize>, columns: Range<usize>) {
    for (y, row) in strip.chunks_exact_mut(width * LANES).enumerate() {
        if rows.contains(&y) {
            row[..columns.start * LANES].fill(0.0);
            row[columns.end * LANES..].fill(0.0);
        } else {
            row.fill(0.0);
        }
    }
}

impl Lowered {
    pub fn new(conv: &Conv2d) -> Self {
        let winograd = conv.is_winograd();
        let (tile, side, matrices, taps) = if winograd {
            (TILE, winograd::points(conv.stride), MATRICES, 1)
        } else {
            (1, 1, 1, conv.kernel * conv.kernel)
        };
        let axis = |taps: &[f32; 4], pad, n, outputs| Axis::new(taps, [1, 1], pad, n, outputs);
        Self {
            conv: *conv,
            winograd,
            points: side * side,
            matrices: matrices * matrices,
            depth: conv.in_channels.next_multiple_of(LANES) * taps,
            tile,
            tile_rows: conv.out_h().div_ceil(tile),
            tile_columns: conv.out_w().div_ceil(tile),
            smooth: conv.smooth.as_ref().map(|s| {
                [(conv.in_w, conv.mid_w()), (conv.in_h, conv.mid_h())]
                    .map(|(n, mid)| axis(&s.taps, s.padding as i32, n, mid))
            }),
        }
    }

    /// Number of panels of a right matrix.
    pub fn panels(&self) -> usize {
        self.conv.out_channels.div_ceil(PANEL)
    }

    /// The index of the right matrix that a point's left matrix is multiplied by.
    pub fn matrix(&self, point: usize) -> usize {
        if !self.winograd {
            return 0;
        }
        let side = winograd::points(self.conv.stride);
        let (i, j) = (point / side, point % side);
        i.min(MATRICES - 1) * MATRICES + j.min(MATRICES - 1)
    }

    /// Blocks that fit the cache if a tile needs `columns` floats for each point beyond its row of the
    /// left matrix.
    pub fn blocks(&self, columns: usize) -> Blocks {
        let tiles = BLOCK_FLOATS / (self.points * (self.depth + columns));
        let least = rayon::current_num_threads();
        let (batch, rows) = (self.conv.batch, self.tile_rows);
        Blocks::new(batch, rows, self.tile_columns, tiles.max(LEAST_TILES), least)
    }

    /// The number of tiles of a block.
    pub fn tiles(&self, block: &Block) -> usize {
        block.images.len() * block.rows.len() * self.tile_columns
    }

    /// Writes the pixels of a block's input as rows of the left matrices [points][tiles, depth].
    ///
    /// # Safety
    /// `to` has room for the block's tiles.
    pub unsafe fn input(&self, k: &Table, x: Source, block: &Block, to: Rows) {
        let c = &self.conv;
        let rows = block.rows.len();
        // The strip of (smoothed and padded) pixels that the block's tiles depend on.
        let extent = |tiles: usize| (tiles * self.tile - 1) * c.stride + c.kernel;
        let (strip_h, strip_w) =
            (extent(rows), extent(self.tile_columns).max(c.padding + c.mid_w()));
        let first = block.rows.start * self.tile * c.stride;
        let (above, top) = (c.padding.saturating_sub(first), first.saturating_sub(c.padding));
        let end = (top + strip_h.saturating_sub(above)).min(c.mid_h());
        let inside = top.min(end)..end;
        // With a single tap a patch is one pixel, so pixels go straight to the matrix.
        let direct = c.kernel == 1 && c.stride == 1 && c.padding == 0;
        let mut strip = Scratch::new(if direct { 0 } else { strip_h * strip_w * LANES });
        // The border stays zero; the inside is overwritten for every channel.
        let columns = c.padding..c.padding + c.mid_w();
        clear_around(&mut strip, strip_w, above..above + inside.len(), columns);
        for (i, image) in block.images.clone().enumerate() {
            for cb in 0..c.in_channels.div_ceil(LANES) {
                let row = to.at.wrapping_add(i * rows * self.tile_columns * to.row);
                let place = if direct {
                    let at = row.wrapping_add(cb * LANES);
                    Place { at, step: to.row, row: c.mid_w() * to.row }
                } else {
                    let at = (above * strip_w + c.padding) * LANES;
                    let at = strip.as_mut_ptr().wrapping_add(at);
                    Place { at, step: LANES, row: strip_w * LANES }
                };
                // SAFETY: the rows lie within the strip (or are the block's rows of the matrix).
                unsafe { self.load(k, x, image, cb, inside.clone(), place) };
                if direct {
                    continue;
                }
                if self.winograd {
                    let step = TILE * c.stride * LANES;
                    let from = Side {
                        at: strip.as_mut_ptr(),
                        tile: step,
                        tile_row: step * strip_w,
                        column: LANES,
                        row: strip_w * LANES,
                    };
                    let to = Side {
                        at: row.wrapping_add(cb * LANES),
                        tile: to.row,
                        tile_row: self.tile_columns * to.row,
                        column: to.point,
                        row: winograd::points(c.stride) * to.point,
                    };
                    let tiles = Tiles { rows, columns: self.tile_columns, from, to };
                    let f = if c.stride == 1 { k.unit_input } else { k.strided_input };
                    // SAFETY: the strip has the pixels, the matrices have a row for each tile.
                    unsafe { f(&tiles) };
                } else {
                    let taps = c.kernel * c.kernel;
                    let patches = Patches {
                        kernel: c.kernel,
                        stride: c.stride,
                        rows,
                        columns: self.tile_columns,
                        strip: strip.as_mut_ptr(),
                        strip_row: strip_w * LANES,
                        patches: row.wrapping_add(cb * taps * LANES),
                        tap: LANES,
                        pixel: to.row,
                    };
                    // SAFETY: as above.
                    unsafe { (k.gather)(&patches) };
                }
            }
        }
    }

    /// Loads rows of a block of channels of an image, smoothed if the convolution has a filter.
    ///
    /// # Safety
    /// `place` has room for the rows.
    unsafe fn load(
        &self,
        k: &Table,
        x: Source,
        image: usize,
        cb: usize,
        rows: Range<usize>,
        place: Place,
    ) {
        let c = &self.conv;
        let raw = self.smooth.as_ref().map_or(rows.clone(), |[_, y]| y.sources(rows.clone()));
        let channel = image * c.in_channels + cb * LANES;
        let at = (channel * c.in_h + raw.start) * c.in_w;
        let planes = Planes {
            // An empty range may begin beyond the end of x.
            plane: x.planes.as_ptr().wrapping_add(at).cast_mut(),
            plane_stride: c.in_h * c.in_w,
            channels: lanes(c.in_channels, cb),
            pixels: raw.len() * c.in_w,
            width: c.in_w,
            lanes: place.at,
            lane_stride: place.step,
            lane_row: place.row,
            scale: factors(x.scale, channel),
            readable: x.planes.len().saturating_sub(at),
        };
        let Some([across, along]) = &self.smooth else {
            // SAFETY: the rows are within x; the caller's contract.
            return unsafe { (k.load)(&planes) };
        };
        let (raw_row, mid_row) = (Axis::line(c.in_w), Axis::line(c.mid_w()));
        let mut strip = Scratch::new(raw.len() * raw_row);
        let mut half = Scratch::new(raw.len() * mid_row);
        let planes =
            Planes { lanes: strip.as_mut_ptr(), lane_stride: LANES, lane_row: raw_row, ..planes };
        let horizontal = Filter {
            axis: across,
            outputs: 0..c.mid_w(),
            from: strip.as_ptr(),
            origin: 0,
            from_step: LANES,
            from_line: raw_row,
            to: half.as_mut_ptr(),
            to_step: LANES,
            to_line: mid_row,
            lines: raw.len(),
        };
        let vertical = Filter {
            axis: along,
            outputs: rows,
            from: half.as_ptr(),
            origin: raw.start,
            from_step: mid_row,
            from_line: LANES,
            to: place.at,
            to_step: place.row,
            to_line: place.step,
            lines: c.mid_w(),
        };
        // SAFETY: the strips have these rows; the caller's contract.
        unsafe {
            (k.load)(&planes);
            (k.filter)(&horizontal);
            (k.filter)(&vertical);
        }
    }

    /// Writes the pixels of a block of the output's gradient as rows of matrices, one row for each
    /// tile. The lanes of channel block `cb` are at `offset(cb)` of their row.
    ///
    /// # Safety
    /// `to` has room for the block's tiles.
    pub unsafe fn output_gradient(
        &self,
        k: &Table,
        gy: Source,
        block: &Block,
        to: Rows,
        offset: impl Fn(usize) -> usize,
    ) {
        let c = &self.conv;
        let (out_h, out_w) = (c.out_h(), c.out_w());
        let (rows, columns) = (block.rows.len(), self.tile_columns);
        let top = (block.rows.start * self.tile).min(out_h);
        let height = (rows * self.tile).min(out_h - top);
        if height == 0 {
            return;
        }
        let strip_w = columns * TILE;
        let mut strip = self.winograd.then(|| Scratch::new(rows * TILE * strip_w * LANES));
        if let Some(strip) = &mut strip {
            // Pixels of tiles that reach beyond the image count as zero.
            clear_around(strip, strip_w, 0..height, 0..out_w);
        }
        for (i, image) in block.images.clone().enumerate() {
            for cb in 0..c.out_channels.div_ceil(LANES) {
                let tiles = to.at.wrapping_add(i * rows * columns * to.row + offset(cb));
                let channel = image * c.out_channels + cb * LANES;
                let at = (channel * out_h + top) * out_w;
                let (lanes_at, lane_stride, lane_row) = match &mut strip {
                    Some(strip) => (strip.as_mut_ptr(), LANES, strip_w * LANES),
                    None => (tiles, to.row, out_w * to.row),
                };
                let planes = Planes {
                    plane: gy.planes.as_ptr().wrapping_add(at).cast_mut(),
                    plane_stride: out_h * out_w,
                    channels: lanes(c.out_channels, cb),
                    pixels: height * out_w,
                    width: out_w,
                    lanes: lanes_at,
                    lane_stride,
                    lane_row,
                    scale: factors(gy.scale, channel),
                    readable: gy.planes.len().saturating_sub(at),
                };
                // SAFETY: the rows are within gy, and both the strip and the matrices hold them.
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
                        at: tiles,
                        tile: to.row,
                        tile_row: columns * to.row,
                        column: to.point,
                        row: winograd::points(c.stride) * to.point,
                    };
                    let unit = c.stride == 1;
                    let f = if unit { k.unit_output_gradient } else { k.strided_output_gradient };
                    // SAFETY: the strip has 16 pixels for each tile, the matrices a row.
                    unsafe { f(&Tiles { rows, columns, from, to }) };
                }
            }
        }
    }
}
