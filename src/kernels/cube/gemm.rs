//! The tiles that convolutions are computed in: products of two matrices, a strip of each of which
//! is brought into shared memory in turn.

use cubecl::prelude::*;

use super::launch::Floats;
use super::tensor_cores::{self, Matrices};

/// Terms of the sums that shared memory holds at a time.
pub const DEPTH: usize = 16;
/// Units of a cube.
pub const UNITS: usize = 256;
/// Terms of the sums of a weight gradient from which on tensor cores are worth it: those of
/// convolutions, not those of linear layers.
const LONG: usize = 1024;

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
    const LARGE: Self = Self { workers: [16, 16], each: [8, 8], matrices: false };
    /// For small images and few channels.
    const MEDIUM: Self = Self { workers: [16, 16], each: [4, 4], matrices: false };
    /// For a few rows, such as colours.
    const FLAT: Self = Self { workers: [4, 64], each: [4, 4], matrices: false };

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

    /// The tile for a convolution with so many taps, on the device of `like`. Tensor cores are faster
    /// where a cube reads much for each sum: at large tiles, but not at single taps.
    pub fn of_convolution(like: &Floats, rows: usize, columns: usize, taps: usize) -> Self {
        match Self::of(rows, columns) {
            Self::LARGE if taps > 1 && tensor_cores::available(like) => Self::LARGE_MATRICES,
            tile => tile,
        }
    }

    /// The tile for a weight gradient, whose sums have so many terms, on the device of `like`.
    pub fn of_weight_gradient(like: &Floats, rows: usize, columns: usize, terms: usize) -> Self {
        match Self::of(rows, columns) {
            Self::FLAT => Self::FLAT,
            tile if terms < LONG || columns < 128 || !tensor_cores::available(like) => tile,
            Self::LARGE => Self::LARGE_MATRICES,
            _ => Self::MATRICES,
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

    /// Whether all units bring as many of them.
    pub const fn fills_left(&self) -> bool {
        (DEPTH * self.rows() / 4).is_multiple_of(UNITS)
    }

    /// Fours of a right strip that a unit brings.
    pub const fn right_fours(&self) -> usize {
        (DEPTH * self.columns() / 4).div_ceil(UNITS)
    }

    /// Distance of the fours of neighbouring terms in the left strip. It is odd, so that units that
    /// fill it side by side write to different banks; tensor cores load rows of 16 bytes.
    pub const fn left_stride(&self) -> usize {
        self.rows() / 4 + if self.matrices { 2 } else { 1 }
    }

    /// The same in the right strip.
    pub const fn right_stride(&self) -> usize {
        self.columns() / 4 + if self.matrices { 2 } else { 1 }
    }

    /// Groups of a worker's results below each other.
    pub const fn row_groups(&self) -> usize {
        if self.matrices { self.each[0] / tensor_cores::SIDE } else { 1 }
    }

    /// Groups of a worker's results side by side.
    pub const fn column_groups(&self) -> usize {
        self.each[1] / if self.matrices { 2 * tensor_cores::SIDE } else { 4 }
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

/// The memory of a cube that computes a tile.
#[derive(CubeType)]
#[expect(dead_code, reason = "kernels are expanded from it and never construct it")]
pub enum Work {
    /// Units multiply.
    Units(Units),
    /// Tensor cores multiply.
    Matrices(Matrices),
}

#[cube]
impl Work {
    pub fn new(#[comptime] tile: Tile) -> Work {
        if comptime!(tile.matrices) {
            Work::new_Matrices(Matrices::new(tile))
        } else {
            Work::new_Units(Units::new(tile))
        }
    }

    /// Stores four rows of a term.
    pub fn put_left(&mut self, term: usize, four: usize, values: Four) {
        match self {
            Work::Units(work) => work.put_left(term, four, values),
            Work::Matrices(work) => work.put_left(term, four, values),
        }
    }

    /// Stores four columns of a term.
    pub fn put_right(&mut self, term: usize, four: usize, values: Four) {
        match self {
            Work::Units(work) => work.put_right(term, four, values),
            Work::Matrices(work) => work.put_right(term, four, values),
        }
    }

    /// Adds the product of the strips to the sums. All units of the cube must have filled them.
    pub fn multiply(&mut self) {
        match self {
            Work::Units(work) => work.multiply(),
            Work::Matrices(work) => work.multiply(),
        }
    }

    /// The four columns of this unit's results in a group.
    pub fn column_four(&self, #[comptime] across: usize) -> usize {
        match self {
            Work::Units(work) => work.column_four(across),
            Work::Matrices(work) => work.column_four(across),
        }
    }

    /// Prepares the results of a group. All units of the cube must ask for the same.
    pub fn open_group(&mut self, #[comptime] down: usize, #[comptime] across: usize) {
        match self {
            Work::Units(_) => {}
            Work::Matrices(work) => work.open_group(down, across),
        }
    }

    /// The row of result `number` of a group.
    pub fn row(&self, #[comptime] down: usize, #[comptime] number: usize) -> usize {
        match self {
            Work::Units(work) => work.row(number),
            Work::Matrices(work) => work.row(down, number),
        }
    }

    /// Result `number` of the group that was opened last, and is side by side with `across` others.
    pub fn result(&self, #[comptime] across: usize, #[comptime] number: usize) -> Four {
        match self {
            Work::Units(work) => work.result(across, number),
            Work::Matrices(work) => work.result(number),
        }
    }
}

/// The memory of a cube whose units multiply in f32.
#[derive(CubeType)]
pub struct Units {
    /// `[DEPTH, rows / 4]`.
    left: Shared<[Four]>,
    /// `[DEPTH, columns / 4]`.
    right: Shared<[Four]>,
    /// The unit's own sums: its rows, each of them in fours.
    sums: Array<Four>,
    #[cube(comptime)]
    tile: Tile,
}

#[cube]
impl Units {
    fn new(#[comptime] tile: Tile) -> Units {
        let count = comptime!(tile.each[0] * tile.each[1] / 4);
        let mut sums = Array::<Four>::new(count);
        #[unroll]
        for i in 0..count {
            sums[i] = Four::new(0.0f32);
        }
        Units {
            left: Shared::<[Four]>::new_slice(comptime!(DEPTH * tile.left_stride())),
            right: Shared::<[Four]>::new_slice(comptime!(DEPTH * tile.right_stride())),
            sums,
            tile,
        }
    }

    fn put_left(&mut self, term: usize, four: usize, values: Four) {
        self.left[term * comptime!(self.tile.left_stride()) + four] = values;
    }

    fn put_right(&mut self, term: usize, four: usize, values: Four) {
        self.right[term * comptime!(self.tile.right_stride()) + four] = values;
    }

    fn multiply(&mut self) {
        let tile = comptime!(self.tile);
        let lefts = comptime!(tile.each[0] / 4);
        let rights = comptime!(tile.each[1] / 4);
        let unit = UNIT_POS as usize;
        let row = unit / comptime!(tile.workers[1]);
        let column = unit % comptime!(tile.workers[1]);
        for k in 0..DEPTH {
            #[unroll]
            for i in 0..lefts {
                let at = k * comptime!(tile.left_stride()) + row + comptime!(i * tile.workers[0]);
                let left = self.left[at];
                #[unroll]
                for j in 0..rights {
                    let at = k * comptime!(tile.right_stride())
                        + column
                        + comptime!(j * tile.workers[1]);
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

    fn column_four(&self, #[comptime] across: usize) -> usize {
        let tile = comptime!(self.tile);
        UNIT_POS as usize % comptime!(tile.workers[1]) + comptime!(across * tile.workers[1])
    }

    fn row(&self, #[comptime] number: usize) -> usize {
        let tile = comptime!(self.tile);
        let four = UNIT_POS as usize / comptime!(tile.workers[1])
            + comptime!(number / 4 * tile.workers[0]);
        four * 4 + comptime!(number % 4)
    }

    fn result(&self, #[comptime] across: usize, #[comptime] number: usize) -> Four {
        self.sums[comptime!(number * (self.tile.each[1] / 4) + across)]
    }
}
