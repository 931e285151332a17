//! The tiles that products are computed in: a cube brings a strip of each matrix into shared memory in
//! turn.

use cubecl::prelude::*;

/// Terms of the sums that shared memory holds at a time.
pub const DEPTH: usize = 16;
/// Units of a cube.
pub const UNITS: usize = 256;
/// Rows, columns and terms of a matrix.
pub const SIDE: usize = 16;

/// The part of the product that one cube computes, and the part of one worker: a unit, or a plane
/// with tensor cores. Its sides are multiples of four.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tile {
    /// Workers of the cube below each other, and side by side.
    pub workers: [usize; 2],
    /// Rows and columns of each worker.
    pub each: [usize; 2],
    /// Whether tensor cores multiply.
    pub matrices: bool,
}

impl Tile {
    /// For layers with many channels: 16 KiB of shared memory, 64 sums for each unit.
    pub const LARGE: Self = Self { workers: [16, 16], each: [8, 8], matrices: false };
    /// For small images and few channels.
    pub const MEDIUM: Self = Self { workers: [16, 16], each: [4, 4], matrices: false };
    /// For a few rows, such as colours.
    pub const FLAT: Self = Self { workers: [4, 64], each: [4, 4], matrices: false };

    /// For layers with many channels.
    pub const LARGE_MATRICES: Self = Self { workers: [4, 2], each: [32, 64], matrices: true };
    /// For small images and few channels.
    pub const MATRICES: Self = Self { workers: [2, 4], each: [32, 32], matrices: true };

    /// The tile for a product of this size in which units multiply.
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
        self.workers[0] * self.each[0]
    }

    /// Columns of the tile.
    pub const fn columns(&self) -> usize {
        self.workers[1] * self.each[1]
    }

    /// Fours of a left strip that a unit brings.
    pub const fn left_fours(&self) -> usize {
        (DEPTH * self.rows() / 4).div_ceil(UNITS)
    }

    /// Whether all units bring the same number.
    pub const fn fills_left(&self) -> bool {
        (DEPTH * self.rows() / 4).is_multiple_of(UNITS)
    }

    /// Fours of a right strip that a unit brings.
    pub const fn right_fours(&self) -> usize {
        (DEPTH * self.columns() / 4).div_ceil(UNITS)
    }

    /// Distance of the fours of neighbouring terms in the left strip. For units it is odd, so that
    /// those that fill it side by side write to different banks. Tensor cores read 16 bytes at a time,
    /// so there it is even, and rows that are read together lie in different banks.
    pub const fn left_stride(&self) -> usize {
        self.rows() / 4 + if self.matrices { 2 } else { 1 }
    }

    /// The same in the right strip.
    pub const fn right_stride(&self) -> usize {
        self.columns() / 4 + if self.matrices { 2 } else { 1 }
    }

    /// Groups of a worker's results below each other.
    pub const fn row_groups(&self) -> usize {
        if self.matrices { self.each[0] / SIDE } else { 1 }
    }

    /// Groups of a worker's results side by side.
    pub const fn column_groups(&self) -> usize {
        self.each[1] / if self.matrices { 2 * SIDE } else { 4 }
    }

    /// Fours of results in a group that each unit holds, one below the other.
    pub const fn group(&self) -> usize {
        if self.matrices { 4 } else { self.each[0] }
    }
}

/// Four rows or columns of a strip. Rows are neighbours; columns are those that [`column`] names.
pub type Four = Vector<f32, Const<4>>;

/// The column of a tile that is in this lane of a four. Neighbouring fours have neighbouring columns
/// in each lane, so that neighbouring units read and write neighbouring pixels.
#[cube]
pub fn column(four: usize, #[comptime] lane: usize, #[comptime] tile: Tile) -> usize {
    four + comptime!(lane * tile.columns() / 4)
}
