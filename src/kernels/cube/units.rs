//! Products in f32, of which each unit computes a part.

use cubecl::prelude::*;

use super::tile::{DEPTH, Four, Tile};

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
    pub fn new(#[comptime] tile: Tile) -> Units {
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

    pub fn put_left(&mut self, term: usize, four: usize, values: Four) {
        self.left[term * comptime!(self.tile.left_stride()) + four] = values;
    }

    pub fn put_right(&mut self, term: usize, four: usize, values: Four) {
        self.right[term * comptime!(self.tile.right_stride()) + four] = values;
    }

    pub fn multiply(&mut self) {
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

    pub fn column_four(&self, #[comptime] across: usize) -> usize {
        let tile = comptime!(self.tile);
        UNIT_POS as usize % comptime!(tile.workers[1]) + comptime!(across * tile.workers[1])
    }

    pub fn row(&self, #[comptime] number: usize) -> usize {
        let tile = comptime!(self.tile);
        let four = UNIT_POS as usize / comptime!(tile.workers[1])
            + comptime!(number / 4 * tile.workers[0]);
        four * 4 + comptime!(number % 4)
    }

    pub fn result(&self, #[comptime] across: usize, #[comptime] number: usize) -> Four {
        self.sums[comptime!(number * (self.tile.each[1] / 4) + across)]
    }
}
