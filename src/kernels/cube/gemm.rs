//! The tiles that convolutions are computed in: products of two matrices, a strip of each of which
//! is brought into shared memory in turn.

use cubecl::prelude::*;

/// Terms of the sums that shared memory holds at a time.
pub const DEPTH: usize = 16;
/// Units of a cube.
pub const UNITS: usize = 256;

/// The part of the product that one cube computes, and the part of one unit. Its sides are multiples
/// of four.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tile {
    /// Units of the cube below each other, and side by side.
    pub units: [usize; 2],
    /// Rows and columns of each unit.
    pub each: [usize; 2],
}

impl Tile {
    /// For layers with many channels: 16 KiB of shared memory, 64 sums for each unit.
    const LARGE: Self = Self { units: [16, 16], each: [8, 8] };
    /// For small images and few channels.
    const MEDIUM: Self = Self { units: [16, 16], each: [4, 4] };
    /// For a few rows, such as colours.
    const FLAT: Self = Self { units: [4, 64], each: [4, 4] };

    /// The tile for a product of this size.
    pub fn of(rows: usize, columns: usize) -> Self {
        if rows <= 16 {
            Self::FLAT
        } else if rows <= 64 || rows * columns <= 512 * 1024 {
            Self::MEDIUM
        } else {
            Self::LARGE
        }
    }

    /// Rows of the tile.
    pub const fn rows(&self) -> usize {
        self.units[0] * self.each[0]
    }

    /// Columns of the tile.
    pub const fn columns(&self) -> usize {
        self.units[1] * self.each[1]
    }

    /// Distance of the fours of neighbouring terms in the left strip: odd, so that units that fill it
    /// side by side write to different banks.
    pub const fn left_stride(&self) -> usize {
        self.rows() / 4 + 1
    }

    /// The same in the right strip.
    pub const fn right_stride(&self) -> usize {
        self.columns() / 4 + 1
    }
}

/// Four neighbouring rows or columns of a strip.
pub type Four = Vector<f32, Const<4>>;

/// The memory of a cube that computes a tile.
#[derive(CubeType)]
pub struct Work {
    /// `[DEPTH, rows / 4]`.
    pub left: Shared<[Four]>,
    /// `[DEPTH, columns / 4]`.
    pub right: Shared<[Four]>,
    /// The unit's own sums: its rows, each of them in fours.
    pub sums: Array<Four>,
    #[cube(comptime)]
    tile: Tile,
}

#[cube]
impl Work {
    pub fn new(#[comptime] tile: Tile) -> Work {
        let count = comptime!(tile.each[0] * tile.each[1] / 4);
        let mut sums = Array::<Four>::new(count);
        #[unroll]
        for i in 0..count {
            sums[i] = Four::new(0.0f32);
        }
        Work {
            left: Shared::<[Four]>::new_slice(comptime!(DEPTH * tile.left_stride())),
            right: Shared::<[Four]>::new_slice(comptime!(DEPTH * tile.right_stride())),
            sums,
            tile,
        }
    }

    /// Adds the product of the strips to the sums. All units of the cube must have filled them.
    pub fn multiply(&mut self) {
        let tile = comptime!(self.tile);
        let lefts = comptime!(tile.each[0] / 4);
        let rights = comptime!(tile.each[1] / 4);
        let unit = UNIT_POS as usize;
        let row = unit / comptime!(tile.units[1]);
        let column = unit % comptime!(tile.units[1]);
        for k in 0..DEPTH {
            #[unroll]
            for i in 0..lefts {
                let at = k * comptime!(tile.left_stride()) + row + comptime!(i * tile.units[0]);
                let left = self.left[at];
                #[unroll]
                for j in 0..rights {
                    let at =
                        k * comptime!(tile.right_stride()) + column + comptime!(j * tile.units[1]);
                    let right = self.right[at];
                    #[unroll]
                    for lane in 0..4usize {
                        let factor = Four::new(left.extract(lane));
                        self.sums[comptime!((i * 4 + lane) * rights + j)] += factor * right;
                    }
                }
            }
        }
    }
}
