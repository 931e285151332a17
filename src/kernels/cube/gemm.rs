//! Products of two matrices, of which a cube computes one tile, by its units or on tensor cores.

use cubecl::prelude::*;

use super::launch::Floats;
use super::tensor_cores::{self, Matrices};
use super::tile::{Four, Tile};
use super::units::Units;

/// Tensor cores pay off for weight gradients whose sums have at least this many terms: those of
/// convolutions, not those of linear layers.
const LONG: usize = 1024;

impl Tile {
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
