//! The matrix product that every convolution ends in.

use super::simd::{LANES, Simd};

/// Columns of a panel: the right matrix and the result are stored in panels of this width.
pub const PANEL: usize = 32;

/// The distance between adjacent matrices of `floats`: an odd number of cache lines, because transforms
/// write to all matrices in turn, and at powers of two they would compete for one set of the cache.
pub fn spaced(floats: usize) -> usize {
    floats.next_multiple_of(2 * LANES) + LANES
}

/// Rows of the right matrix that are used at a time: 256 rows of 32 floats stay in the first-level
/// cache.
const DEPTH_BLOCK: usize = 256;

/// One product `C = A·B` or `C += A·B`, B and C one panel wide.
#[derive(Clone, Copy)]
pub struct Product {
    /// Rows of A and C.
    pub rows: usize,
    /// Columns of A, rows of B.
    pub depth: usize,
    /// A[r, d] is at `r·a_row + d·a_col`; one of the two is 1.
    pub a: *const f32,
    pub a_row: usize,
    pub a_col: usize,
    /// B[d, j] is at `d·PANEL + j`.
    pub b: *const f32,
    /// C[r, j] is at `r·PANEL + j`.
    pub c: *mut f32,
    pub accumulate: bool,
}

/// Computes the product.
///
/// # Safety
/// The pointers of `p` are valid for what its fields say, C overlaps neither A nor B, and the
/// processor has V's instruction set.
#[inline(always)]
pub unsafe fn product<V: Simd>(p: &Product) {
    // Groups of equal height rather than full ones and a remainder: a low group wastes registers.
    let groups = p.rows.div_ceil(V::TILE_ROWS).max(1);
    let mut depth0 = 0;
    loop {
        let depth = (p.depth - depth0).min(DEPTH_BLOCK);
        let accumulate = p.accumulate || depth0 > 0;
        for column in (0..PANEL).step_by(V::TILE_VECTORS * LANES) {
            let mut row = 0;
            for g in 0..groups {
                let rows = (p.rows + g) / groups;
                // SAFETY: rows, columns and depths stay within the product's.
                unsafe {
                    let a = p.a.add(row * p.a_row + depth0 * p.a_col);
                    let b = p.b.add(depth0 * PANEL + column);
                    let c = p.c.add(row * PANEL + column);
                    if p.a_col == 1 {
                        dispatch::<V, true>(rows, depth, a, p.a_row, b, c, accumulate);
                    } else {
                        dispatch::<V, false>(rows, depth, a, p.a_col, b, c, accumulate);
                    }
                }
                row += rows;
            }
        }
        depth0 += depth;
        if depth0 >= p.depth {
            break;
        }
    }
}

#[inline(always)]
unsafe fn dispatch<V: Simd, const BY_ROW: bool>(
    rows: usize,
    depth: usize,
    a: *const f32,
    stride: usize,
    b: *const f32,
    c: *mut f32,
    accumulate: bool,
) {
    macro_rules! sizes {
        ($vectors:literal: $($rows:literal)*) => {
            match rows {
                // SAFETY: the contract of `product`.
                $($rows if $rows <= V::TILE_ROWS => unsafe {
                    tile::<V, BY_ROW, $rows, $vectors>(depth, a, stride, b, c, accumulate)
                },)*
                _ => {}
            }
        };
    }
    if V::TILE_VECTORS == 1 {
        sizes!(1: 1 2 3 4 5 6);
    } else {
        sizes!(2: 1 2 3 4 5 6 7 8 9 10 11 12);
    }
}

/// Computes `R` rows of `C` vectors of the result, which stay in registers over the whole depth.
#[inline(always)]
unsafe fn tile<V: Simd, const BY_ROW: bool, const R: usize, const C: usize>(
    depth: usize,
    a: *const f32,
    stride: usize,
    b: *const f32,
    c: *mut f32,
    accumulate: bool,
) {
    // SAFETY: `product`'s contract.
    unsafe {
        let mut sums = [[V::splat(0.0); C]; R];
        for d in 0..depth {
            let mut row = [V::splat(0.0); C];
            for (i, v) in row.iter_mut().enumerate() {
                *v = V::load(b.add(d * PANEL + i * LANES));
            }
            for (r, sums) in sums.iter_mut().enumerate() {
                let at = if BY_ROW { r * stride + d } else { d * stride + r };
                let x = V::splat(*a.add(at));
                for (sum, v) in sums.iter_mut().zip(row) {
                    *sum = x.mul_add(v, *sum);
                }
            }
        }
        for (r, sums) in sums.iter().enumerate() {
            for (i, sum) in sums.iter().enumerate() {
                let at = c.add(r * PANEL + i * LANES);
                if accumulate {
                    V::load(at).add(*sum).store(at);
                } else {
                    sum.store(at);
                }
            }
        }
    }
}
