//! A convolution as matrix products: the left matrix, made block by block, and the way back.

use rayon::prelude::*;

use super::blocks::{Block, Blocks};
use super::conv::Conv2d;
use super::gemm::{PANEL, Product};
use super::isa::{Kernels, kernels};
use super::lowering::Patches;
use super::planes::Planes;
use super::scratch::{Scratch, Shared};
use super::simd::LANES;
use super::winograd::{POINTS, Side, TILE, Tiles};

/// Floats that a block's matrices may have: most of a second-level cache.
const BLOCK_FLOATS: usize = 160 * 1024;

/// Planes [N, C, ·, ·] and, where given, a factor for each [N, C].
#[derive(Clone, Copy)]
pub struct Source<'a> {
    pub planes: &'a [f32],
    pub scale: Option<&'a [f32]>,
}

/// Planes to be written, and a factor for each. Tasks write disjoint parts.
#[derive(Clone, Copy)]
pub struct Target<'a> {
    pub planes: Shared,
    pub scale: Option<&'a [f32]>,
}

/// The lanes of `channels` that block `index` of 16 has.
pub fn lanes(channels: usize, index: usize) -> usize {
    channels.saturating_sub(index * LANES).min(LANES)
}

/// The factors of channels from `first` on of an image, or null.
pub fn factors(scale: Option<&[f32]>, first: usize) -> *const f32 {
    scale.map_or(std::ptr::null(), |s| s[first..].as_ptr())
}

/// How a convolution is lowered.
pub struct Lowered {
    pub conv: Conv2d,
    pub winograd: bool,
    /// Products with a left matrix of their own: 36 or 1.
    pub points: usize,
    /// Columns of a left matrix.
    pub depth: usize,
    /// Output pixels of a tile, in each direction; a tile is a row of the left matrix.
    tile: usize,
    pub tile_rows: usize,
    pub tile_columns: usize,
}

impl Lowered {
    pub fn new(conv: &Conv2d) -> Self {
        let winograd = conv.is_winograd();
        let (tile, points, taps) =
            if winograd { (TILE, POINTS * POINTS, 1) } else { (1, 1, conv.kernel * conv.kernel) };
        Self {
            conv: *conv,
            winograd,
            points,
            depth: conv.in_channels.div_ceil(LANES) * LANES * taps,
            tile,
            tile_rows: conv.out_h().div_ceil(tile),
            tile_columns: conv.out_w().div_ceil(tile),
        }
    }

    /// Panels of the right matrix.
    pub fn panels(&self) -> usize {
        self.conv.out_channels.div_ceil(PANEL)
    }

    /// Blocks whose tiles have about `columns` floats each besides their share of the left matrix.
    pub fn blocks(&self, columns: usize) -> Blocks {
        let tiles = BLOCK_FLOATS / (self.points * (self.depth + columns));
        let least = rayon::current_num_threads();
        Blocks::new(self.conv.batch, self.tile_rows, self.tile_columns, tiles.max(12), least)
    }

    pub fn tiles(&self, block: &Block) -> usize {
        block.images.len() * block.rows.len() * self.tile_columns
    }

    /// From a point's matrix of `floats` to the next one's: an odd number of cache lines, because a
    /// transform writes to all points at once and powers of two would share a set of the cache.
    pub fn spaced(floats: usize) -> usize {
        floats.next_multiple_of(2 * LANES) + LANES
    }

    /// Rows and columns of the strip of input pixels that `rows` rows of tiles see.
    fn strip(&self, rows: usize) -> (usize, usize) {
        let extent = |tiles: usize| (tiles * self.tile - 1) * self.conv.stride + self.conv.kernel;
        (extent(rows), extent(self.tile_columns).max(self.conv.padding + self.conv.in_w))
    }

    /// The pixels of a block's input, arranged as the left matrices [points][tiles, depth].
    pub fn lower(&self, k: &Kernels, x: Source, block: &Block) -> Scratch {
        let c = &self.conv;
        let plane = c.in_h * c.in_w;
        let rows = block.rows.len();
        let tiles_of_image = rows * self.tile_columns;
        let spaced = Self::spaced(self.tiles(block) * self.depth);
        let mut left = Scratch::new(self.points * spaced);
        let (strip_h, strip_w) = self.strip(rows);
        let mut strip = Scratch::new(strip_h * strip_w * LANES);
        // The border stays zero; the inside is overwritten for every channel.
        strip.fill(0.0);
        // The strip begins this many rows above the image, or below its first row.
        let first = block.rows.start * self.tile * c.stride;
        let (above, top) = (c.padding.saturating_sub(first), first.saturating_sub(c.padding));
        let height = (strip_h - above.min(strip_h)).min(c.in_h - top.min(c.in_h));
        for (i, image) in block.images.clone().enumerate() {
            for cb in 0..c.in_channels.div_ceil(LANES) {
                let channel = image * c.in_channels + cb * LANES;
                let at = channel * plane + top * c.in_w;
                let row = i * tiles_of_image * self.depth;
                // One pixel under one tap is its own patch.
                let direct = c.kernel == 1 && c.stride == 1 && c.padding == 0;
                let (lanes_at, lane_stride, lane_row) = if direct {
                    (left[row + cb * LANES..].as_mut_ptr(), self.depth, c.in_w * self.depth)
                } else {
                    let inside = (above * strip_w + c.padding) * LANES;
                    (strip.as_mut_ptr().wrapping_add(inside), LANES, strip_w * LANES)
                };
                let planes = Planes {
                    plane: x.planes[at.min(x.planes.len())..].as_ptr().cast_mut(),
                    plane_stride: plane,
                    channels: lanes(c.in_channels, cb),
                    pixels: height * c.in_w,
                    width: c.in_w,
                    lanes: lanes_at,
                    lane_stride,
                    lane_row,
                    scale: factors(x.scale, channel),
                    readable: x.planes.len() - at.min(x.planes.len()),
                };
                // SAFETY: `height` rows lie within both the image and the strip (or, when they go to
                // the left matrix directly, are the block's own rows of it).
                unsafe { (k.load)(&planes) };
                if direct {
                    continue;
                }
                if self.winograd {
                    let from = Side {
                        at: strip.as_mut_ptr(),
                        tile: TILE * LANES,
                        tile_row: TILE * strip_w * LANES,
                        column: LANES,
                        row: strip_w * LANES,
                    };
                    let to = Side {
                        at: left[row + cb * LANES..].as_mut_ptr(),
                        tile: self.depth,
                        tile_row: self.tile_columns * self.depth,
                        column: spaced,
                        row: POINTS * spaced,
                    };
                    let tiles = Tiles { rows, columns: self.tile_columns, from, to };
                    // SAFETY: the strip has 2 pixels more than the tiles in each direction; the
                    // left matrices have a row for each tile.
                    unsafe { (k.transform_input)(&tiles) };
                } else {
                    let taps = c.kernel * c.kernel;
                    let patches = Patches {
                        kernel: c.kernel,
                        stride: c.stride,
                        rows,
                        columns: self.tile_columns,
                        strip: strip.as_mut_ptr(),
                        strip_row: strip_w * LANES,
                        patches: left[row + cb * taps * LANES..].as_mut_ptr(),
                        tap: LANES,
                        pixel: self.depth,
                    };
                    // SAFETY: the strip holds all that the block's output pixels see.
                    unsafe { (k.gather)(&patches) };
                }
            }
        }
        left
    }

    /// The convolution: every block times every panel of `right` [panels][points][depth, PANEL].
    pub fn run(&self, x: Source, right: &[f32], y: Target) {
        let k = kernels();
        let blocks = self.blocks(PANEL);
        (0..blocks.len()).into_par_iter().for_each(|b| {
            let block = blocks.get(b);
            let left = self.lower(k, x, &block);
            let tiles = self.tiles(&block);
            let (left_stride, out_stride) =
                (Self::spaced(tiles * self.depth), Self::spaced(tiles * PANEL));
            let mut out = Scratch::new(self.points * out_stride);
            for panel in 0..self.panels() {
                for point in 0..self.points {
                    let product = Product {
                        rows: tiles,
                        depth: self.depth,
                        a: left[point * left_stride..].as_ptr(),
                        a_row: self.depth,
                        a_col: 1,
                        b: right[(panel * self.points + point) * self.depth * PANEL..].as_ptr(),
                        c: out[point * out_stride..].as_mut_ptr(),
                        accumulate: false,
                    };
                    // SAFETY: the three matrices have these sizes.
                    unsafe { (k.product)(&product) };
                }
                self.raise(k, &mut out, &block, panel, y);
            }
        });
    }

    /// Writes a panel of results, [points][tiles, PANEL], to the block's part of y.
    fn raise(&self, k: &Kernels, out: &mut [f32], block: &Block, panel: usize, y: Target) {
        let c = &self.conv;
        let (out_h, out_w) = (c.out_h(), c.out_w());
        let rows = block.rows.len();
        let top = block.rows.start * self.tile;
        let spaced = Self::spaced(self.tiles(block) * PANEL);
        let strip_w = self.tile_columns * TILE;
        let mut strip = self.winograd.then(|| Scratch::new(rows * TILE * strip_w * LANES));
        for (i, image) in block.images.clone().enumerate() {
            for half in 0..PANEL / LANES {
                let cb = panel * PANEL / LANES + half;
                if lanes(c.out_channels, cb) == 0 {
                    continue;
                }
                let from = out[i * rows * self.tile_columns * PANEL + half * LANES..].as_mut_ptr();
                let (lanes_at, lane_stride, lane_row) = match &mut strip {
                    None => (from, PANEL, out_w * PANEL),
                    Some(strip) => {
                        let to = strip.as_mut_ptr();
                        let from = Side {
                            at: from,
                            tile: PANEL,
                            tile_row: self.tile_columns * PANEL,
                            column: spaced,
                            row: POINTS * spaced,
                        };
                        let side = Side {
                            at: to,
                            tile: TILE * LANES,
                            tile_row: TILE * strip_w * LANES,
                            column: LANES,
                            row: strip_w * LANES,
                        };
                        let tiles = Tiles { rows, columns: self.tile_columns, from, to: side };
                        // SAFETY: the strip has 16 pixels for each tile.
                        unsafe { (k.transform_output)(&tiles) };
                        (to, LANES, strip_w * LANES)
                    }
                };
                let channel = image * c.out_channels + cb * LANES;
                let planes = Planes {
                    plane: y.planes.at((channel * out_h + top) * out_w),
                    plane_stride: out_h * out_w,
                    channels: lanes(c.out_channels, cb),
                    pixels: (rows * self.tile).min(out_h - top) * out_w,
                    width: out_w,
                    lanes: lanes_at,
                    lane_stride,
                    lane_row,
                    scale: factors(y.scale, channel),
                    readable: 0,
                };
                // SAFETY: only this task writes these rows of these images.
                unsafe { (k.store)(&planes) };
            }
        }
    }
}
