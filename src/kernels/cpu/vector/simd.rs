//! Vectors of 16 floats on whatever the processor has.
//!
//! Every function is written once, for a [`Simd`], and compiled three times: for AVX-512 (one
//! register), for AVX2 (two) and for plain arrays, which the compiler vectorises for the target's
//! baseline (NEON on aarch64, SSE2 on x86-64). `table.rs` picks one of the three at run time.
//! Sixteen lanes for all of them means that there is one memory layout.
//!
//! `pulp`, which `gemm` and `faer` bring along, has vectors of 16 floats too (`V4`, `V3_512b`,
//! `Scalar512b`), but it would only replace the one-line methods: it has no 16×16 transpose, which is
//! the larger part of this file, the size of the product's tile depends on the registers, and its
//! portable `mul_add` is `f32::mul_add`, a library call for each lane where the target has no such
//! instruction.

/// Floats in a [`Simd`].
pub const LANES: usize = 16;

/// Sixteen `f32` in registers.
///
/// # Safety
/// Of all methods: the processor has the instruction set of the type, and pointers are valid for
/// 16 floats (they need not be aligned).
pub trait Simd: Copy {
    /// Rows and columns (in vectors: 1 or 2) of the tile of the matrix product that fits the registers.
    const TILE_ROWS: usize;
    const TILE_VECTORS: usize;

    unsafe fn splat(x: f32) -> Self;
    unsafe fn load(p: *const f32) -> Self;
    unsafe fn store(self, p: *mut f32);
    unsafe fn add(self, b: Self) -> Self;
    unsafe fn sub(self, b: Self) -> Self;
    unsafe fn mul(self, b: Self) -> Self;
    /// `self · b + c`.
    unsafe fn mul_add(self, b: Self, c: Self) -> Self;
    /// Transposes the 16×16 matrix whose rows these are.
    unsafe fn transpose(rows: &mut [Self; LANES]);
}

/// A vector as an array, which the compiler vectorises for the target.
#[derive(Clone, Copy)]
pub struct Portable([f32; LANES]);

impl Portable {
    #[inline(always)]
    fn zip(self, b: Self, f: impl Fn(f32, f32) -> f32) -> Self {
        let mut out = self;
        for i in 0..LANES {
            out.0[i] = f(self.0[i], b.0[i]);
        }
        out
    }
}

impl Simd for Portable {
    // A vector is four registers of 32 on aarch64, of 16 on x86-64.
    const TILE_ROWS: usize = if cfg!(target_arch = "aarch64") { 6 } else { 2 };
    const TILE_VECTORS: usize = 1;

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        Self([x; LANES])
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self {
        // SAFETY: the trait's contract: 16 readable floats.
        Self(unsafe { p.cast::<[f32; LANES]>().read_unaligned() })
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f32) {
        // SAFETY: the trait's contract: 16 writable floats.
        unsafe { p.cast::<[f32; LANES]>().write_unaligned(self.0) }
    }
    #[inline(always)]
    unsafe fn add(self, b: Self) -> Self {
        self.zip(b, |a, b| a + b)
    }
    #[inline(always)]
    unsafe fn sub(self, b: Self) -> Self {
        self.zip(b, |a, b| a - b)
    }
    #[inline(always)]
    unsafe fn mul(self, b: Self) -> Self {
        self.zip(b, |a, b| a * b)
    }
    #[inline(always)]
    unsafe fn mul_add(self, b: Self, c: Self) -> Self {
        // Where the target has no fused operation, it is a slow library call.
        if cfg!(target_arch = "aarch64") {
            let mut out = c;
            for i in 0..LANES {
                out.0[i] = self.0[i].mul_add(b.0[i], c.0[i]);
            }
            out
        } else {
            self.zip(b, |a, b| a * b).zip(c, |a, b| a + b)
        }
    }
    #[inline(always)]
    unsafe fn transpose(rows: &mut [Self; LANES]) {
        for i in 0..LANES {
            for j in 0..i {
                let t = rows[i].0[j];
                rows[i].0[j] = rows[j].0[i];
                rows[j].0[i] = t;
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
pub use x86::{Avx2, Avx512};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{LANES, Simd};
    use std::arch::x86_64::*;

    /// One AVX-512 register.
    #[derive(Clone, Copy)]
    pub struct Avx512(__m512);

    // SAFETY (of every block): the trait's contract gives the instruction set and the pointers.
    impl Simd for Avx512 {
        // 24 accumulators of 32 registers; two hold a row of the right matrix.
        const TILE_ROWS: usize = 12;
        const TILE_VECTORS: usize = 2;

        #[inline(always)]
        unsafe fn splat(x: f32) -> Self {
            unsafe { Self(_mm512_set1_ps(x)) }
        }
        #[inline(always)]
        unsafe fn load(p: *const f32) -> Self {
            unsafe { Self(_mm512_loadu_ps(p)) }
        }
        #[inline(always)]
        unsafe fn store(self, p: *mut f32) {
            unsafe { _mm512_storeu_ps(p, self.0) }
        }
        #[inline(always)]
        unsafe fn add(self, b: Self) -> Self {
            unsafe { Self(_mm512_add_ps(self.0, b.0)) }
        }
        #[inline(always)]
        unsafe fn sub(self, b: Self) -> Self {
            unsafe { Self(_mm512_sub_ps(self.0, b.0)) }
        }
        #[inline(always)]
        unsafe fn mul(self, b: Self) -> Self {
            unsafe { Self(_mm512_mul_ps(self.0, b.0)) }
        }
        #[inline(always)]
        unsafe fn mul_add(self, b: Self, c: Self) -> Self {
            unsafe { Self(_mm512_fmadd_ps(self.0, b.0, c.0)) }
        }
        #[inline(always)]
        unsafe fn transpose(rows: &mut [Self; LANES]) {
            unsafe {
                // 4×4 blocks within the quarters of each group of four rows, then the quarters.
                let mut t = [_mm512_setzero_ps(); LANES];
                for g in 0..4 {
                    let r = &rows[4 * g..4 * g + 4];
                    let lo01 = _mm512_unpacklo_ps(r[0].0, r[1].0);
                    let hi01 = _mm512_unpackhi_ps(r[0].0, r[1].0);
                    let lo23 = _mm512_unpacklo_ps(r[2].0, r[3].0);
                    let hi23 = _mm512_unpackhi_ps(r[2].0, r[3].0);
                    t[4 * g] = _mm512_shuffle_ps::<0x44>(lo01, lo23);
                    t[4 * g + 1] = _mm512_shuffle_ps::<0xee>(lo01, lo23);
                    t[4 * g + 2] = _mm512_shuffle_ps::<0x44>(hi01, hi23);
                    t[4 * g + 3] = _mm512_shuffle_ps::<0xee>(hi01, hi23);
                }
                for j in 0..4 {
                    let a = _mm512_shuffle_f32x4::<0x44>(t[j], t[4 + j]);
                    let b = _mm512_shuffle_f32x4::<0xee>(t[j], t[4 + j]);
                    let c = _mm512_shuffle_f32x4::<0x44>(t[8 + j], t[12 + j]);
                    let d = _mm512_shuffle_f32x4::<0xee>(t[8 + j], t[12 + j]);
                    rows[j].0 = _mm512_shuffle_f32x4::<0x88>(a, c);
                    rows[4 + j].0 = _mm512_shuffle_f32x4::<0xdd>(a, c);
                    rows[8 + j].0 = _mm512_shuffle_f32x4::<0x88>(b, d);
                    rows[12 + j].0 = _mm512_shuffle_f32x4::<0xdd>(b, d);
                }
            }
        }
    }

    /// Two AVX registers.
    #[derive(Clone, Copy)]
    pub struct Avx2(__m256, __m256);

    /// Transposes an 8×8 matrix.
    #[inline(always)]
    unsafe fn transpose8(r: [__m256; 8]) -> [__m256; 8] {
        unsafe {
            let mut t = [_mm256_setzero_ps(); 8];
            for g in 0..2 {
                let q = &r[4 * g..4 * g + 4];
                let lo01 = _mm256_unpacklo_ps(q[0], q[1]);
                let hi01 = _mm256_unpackhi_ps(q[0], q[1]);
                let lo23 = _mm256_unpacklo_ps(q[2], q[3]);
                let hi23 = _mm256_unpackhi_ps(q[2], q[3]);
                t[4 * g] = _mm256_shuffle_ps::<0x44>(lo01, lo23);
                t[4 * g + 1] = _mm256_shuffle_ps::<0xee>(lo01, lo23);
                t[4 * g + 2] = _mm256_shuffle_ps::<0x44>(hi01, hi23);
                t[4 * g + 3] = _mm256_shuffle_ps::<0xee>(hi01, hi23);
            }
            let mut out = r;
            for j in 0..4 {
                out[j] = _mm256_permute2f128_ps::<0x20>(t[j], t[4 + j]);
                out[4 + j] = _mm256_permute2f128_ps::<0x31>(t[j], t[4 + j]);
            }
            out
        }
    }

    // SAFETY (of every block): the trait's contract gives the instruction set and the pointers.
    impl Simd for Avx2 {
        // 12 accumulators of 16 registers.
        const TILE_ROWS: usize = 6;
        const TILE_VECTORS: usize = 1;

        #[inline(always)]
        unsafe fn splat(x: f32) -> Self {
            unsafe { Self(_mm256_set1_ps(x), _mm256_set1_ps(x)) }
        }
        #[inline(always)]
        unsafe fn load(p: *const f32) -> Self {
            unsafe { Self(_mm256_loadu_ps(p), _mm256_loadu_ps(p.add(8))) }
        }
        #[inline(always)]
        unsafe fn store(self, p: *mut f32) {
            unsafe {
                _mm256_storeu_ps(p, self.0);
                _mm256_storeu_ps(p.add(8), self.1);
            }
        }
        #[inline(always)]
        unsafe fn add(self, b: Self) -> Self {
            unsafe { Self(_mm256_add_ps(self.0, b.0), _mm256_add_ps(self.1, b.1)) }
        }
        #[inline(always)]
        unsafe fn sub(self, b: Self) -> Self {
            unsafe { Self(_mm256_sub_ps(self.0, b.0), _mm256_sub_ps(self.1, b.1)) }
        }
        #[inline(always)]
        unsafe fn mul(self, b: Self) -> Self {
            unsafe { Self(_mm256_mul_ps(self.0, b.0), _mm256_mul_ps(self.1, b.1)) }
        }
        #[inline(always)]
        unsafe fn mul_add(self, b: Self, c: Self) -> Self {
            unsafe { Self(_mm256_fmadd_ps(self.0, b.0, c.0), _mm256_fmadd_ps(self.1, b.1, c.1)) }
        }
        #[inline(always)]
        unsafe fn transpose(rows: &mut [Self; LANES]) {
            unsafe {
                let mut quarters = [[_mm256_setzero_ps(); 8]; 4];
                for i in 0..8 {
                    quarters[0][i] = rows[i].0;
                    quarters[1][i] = rows[i].1;
                    quarters[2][i] = rows[8 + i].0;
                    quarters[3][i] = rows[8 + i].1;
                }
                // A closure would not have the instruction set, and intrinsics would become calls.
                let [a, b, c, d] = quarters;
                let [a, b, c, d] = [transpose8(a), transpose8(b), transpose8(c), transpose8(d)];
                for i in 0..8 {
                    rows[i] = Self(a[i], c[i]);
                    rows[8 + i] = Self(b[i], d[i]);
                }
            }
        }
    }
}
