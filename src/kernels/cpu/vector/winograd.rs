//! Transforms for 3×3 convolutions with a fraction of the multiplications: Winograd's F(4×4, 3×3), and
//! its counterpart for stride 2.
//!
//! Four outputs of a three-tap filter are a product of two polynomials, which its values at six points
//! determine. So the input and the filter are transformed to values at the points, these are
//! multiplied, and the products are transformed back. In two dimensions that takes 36 multiplications
//! where the definition takes 144, and for each of the 36 the sum over channels is a matrix product
//! ([`unit`](mod@unit)).
//!
//! At stride 2 the even pixels meet the outer two taps and the odd pixels the middle one. The former
//! takes five points for four outputs; the latter is four plain products. In two dimensions that is
//! 81 multiplications where the definition takes 144 ([`strided`]).
//!
//! Writing the convolution as Y = Aᵀ[(G·g·Gᵀ) ⊙ (Bᵀ·d·B)]A, the gradient of the weight is
//! Gᵀ[Σ (A·gy·Aᵀ) ⊙ (Bᵀ·d·B)]G and that of the data B[(G·g·Gᵀ) ⊙ (A·gy·Aᵀ)]Bᵀ.
//!
//! The points are small and symmetric: 0, ±3/4, ±3/2, ∞ for stride 1, ±1/2, ±5/4, ∞ for stride 2.
//! The usual 0, ±1, ±2, ∞ cost the same and are half as accurate: for 128 channels the relative error
//! (root mean square) is 2.3e-6 with them, 1.1e-6 here, 0.7e-6 at stride 2 and 0.6e-6 for a plain sum.

use super::simd::Simd;

pub mod strided;
pub mod unit;

/// Side of a tile in output pixels.
pub const TILE: usize = 4;

/// Number of right matrices in each direction. At stride 2 the last four points use the middle tap's.
pub const MATRICES: usize = 6;

/// Number of points in each direction: as many as a tile has input pixels.
pub const fn points(stride: usize) -> usize {
    (TILE - 1) * stride + 3
}

/// The place of one side of a transform: a matrix of vectors of 16 lanes for each tile.
#[derive(Clone, Copy)]
pub struct Side {
    /// The first tile's first element.
    pub at: *mut f32,
    /// From a tile to the next one in its row of tiles, and to the one below.
    pub tile: usize,
    pub tile_row: usize,
    /// From an element of the matrix to the next one in its row, and to the one below.
    pub column: usize,
    pub row: usize,
}

/// A grid of tiles and both sides of their transform.
#[derive(Clone, Copy)]
pub struct Tiles {
    pub rows: usize,
    pub columns: usize,
    pub from: Side,
    pub to: Side,
}

/// `to = T·from·Tᵀ` for every tile, or `to += …`; `f` is x ↦ T·x.
///
/// # Safety
/// `t.from` is readable and `t.to` writable for every tile, and the processor has V's instruction
/// set.
#[inline(always)]
unsafe fn sandwich<V: Simd, const I: usize, const O: usize, const ADD: bool>(
    t: &Tiles,
    f: impl Fn([V; I]) -> [V; O],
) {
    for y in 0..t.rows {
        for x in 0..t.columns {
            let from = t.from.at.wrapping_add(y * t.from.tile_row + x * t.from.tile);
            let to = t.to.at.wrapping_add(y * t.to.tile_row + x * t.to.tile);
            // SAFETY: the contract.
            unsafe {
                let mut half = [[V::splat(0.0); I]; O];
                for j in 0..I {
                    let mut column = [V::splat(0.0); I];
                    for (i, v) in column.iter_mut().enumerate() {
                        *v = V::load(from.wrapping_add(i * t.from.row + j * t.from.column));
                    }
                    for (row, v) in half.iter_mut().zip(f(column)) {
                        row[j] = v;
                    }
                }
                for (i, row) in half.into_iter().enumerate() {
                    for (j, v) in f(row).into_iter().enumerate() {
                        let to = to.wrapping_add(i * t.to.row + j * t.to.column);
                        if ADD { V::load(to).add(v).store(to) } else { v.store(to) }
                    }
                }
            }
        }
    }
}
