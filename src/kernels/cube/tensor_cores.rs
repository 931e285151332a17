//! Products on tensor cores (cooperative matrices), almost as exact as f32.
//!
//! Tensor cores multiply bf16 numbers and add in f32. Each f32 is divided into two bf16 numbers, which
//! hold 16 bits of its mantissa and its whole range: x ≈ high + low. Three of the four products of
//! such pairs are added; the fourth is below their rounding. The relative error of a term is about
//! 2⁻¹⁵, where tf32 has 2⁻¹⁰.

use cubecl::cmma::{self, Matrix, MatrixIdent, MatrixLayout};
use cubecl::ir::features::MmaConfig;
use cubecl::ir::{ElemType, FloatKind};
use cubecl::prelude::*;
use half::bf16;

use super::launch::Floats;
use super::tile::{DEPTH, Four, SIDE, Tile};

/// Units of a plane, which holds one matrix together.
const PLANE: usize = 32;
/// Fours of a row of the results that a plane writes to shared memory at a time.
const RESULTS: usize = 2 * SIDE / 4;

/// Bytes of shared memory of the largest tile: strips and results.
const MEMORY: usize = 34 * 1024;

/// Whether the device of a tensor multiplies such matrices, in planes of the usual size.
pub fn available(like: &Floats) -> bool {
    let properties = like.client.properties();
    let side = SIDE as u32;
    let needed = MmaConfig {
        a_type: ElemType::Float(FloatKind::BF16),
        b_type: ElemType::Float(FloatKind::BF16),
        cd_type: ElemType::Float(FloatKind::F32),
        m: side,
        n: side,
        k: side,
    };
    let hardware = &properties.hardware;
    [hardware.plane_size_min, hardware.plane_size_max] == [PLANE as u32; 2]
        && hardware.max_shared_memory_size >= MEMORY
        && properties.features.matmul.cmma.contains(&needed)
}

/// Four numbers of a strip, halved.
type Half = Vector<bf16, Const<4>>;

/// The memory of a cube whose planes multiply on tensor cores.
#[derive(CubeType)]
pub struct Matrices {
    /// `[DEPTH, rows / 4]`: high and low parts.
    left: Shared<[Half]>,
    left_low: Shared<[Half]>,
    /// `[DEPTH, columns / 4]`: high and low parts.
    right: Shared<[Half]>,
    right_low: Shared<[Half]>,
    /// Of each plane, `[SIDE, RESULTS]`.
    results: Shared<[Four]>,
    /// The plane's own sums: rows of matrices.
    sums: Sequence<Matrix<f32>>,
    #[cube(comptime)]
    tile: Tile,
}

#[cube]
fn left_matrix(strip: &Shared<[Half]>, four: usize, #[comptime] tile: Tile) -> Matrix<bf16> {
    // SAFETY: it is loaded at once.
    let mut matrix = unsafe {
        Matrix::<bf16>::uninitialized(MatrixIdent::A, SIDE, SIDE, SIDE, MatrixLayout::ColMajor)
    };
    let strip = &strip[four..comptime!(DEPTH * tile.left_stride())];
    cmma::load(&mut matrix, strip, comptime!(4 * tile.left_stride() as u32));
    matrix
}

#[cube]
fn right_matrix(strip: &Shared<[Half]>, four: usize, #[comptime] tile: Tile) -> Matrix<bf16> {
    // SAFETY: it is loaded at once.
    let mut matrix = unsafe {
        Matrix::<bf16>::uninitialized(MatrixIdent::B, SIDE, SIDE, SIDE, MatrixLayout::RowMajor)
    };
    let strip = &strip[four..comptime!(DEPTH * tile.right_stride())];
    cmma::load(&mut matrix, strip, comptime!(4 * tile.right_stride() as u32));
    matrix
}

#[cube]
impl Matrices {
    pub fn new(#[comptime] tile: Tile) -> Matrices {
        let mut sums = Sequence::<Matrix<f32>>::new();
        #[unroll]
        for _ in 0..comptime!(tile.each[0] * tile.each[1] / (SIDE * SIDE)) {
            sums.push(Matrix::<f32>::from_value(
                MatrixIdent::Accumulator,
                SIDE,
                SIDE,
                SIDE,
                MatrixLayout::Undefined,
                0.0f32,
            ));
        }
        let left = comptime!(DEPTH * tile.left_stride());
        let right = comptime!(DEPTH * tile.right_stride());
        Matrices {
            left: Shared::<[Half]>::new_slice(left),
            left_low: Shared::<[Half]>::new_slice(left),
            right: Shared::<[Half]>::new_slice(right),
            right_low: Shared::<[Half]>::new_slice(right),
            results: Shared::<[Four]>::new_slice(comptime!(
                tile.workers[0] * tile.workers[1] * SIDE * RESULTS
            )),
            sums,
            tile,
        }
    }

    pub fn put_left(&mut self, term: usize, four: usize, values: Four) {
        let at = term * comptime!(self.tile.left_stride()) + four;
        let high = Half::cast_from(values);
        self.left[at] = high;
        self.left_low[at] = Half::cast_from(values - Four::cast_from(high));
    }

    pub fn put_right(&mut self, term: usize, four: usize, values: Four) {
        let at = term * comptime!(self.tile.right_stride()) + four;
        let high = Half::cast_from(values);
        self.right[at] = high;
        self.right_low[at] = Half::cast_from(values - Four::cast_from(high));
    }

    pub fn multiply(&mut self) {
        let tile = comptime!(self.tile);
        let plane = PLANE_POS as usize;
        let row = plane / comptime!(tile.workers[1]) * comptime!(tile.each[0] / 4);
        let column = plane % comptime!(tile.workers[1]) * comptime!(tile.each[1] / 4);
        let rights = comptime!(tile.each[1] / SIDE);
        let mut high = Sequence::<Matrix<bf16>>::new();
        let mut low = Sequence::<Matrix<bf16>>::new();
        #[unroll]
        for j in 0..rights {
            let at = column + comptime!(j * SIDE / 4);
            high.push(right_matrix(&self.right, at, tile));
            low.push(right_matrix(&self.right_low, at, tile));
        }
        #[unroll]
        for i in 0..comptime!(tile.each[0] / SIDE) {
            let at = row + comptime!(i * SIDE / 4);
            let left = left_matrix(&self.left, at, tile);
            let left_low = left_matrix(&self.left_low, at, tile);
            #[unroll]
            for j in 0..rights {
                let sums = self.sums.index(comptime!(i * rights + j));
                cmma::execute(&left_low, high.index(j), sums, sums);
                cmma::execute(&left, low.index(j), sums, sums);
                cmma::execute(&left, high.index(j), sums, sums);
            }
        }
    }

    /// See [`Work::column_four`](super::gemm::Work::column_four).
    pub fn column_four(&self, #[comptime] across: usize) -> usize {
        let tile = comptime!(self.tile);
        let first = PLANE_POS as usize % comptime!(tile.workers[1]) * comptime!(tile.each[1] / 4);
        first + UNIT_POS_PLANE as usize % RESULTS + comptime!(across * RESULTS)
    }

    /// Writes a row of two matrices to shared memory.
    pub fn open_group(&mut self, #[comptime] down: usize, #[comptime] across: usize) {
        let from = PLANE_POS as usize * comptime!(SIDE * RESULTS);
        let rights = comptime!(self.tile.each[1] / SIDE);
        sync_cube();
        #[unroll]
        for j in 0..2usize {
            let at = from + comptime!(j * SIDE / 4);
            cmma::store(
                &mut self.results
                    [at..comptime!(self.tile.workers[0] * self.tile.workers[1] * SIDE * RESULTS)],
                self.sums.index(comptime!(down * rights + across * 2 + j)),
                comptime!(4 * RESULTS as u32),
                MatrixLayout::RowMajor,
            );
        }
        sync_cube();
    }

    /// See [`Work::row`](super::gemm::Work::row).
    pub fn row(&self, #[comptime] down: usize, #[comptime] number: usize) -> usize {
        let tile = comptime!(self.tile);
        let first = PLANE_POS as usize / comptime!(tile.workers[1]) * comptime!(tile.each[0])
            + comptime!(down * SIDE);
        first + self.result_row(number)
    }

    fn result_row(&self, #[comptime] number: usize) -> usize {
        UNIT_POS_PLANE as usize / RESULTS + comptime!(number * (PLANE / RESULTS))
    }

    /// See [`Work::result`](super::gemm::Work::result).
    pub fn result(&self, #[comptime] number: usize) -> Four {
        let row = PLANE_POS as usize * SIDE + self.result_row(number);
        self.results[row * RESULTS + UNIT_POS_PLANE as usize % RESULTS]
    }
}
