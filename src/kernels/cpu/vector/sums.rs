//! Sums, in an order that depends on the length alone.

use super::simd::{LANES, Simd};

/// Σ x.
///
/// # Safety
/// Of this and the functions below: the processor has V's instruction set.
#[inline(always)]
pub unsafe fn sum<V: Simd>(x: &[f32]) -> f32 {
    // SAFETY: `fold` hands out pointers to 16 floats.
    unsafe { fold::<V>(x.len(), |at, acc| V::load(x.as_ptr().add(at)).add(acc), |i| x[i]) }
}

/// Σ a·b.
#[inline(always)]
pub unsafe fn dot<V: Simd>(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    // SAFETY: as above.
    unsafe {
        let step = |at, acc| V::load(a.as_ptr().add(at)).mul_add(V::load(b.as_ptr().add(at)), acc);
        fold::<V>(a.len(), step, |i| a[i] * b[i])
    }
}

/// Sums `len` terms: 64 at a time in four vectors, then 16, then one.
#[inline(always)]
pub unsafe fn fold<V: Simd>(
    len: usize,
    step: impl Fn(usize, V) -> V,
    term: impl Fn(usize) -> f32,
) -> f32 {
    // SAFETY: the contract of the callers.
    unsafe {
        let mut acc = [V::splat(0.0); 4];
        let (blocks, vectors) = (len / 64 * 64, len / LANES * LANES);
        for at in (0..blocks).step_by(64) {
            for (i, acc) in acc.iter_mut().enumerate() {
                *acc = step(at + i * LANES, *acc);
            }
        }
        for at in (blocks..vectors).step_by(LANES) {
            acc[0] = step(at, acc[0]);
        }
        let mut lanes = [0.0f32; LANES];
        acc[0].add(acc[1]).add(acc[2].add(acc[3])).store(lanes.as_mut_ptr());
        let mut width = LANES / 2;
        while width > 0 {
            for i in 0..width {
                lanes[i] += lanes[i + width];
            }
            width /= 2;
        }
        lanes[0] + (vectors..len).map(term).sum::<f32>()
    }
}
