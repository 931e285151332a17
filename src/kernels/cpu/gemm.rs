//! The matrix product that every convolution ends in.

use super::simd::Simd;

/// Columns of a panel: the right matrix and the result are stored in panels of this width.
pub const PANEL: usize = 32;

/// Rows of the right matrix that are used at a time, so that they stay in the first-level cache
/// (32 floats wide, 32 KiB).
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

/// # Safety
/// The pointers of `p` are valid for what its fields say, C overlaps neither A nor B, and the
/// processor has V's instruction set.
#[inline(always)]
pub unsafe fn product<V: Simd>(p: &Product) {
    // Equal groups of rows rather than full ones and a remainder: short groups waste registers.
    let groups = p.rows.div_ceil(V::TILE_ROWS).max(1);
    let mut depth0 = 0;
    loop {
        let depth = (p.depth - depth0).min(DEPTH_BLOCK);
        let accumulate = p.accumulate || depth0 > 0;
        let mut row = 0;
        for g in 0..groups {
            let rows = (p.rows + g) / groups;
            // SAFETY: rows and depths stay within the product's.
            unsafe {
                let a = p.a.add(row * p.a_row + depth0 * p.a_col);
                let b = p.b.add(depth0 * PANEL);
                let c = p.c.add(row * PANEL);
                if p.a_col == 1 {
                    dispatch::<V, true>(rows, depth, a, p.a_row, b, c, accumulate);
                } else {
                    dispatch::<V, false>(rows, depth, a, p.a_col, b, c, accumulate);
                }
            }
            row += rows;
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
        ($($n:literal)*) => {
            match rows {
                $($n if $n <= V::TILE_ROWS => unsafe {
                    tile::<V, BY_ROW, $n>(depth, a, stride, b, c, accumulate)
                },)*
                _ => {}
            }
        };
    }
    sizes!(1 2 3 4 5 6 7 8 9 10 11 12);
}

/// `R` rows of C, held in registers while `depth` runs.
#[inline(always)]
unsafe fn tile<V: Simd, const BY_ROW: bool, const R: usize>(
    depth: usize,
    a: *const f32,
    stride: usize,
    b: *const f32,
    c: *mut f32,
    accumulate: bool,
) {
    // SAFETY: `product`'s contract.
    unsafe {
        let mut acc = [[V::splat(0.0); 2]; R];
        for d in 0..depth {
            let b0 = V::load(b.add(d * PANEL));
            let b1 = V::load(b.add(d * PANEL + 16));
            for r in 0..R {
                let at = if BY_ROW { r * stride + d } else { d * stride + r };
                let x = V::splat(*a.add(at));
                acc[r][0] = x.mul_add(b0, acc[r][0]);
                acc[r][1] = x.mul_add(b1, acc[r][1]);
            }
        }
        for (r, acc) in acc.iter().enumerate() {
            for (half, sum) in acc.iter().enumerate() {
                let at = c.add(r * PANEL + half * 16);
                if accumulate {
                    V::load(at).add(*sum).store(at);
                } else {
                    sum.store(at);
                }
            }
        }
    }
}
