//! The transforms for stride 1.
//!
//! # Safety
//! Of all functions: `t.from` is readable and `t.to` writable for every tile, and the processor has
//! V's instruction set.
#![allow(clippy::missing_safety_doc)]

use super::{Simd, Tiles, sandwich};

// The points are 0, ±A1, ±B1, ∞.
const A1: f32 = 0.75;
const B1: f32 = 1.5;
const A2: f32 = A1 * A1;
const B2: f32 = B1 * B1;
const A3: f32 = A2 * A1;
const B3: f32 = B2 * B1;

// The denominators of G: the products of a point's distances to the other finite ones.
const N0: f32 = 1.0 / (A2 * B2);
const NA: f32 = 1.0 / (2.0 * A2 * (A2 - B2));
const NB: f32 = 1.0 / (2.0 * B2 * (B2 - A2));

/// Bᵀ·d·B: 6×6 pixels → 36 points.
#[inline(always)]
pub unsafe fn input<V: Simd>(t: &Tiles) {
    // SAFETY: the contract.
    unsafe {
        let (product, sum) = (V::splat(A2 * B2), V::splat(-A2 - B2));
        let (a, b) = (V::splat(A1), V::splat(B1));
        let (na, nb) = (V::splat(-A1), V::splat(-B1));
        let (na2, nb2) = (V::splat(-A2), V::splat(-B2));
        sandwich::<V, 6, 6, false>(
            t,
            #[inline(always)]
            |d| {
                let (e1, o1) = (nb2.mul_add(d[2], d[4]), nb2.mul_add(d[1], d[3]));
                let (e2, o2) = (na2.mul_add(d[2], d[4]), na2.mul_add(d[1], d[3]));
                [
                    product.mul_add(d[0], sum.mul_add(d[2], d[4])),
                    a.mul_add(o1, e1),
                    na.mul_add(o1, e1),
                    b.mul_add(o2, e2),
                    nb.mul_add(o2, e2),
                    product.mul_add(d[1], sum.mul_add(d[3], d[5])),
                ]
            },
        );
    }
}

/// Aᵀ·m·A: 36 points → 4×4 pixels.
#[inline(always)]
pub unsafe fn output<V: Simd>(t: &Tiles) {
    // SAFETY: the contract.
    unsafe {
        let [a, a2, a3] = [V::splat(A1), V::splat(A2), V::splat(A3)];
        let [b, b2, b3] = [V::splat(B1), V::splat(B2), V::splat(B3)];
        sandwich::<V, 6, 4, false>(
            t,
            #[inline(always)]
            |m| {
                let (s1, d1) = (m[1].add(m[2]), m[1].sub(m[2]));
                let (s2, d2) = (m[3].add(m[4]), m[3].sub(m[4]));
                [
                    m[0].add(s1.add(s2)),
                    a.mul_add(d1, b.mul(d2)),
                    a2.mul_add(s1, b2.mul(s2)),
                    a3.mul_add(d1, b3.mul_add(d2, m[5])),
                ]
            },
        );
    }
}

/// A·gy·Aᵀ: 4×4 pixels of an output's gradient → 36 points.
#[inline(always)]
pub unsafe fn output_gradient<V: Simd>(t: &Tiles) {
    // SAFETY: the contract.
    unsafe {
        let [a, a2, a3] = [V::splat(A1), V::splat(A2), V::splat(A3)];
        let [b, b2, b3] = [V::splat(B1), V::splat(B2), V::splat(B3)];
        sandwich::<V, 4, 6, false>(
            t,
            #[inline(always)]
            |g| {
                let (e1, o1) = (a2.mul_add(g[2], g[0]), a3.mul_add(g[3], a.mul(g[1])));
                let (e2, o2) = (b2.mul_add(g[2], g[0]), b3.mul_add(g[3], b.mul(g[1])));
                [g[0], e1.add(o1), e1.sub(o1), e2.add(o2), e2.sub(o2), g[3]]
            },
        );
    }
}

/// G·g·Gᵀ: a 3×3 filter → 36 points.
#[inline(always)]
pub unsafe fn weight<V: Simd>(t: &Tiles) {
    // SAFETY: the contract.
    unsafe {
        let n0 = V::splat(N0);
        let [na, na1, na2] = [V::splat(NA), V::splat(NA * A1), V::splat(NA * A2)];
        let [nb, nb1, nb2] = [V::splat(NB), V::splat(NB * B1), V::splat(NB * B2)];
        sandwich::<V, 3, 6, false>(
            t,
            #[inline(always)]
            |g| {
                let (e1, o1) = (na2.mul_add(g[2], na.mul(g[0])), na1.mul(g[1]));
                let (e2, o2) = (nb2.mul_add(g[2], nb.mul(g[0])), nb1.mul(g[1]));
                [n0.mul(g[0]), e1.add(o1), e1.sub(o1), e2.add(o2), e2.sub(o2), g[2]]
            },
        );
    }
}

/// Gᵀ·m·G: 36 points → the gradient of a 3×3 filter.
#[inline(always)]
pub unsafe fn weight_gradient<V: Simd>(t: &Tiles) {
    // SAFETY: the contract.
    unsafe {
        let n0 = V::splat(N0);
        let [na, na1, na2] = [V::splat(NA), V::splat(NA * A1), V::splat(NA * A2)];
        let [nb, nb1, nb2] = [V::splat(NB), V::splat(NB * B1), V::splat(NB * B2)];
        sandwich::<V, 6, 3, false>(
            t,
            #[inline(always)]
            |m| {
                let (s1, d1) = (m[1].add(m[2]), m[1].sub(m[2]));
                let (s2, d2) = (m[3].add(m[4]), m[3].sub(m[4]));
                [
                    n0.mul_add(m[0], na.mul_add(s1, nb.mul(s2))),
                    na1.mul_add(d1, nb1.mul(d2)),
                    na2.mul_add(s1, nb2.mul_add(s2, m[5])),
                ]
            },
        );
    }
}
