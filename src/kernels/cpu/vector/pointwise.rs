//! Loops over the elements of a plane, in place.

use super::simd::{LANES, Simd};
use super::sums::fold;
use crate::kernels::spec::Activation;

/// clamp(lrelu(x)·gain, ±limit), where the limit is infinite for an activation without a clamp.
#[inline(always)]
pub fn activate(x: f32, a: Activation, limit: f32) -> f32 {
    let x = if x < 0.0 { x * a.slope } else { x };
    // Not `clamp`: that panics on NaN bounds and, unlike this, keeps loops from vectorising.
    (x * a.gain).min(limit).max(-limit)
}

/// The derivative of an activation, given its output y.
#[derive(Clone, Copy)]
struct Slopes {
    /// Where y is not positive, and where it is.
    sides: [f32; 2],
    limit: f32,
}

impl Slopes {
    #[inline(always)]
    fn new(a: Activation) -> Self {
        Self { sides: [a.slope * a.gain, a.gain], limit: a.limit() }
    }

    /// g times the derivative where the output is y.
    #[inline(always)]
    fn apply(self, g: f32, y: f32) -> f32 {
        let slope = if y > 0.0 { self.sides[1] } else { self.sides[0] };
        if y.abs() < self.limit { g * slope } else { 0.0 }
    }
}

/// y ← act(y + b).
///
/// # Safety
/// Of this and the functions below: the processor has V's instruction set.
#[inline(always)]
pub unsafe fn bias_act<V: Simd>(y: &mut [f32], b: f32, a: Activation) {
    let limit = a.limit();
    for y in y {
        *y = activate(*y + b, a, limit);
    }
}

/// g ← the gradient with respect to the activation's argument, given the one with respect to its
/// output y.
#[inline(always)]
pub unsafe fn act_gradient<V: Simd>(g: &mut [f32], y: &[f32], a: Activation) {
    let slopes = Slopes::new(a);
    for (g, y) in g.iter_mut().zip(y) {
        *g = slopes.apply(*g, *y);
    }
}

/// y ← act(y·scale + strength·noise + b).
#[inline(always)]
pub unsafe fn noise_act<V: Simd>(
    y: &mut [f32],
    scale: f32,
    noise: &[f32],
    strength: f32,
    b: f32,
    a: Activation,
) {
    let limit = a.limit();
    for (y, noise) in y.iter_mut().zip(noise) {
        *y = activate(*y * scale + (noise * strength + b), a, limit);
    }
}

/// Given g with respect to the output y of [`noise_act`], and h, the one with respect to the
/// activation's argument t: g ← h·scale; returns Σ h, Σ h·t and Σ h·noise.
///
/// t is recovered from y, so the activation's slope must not be 0. (Where y is clamped it cannot be
/// recovered, but there h is 0.)
#[inline(always)]
pub unsafe fn noise_act_gradient<V: Simd>(
    g: &mut [f32],
    y: &[f32],
    noise: &[f32],
    scale: f32,
    a: Activation,
) -> [f32; 3] {
    assert!(g.len() == y.len() && g.len() == noise.len());
    let slopes = Slopes::new(a);
    let inverse = slopes.sides.map(f32::recip);
    let mut sums = [[0.0f32; LANES]; 3];
    let (g, g_rest) = g.as_chunks_mut::<LANES>();
    let (y, y_rest) = y.as_chunks::<LANES>();
    let (noise, noise_rest) = noise.as_chunks::<LANES>();
    for ((g, y), noise) in g.iter_mut().zip(y).zip(noise) {
        for lane in 0..LANES {
            let h = slopes.apply(g[lane], y[lane]);
            let t = y[lane] * if y[lane] > 0.0 { inverse[1] } else { inverse[0] };
            g[lane] = h * scale;
            sums[0][lane] += h;
            sums[1][lane] += h * t;
            sums[2][lane] += h * noise[lane];
        }
    }
    for (lane, ((g, y), noise)) in g_rest.iter_mut().zip(y_rest).zip(noise_rest).enumerate() {
        let h = slopes.apply(*g, *y);
        let t = y * if *y > 0.0 { inverse[1] } else { inverse[0] };
        *g = h * scale;
        sums[0][lane] += h;
        sums[1][lane] += h * t;
        sums[2][lane] += h * noise;
    }
    sums.map(|lanes| lanes.iter().sum())
}

/// y ← y·s.
#[inline(always)]
pub unsafe fn scale<V: Simd>(y: &mut [f32], s: f32) {
    for y in y {
        *y *= s;
    }
}

/// g ← g·s; returns Σ g·x.
#[inline(always)]
pub unsafe fn scale_gradient<V: Simd>(g: &mut [f32], x: &[f32], s: f32) -> f32 {
    assert_eq!(g.len(), x.len());
    let (len, g) = (g.len(), g.as_mut_ptr());
    // SAFETY: `fold` visits every position once, 16 at a time where so many are left.
    unsafe {
        let step = |at: usize, sum| {
            let (g, x) = (g.add(at), x.as_ptr().add(at));
            let value = V::load(g);
            value.mul(V::splat(s)).store(g);
            value.mul_add(V::load(x), sum)
        };
        let term = |i: usize| {
            let value = g.add(i).read();
            g.add(i).write(value * s);
            value * x[i]
        };
        fold::<V>(len, step, term)
    }
}
