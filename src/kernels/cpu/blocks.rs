//! The division of a batch of images into blocks, one for each task.

use std::ops::Range;

/// A batch of images × rows of tiles, divided into blocks of about a given number of tiles: several
/// whole images, or some rows of one.
#[derive(Clone, Copy, Debug)]
pub struct Blocks {
    batch: usize,
    rows: usize,
    /// Number of groups of images.
    groups: usize,
    /// Number of parts of an image.
    parts: usize,
}

/// One block: the given rows of the given images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    pub images: Range<usize>,
    pub rows: Range<usize>,
}

impl Blocks {
    /// Blocks of about `tiles` tiles, and at least `least` blocks if there are enough rows.
    pub fn new(batch: usize, rows: usize, columns: usize, tiles: usize, least: usize) -> Self {
        let image = rows * columns;
        let groups = (batch * image).div_ceil(tiles.max(image)).max(least).clamp(1, batch.max(1));
        let parts = image.div_ceil(tiles).max(least.div_ceil(groups)).clamp(1, rows.max(1));
        let groups = if parts > 1 { batch } else { groups };
        Self { batch, rows, groups, parts }
    }

    pub fn len(&self) -> usize {
        self.groups * self.parts
    }

    pub fn get(&self, index: usize) -> Block {
        let (group, part) = (index / self.parts, index % self.parts);
        Block {
            images: share(self.batch, self.groups, group),
            rows: share(self.rows, self.parts, part),
        }
    }
}

/// The `index`-th of `parts` nearly equal parts of `0..total`.
pub fn share(total: usize, parts: usize, index: usize) -> Range<usize> {
    total * index / parts..total * (index + 1) / parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_cover_everything_once() {
        for (batch, rows, columns) in [(1, 1, 1), (16, 8, 8), (16, 1, 1), (3, 7, 5), (5, 64, 64)] {
            for tiles in [1, 24, 1000] {
                for least in [1, 2, 7] {
                    let blocks = Blocks::new(batch, rows, columns, tiles, least);
                    let mut seen = vec![0; batch * rows];
                    for b in 0..blocks.len() {
                        let block = blocks.get(b);
                        for image in block.images {
                            block.rows.clone().for_each(|row| seen[image * rows + row] += 1);
                        }
                    }
                    assert!(seen.iter().all(|&n| n == 1), "{blocks:?}");
                }
            }
        }
    }
}
