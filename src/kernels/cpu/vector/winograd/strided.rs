//! The transforms for stride 2: five points for the outer taps, then four plain products for the
//! middle one.
//!
//! # Safety
//! Of all functions: `t.from` is readable and `t.to` writable for every tile, and the processor has
//! V's instruction set.
#![allow(clippy::missing_safety_doc)]

use super::{Simd, Tiles, sandwich};

// The points are ±A1, ±B1, ∞.
const A1: f32 = 0.5;
const B1: f32 = 1.25;
const A2: f32 = A1 * A1;
const B2: f32 = B1 * B1;
const A3: f32 = A2 * A1;
const B3: f32 = B2 * B1;

// The denominators of G.
const NA: f32 = 1.0 / (2.0 * A1 * (A2 - B2));
const NB: f32 = 1.0 / (2.0 * B1 * (B2 - A2));

/// Bᵀ·d·B: 9×9 pixels → 81 points.
#[inline(always)]
pub unsafe fn input<V: Simd>(t: &Tiles) {
    // SAFETY: the contract.
    unsafe {
        let (product, sum) = (V::splat(A2 * B2), V::splat(-A2 - B2));
        let (a, b) = (V::splat(A1), V::splat(B1));
        let (na, nb) = (V::splat(-A1), V::splat(-B1));
        let (na2, nb2) = (V::splat(-A2), V::splat(-B2));
        sandwich::<V, 9, 9, false>(
            t,
            #[inline(always)]
            |d| {
                let (e1, o1) = (nb2.mul_add(d[2], d[6]), nb2.mul_add(d[0], d[4]));
                let (e2, o2) = (na2.mul_add(d[2], d[6]), na2.mul_add(d[0], d[4]));
                [
                    a.mul_add(o1, e1),
                    na.mul_add(o1, e1),
                    b.mul_add(o2, e2),
                    nb.mul_add(o2, e2),
                    product.mul_add(d[0], sum.mul_add(d[4], d[8])),
                    d[1],
                    d[3],
                    d[5],
                    d[7],
                ]
            },
        );
    }
}

/// B·m·Bᵀ: 81 points, added to 9×9 pixels of the input's gradient (tiles overlap by one).
#[inline(always)]
pub unsafe fn input_gradient<V: Simd>(t: &Tiles) {
    // SAFETY: the contract.
    unsafe {
        let (product, sum) = (V::splat(A2 * B2), V::splat(-A2 - B2));
        let (a, b) = (V::splat(A1), V::splat(B1));
        let (na2, nb2) = (V::splat(-A2), V::splat(-B2));
        let (nab2, nba2) = (V::splat(-A1 * B2), V::splat(-B1 * A2));
        sandwich::<V, 9, 9, true>(
            t,
            #[inline(always)]
            |m| {
                let (s1, d1) = (m[0].add(m[1]), m[0].sub(m[1]));
                let (s2, d2) = (m[2].add(m[3]), m[2].sub(m[3]));
                [
                    nab2.mul_add(d1, nba2.mul_add(d2, product.mul(m[4]))),
                    m[5],
                    nb2.mul_add(s1, na2.mul(s2)),
                    m[6],
                    a.mul_add(d1, b.mul_add(d2, sum.mul(m[4]))),
                    m[7],
                    s1.add(s2),
                    m[8],
                    m[4],
                ]
            },
        );
    }
}

/// Aᵀ·m·A: 81 points → 4×4 pixels.
#[inline(always)]
pub unsafe fn output<V: Simd>(t: &Tiles) {
    // SAFETY: the contract.
    unsafe {
        let [a, a2, a3] = [V::splat(A1), V::splat(A2), V::splat(A3)];
        let [b, b2, b3] = [V::splat(B1), V::splat(B2), V::splat(B3)];
        sandwich::<V, 9, 4, false>(
            t,
            #[inline(always)]
            |m| {
                let (s1, d1) = (m[0].add(m[1]), m[0].sub(m[1]));
                let (s2, d2) = (m[2].add(m[3]), m[2].sub(m[3]));
                [
                    s1.add(s2).add(m[5]),
                    a.mul_add(d1, b.mul_add(d2, m[6])),
                    a2.mul_add(s1, b2.mul_add(s2, m[7])),
                    a3.mul_add(d1, b3.mul_add(d2, m[4].add(m[8]))),
                ]
            },
        );
    }
}

/// A·gy·Aᵀ: 4×4 pixels of an output's gradient → 81 points.
#[inline(always)]
pub unsafe fn output_gradient<V: Simd>(t: &Tiles) {
    // SAFETY: the contract.
    unsafe {
        let [a, a2, a3] = [V::splat(A1), V::splat(A2), V::splat(A3)];
        let [b, b2, b3] = [V::splat(B1), V::splat(B2), V::splat(B3)];
        sandwich::<V, 4, 9, false>(
            t,
            #[inline(always)]
            |g| {
                let (e1, o1) = (a2.mul_add(g[2], g[0]), a3.mul_add(g[3], a.mul(g[1])));
                let (e2, o2) = (b2.mul_add(g[2], g[0]), b3.mul_add(g[3], b.mul(g[1])));
                [e1.add(o1), e1.sub(o1), e2.add(o2), e2.sub(o2), g[3], g[0], g[1], g[2], g[3]]
            },
        );
    }
}

/// G·g·Gᵀ: a 3×3 filter → 36 values, the middle tap's once.
#[inline(always)]
pub unsafe fn weight<V: Simd>(t: &Tiles) {
    // SAFETY: the contract.
    unsafe {
        let [na, na1] = [V::splat(NA), V::splat(NA * A1)];
        let [nb, nb1] = [V::splat(NB), V::splat(NB * B1)];
        sandwich::<V, 3, 6, false>(
            t,
            #[inline(always)]
            |g| {
                let (e1, o1) = (na.mul(g[0]), na1.mul(g[2]));
                let (e2, o2) = (nb.mul(g[0]), nb1.mul(g[2]));
                [o1.add(e1), o1.sub(e1), o2.add(e2), o2.sub(e2), g[2], g[1]]
            },
        );
    }
}

/// Gᵀ·m·G: 36 values → the gradient of a 3×3 filter.
#[inline(always)]
pub unsafe fn weight_gradient<V: Simd>(t: &Tiles) {
    // SAFETY: the contract.
    unsafe {
        let [na, na1] = [V::splat(NA), V::splat(NA * A1)];
        let [nb, nb1] = [V::splat(NB), V::splat(NB * B1)];
        sandwich::<V, 6, 3, false>(
            t,
            #[inline(always)]
            |m| {
                let (s1, d1) = (m[0].add(m[1]), m[0].sub(m[1]));
                let (s2, d2) = (m[2].add(m[3]), m[2].sub(m[3]));
                [na.mul_add(d1, nb.mul(d2)), m[5], na1.mul_add(s1, nb1.mul_add(s2, m[4]))]
            },
        );
    }
}
