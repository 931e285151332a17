//! What happens to planes one element at a time, and sums over planes.

use rayon::prelude::*;

use super::isa::kernels;
use super::simd::{LANES, Simd};

/// Elements of a task: enough to be worth a task, little enough for the first-level cache.
const TASK: usize = 8192;

/// A leaky ReLU, a gain, a clamp: y = clamp(lrelu(x)·gain, ±clamp).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Activation {
    /// Slope of the negative side; 1 is the identity.
    pub slope: f32,
    pub gain: f32,
    /// ∞ where nothing is clamped.
    pub clamp: f32,
}

/// One plane of noise for each image, which its channels share: strength·values, values [N, plane].
#[derive(Clone, Copy, Debug)]
pub struct Noise<'a> {
    pub values: &'a [f32],
    pub strength: f32,
}

/// y = act(x + b + noise), x [N, C, plane], b [C].
pub fn bias_act(
    x: &[f32],
    bias: &[f32],
    noise: Option<Noise>,
    plane: usize,
    a: Activation,
    y: &mut [f32],
) {
    let channels = bias.len();
    assert_eq!(x.len(), y.len());
    assert_eq!(x.len() % (channels * plane).max(1), 0, "whole images of {channels}×{plane}");
    each_plane(plane, y, |first, y| {
        for (i, y) in y.chunks_exact_mut(plane).enumerate() {
            let x = &x[(first + i) * plane..][..plane];
            // SAFETY: the table is one that this processor can run.
            unsafe {
                let (image, channel) = ((first + i) / channels, (first + i) % channels);
                match noise {
                    None => (kernels().bias_act)(x, bias[channel], a, y),
                    Some(Noise { values, strength }) => {
                        let noise = &values[image * plane..][..plane];
                        (kernels().bias_noise_act)(x, bias[channel], noise, strength, a, y);
                    }
                }
            };
        }
    });
}

/// The gradient with respect to the activation's argument, given the one `g` with respect to its
/// output y: g·gain·(1 where y > 0, else slope) where |y| < clamp, else 0.
pub fn act_gradient(g: &[f32], y: &[f32], a: Activation, out: &mut [f32]) {
    assert_eq!(g.len(), y.len());
    assert_eq!(g.len(), out.len());
    out.par_chunks_mut(TASK).enumerate().for_each(|(i, out)| {
        let at = i * TASK..i * TASK + out.len();
        // SAFETY: the table is one that this processor can run.
        unsafe { (kernels().act_gradient)(&g[at.clone()], &y[at], a, out) };
    });
}

/// Σ g·noise over all images and channels of g [N, C, plane], noise [N, plane]: the gradient of the
/// noise's strength.
pub fn noise_dot(g: &[f32], noise: &[f32], plane: usize) -> f32 {
    let images = noise.len() / plane.max(1);
    let channels = g.len() / noise.len().max(1);
    assert_eq!(g.len(), images * channels * plane, "whole images of noise");
    let mut dots = vec![0.0; images * channels];
    dots.par_iter_mut().with_min_len((TASK / plane.max(1)).max(1)).enumerate().for_each(
        |(i, out)| {
            let (g, noise) = (&g[i * plane..][..plane], &noise[i / channels * plane..][..plane]);
            // SAFETY: the table is one that this processor can run.
            *out = unsafe { (kernels().dot)(g, noise) };
        },
    );
    dots.iter().sum()
}

/// out[c] = Σ over images and pixels of g [N, C, plane]: the gradient of a bias.
pub fn channel_sums(g: &[f32], plane: usize, out: &mut [f32]) {
    let channels = out.len();
    assert_eq!(g.len() % (channels * plane).max(1), 0, "whole images of {channels}×{plane}");
    out.par_iter_mut().with_min_len(4).enumerate().for_each(|(c, out)| {
        *out = g
            .chunks_exact((channels * plane).max(1))
            // SAFETY: the table is one that this processor can run.
            .map(|image| unsafe { (kernels().sum)(&image[c * plane..][..plane]) })
            .sum();
    });
}

/// y = x·s, x [planes, plane], s [planes].
pub fn scale_planes(x: &[f32], s: &[f32], plane: usize, y: &mut [f32]) {
    assert_eq!(x.len(), y.len());
    assert_eq!(x.len(), s.len() * plane);
    each_plane(plane, y, |first, y| {
        for (i, y) in y.chunks_exact_mut(plane).enumerate() {
            // SAFETY: the table is one that this processor can run.
            unsafe { (kernels().scale)(&x[(first + i) * plane..][..plane], s[first + i], y) };
        }
    });
}

/// out[p] = Σ a·b over plane p: the gradient of a scale. a, b [planes, plane], out [planes].
pub fn plane_dots(a: &[f32], b: &[f32], plane: usize, out: &mut [f32]) {
    assert_eq!(a.len(), b.len());
    assert_eq!(a.len(), out.len() * plane);
    let some = (TASK / plane.max(1)).max(1);
    out.par_chunks_mut(some).enumerate().for_each(|(i, out)| {
        for (j, out) in out.iter_mut().enumerate() {
            let at = (i * some + j) * plane;
            // SAFETY: the table is one that this processor can run.
            *out = unsafe { (kernels().dot)(&a[at..at + plane], &b[at..at + plane]) };
        }
    });
}

/// Calls `f(first plane, planes)` for groups of whole planes.
fn each_plane(plane: usize, y: &mut [f32], f: impl Fn(usize, &mut [f32]) + Sync) {
    if plane == 0 {
        return;
    }
    let some = (TASK / plane).max(1);
    y.par_chunks_mut(some * plane).enumerate().for_each(|(i, y)| f(i * some, y));
}

/// One plane of [`bias_act`].
///
/// # Safety
/// Of this and the functions below: the processor has V's instruction set.
#[inline(always)]
pub(super) unsafe fn bias_act_plane<V: Simd>(x: &[f32], b: f32, a: Activation, y: &mut [f32]) {
    for (x, y) in x.iter().zip(y) {
        *y = activate(x + b, a);
    }
}

/// One plane of [`bias_act`] with noise.
#[inline(always)]
pub(super) unsafe fn bias_noise_act_plane<V: Simd>(
    x: &[f32],
    b: f32,
    noise: &[f32],
    strength: f32,
    a: Activation,
    y: &mut [f32],
) {
    for ((x, noise), y) in x.iter().zip(noise).zip(y) {
        *y = activate(x + b + noise * strength, a);
    }
}

#[inline(always)]
pub(super) fn activate(x: f32, a: Activation) -> f32 {
    let x = if x < 0.0 { x * a.slope } else { x };
    // Not `clamp`: that panics on NaN bounds and, unlike this, keeps loops from vectorising.
    (x * a.gain).min(a.clamp).max(-a.clamp)
}

/// Part of [`act_gradient`].
#[inline(always)]
pub(super) unsafe fn act_gradient_plane<V: Simd>(
    g: &[f32],
    y: &[f32],
    a: Activation,
    out: &mut [f32],
) {
    let negative = a.slope * a.gain;
    for ((g, y), out) in g.iter().zip(y).zip(out) {
        let factor = if *y > 0.0 { a.gain } else { negative };
        *out = if y.abs() < a.clamp { g * factor } else { 0.0 };
    }
}

#[inline(always)]
pub(super) unsafe fn scale_plane<V: Simd>(x: &[f32], s: f32, y: &mut [f32]) {
    for (x, y) in x.iter().zip(y) {
        *y = x * s;
    }
}

/// Σ x, in an order that depends on the length alone.
#[inline(always)]
pub(super) unsafe fn sum<V: Simd>(x: &[f32]) -> f32 {
    // SAFETY: `fold` hands out pointers to 16 floats.
    unsafe { fold::<V>(x.len(), |at, acc| V::load(x.as_ptr().add(at)).add(acc), |i| x[i]) }
}

/// Σ a·b, likewise.
#[inline(always)]
pub(super) unsafe fn dot<V: Simd>(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    // SAFETY: as above.
    unsafe {
        let step = |at, acc| V::load(a.as_ptr().add(at)).mul_add(V::load(b.as_ptr().add(at)), acc);
        fold::<V>(a.len(), step, |i| a[i] * b[i])
    }
}

/// Sums `len` terms: 64 at a time in four vectors, then 16, then one.
#[inline(always)]
pub(super) unsafe fn fold<V: Simd>(
    len: usize,
    step: impl Fn(usize, V) -> V,
    term: impl Fn(usize) -> f32,
) -> f32 {
    // SAFETY: the callers'.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::cpu::testing::{close, random};

    const ACT: Activation = Activation { slope: 0.2, gain: std::f32::consts::SQRT_2, clamp: 1.0 };

    #[test]
    fn bias_act_and_its_gradient_follow_the_formula() {
        for (n, c, plane) in [(1, 1, 1), (2, 3, 5), (3, 7, 64), (2, 5, 1089)] {
            let (x, b, g) = (random(1, n * c * plane), random(2, c), random(3, n * c * plane));
            let values = random(4, n * plane);
            let open = Activation { clamp: f32::INFINITY, ..ACT };
            let relu = Activation { slope: 0.0, gain: 1.0, ..open };
            for (a, strength) in [(ACT, 0.0), (open, 0.3), (relu, 0.0)] {
                let mut y = vec![f32::NAN; x.len()];
                let noise = (strength != 0.0).then_some(Noise { values: &values, strength });
                bias_act(&x, &b, noise, plane, a, &mut y);
                let mut gx = vec![f32::NAN; x.len()];
                act_gradient(&g, &y, a, &mut gx);
                for i in 0..x.len() {
                    let t = x[i]
                        + b[i / plane % c]
                        + strength * values[i / (c * plane) * plane + i % plane];
                    let slope = if t < 0.0 { a.slope } else { 1.0 } * a.gain;
                    assert!((y[i] - (t * slope).clamp(-a.clamp, a.clamp)).abs() < 1e-6);
                    let open = (t * slope).abs() < a.clamp;
                    assert!((gx[i] - if open { g[i] * slope } else { 0.0 }).abs() < 1e-6);
                }
            }
        }
    }

    #[test]
    fn at_zero_the_slope_is_that_below() {
        for slope in [0.0, 0.2, 1.0] {
            let a = Activation { slope, gain: 2.0, clamp: f32::INFINITY };
            let mut gx = [f32::NAN; 3];
            act_gradient(&[1.0; 3], &[0.0, -0.0, 1.0], a, &mut gx);
            assert_eq!(gx, [2.0 * slope, 2.0 * slope, 2.0]);
        }
    }

    #[test]
    fn sums_scales_and_dots_follow_the_formula() {
        for (n, c, plane) in [(1, 1, 1), (2, 3, 5), (3, 7, 64), (2, 5, 1089), (4, 2, 100)] {
            let (x, g, s) = (random(1, n * c * plane), random(2, n * c * plane), random(3, n * c));
            let mut sums = vec![f32::NAN; c];
            channel_sums(&g, plane, &mut sums);
            let of = |c0: usize| {
                let terms = g.iter().enumerate().filter(|(i, _)| i / plane % c == c0);
                terms.map(|(_, g)| f64::from(*g)).sum::<f64>() as f32
            };
            close(&sums, &(0..c).map(of).collect::<Vec<_>>(), 1e-5, "channel_sums");

            let mut y = vec![f32::NAN; x.len()];
            scale_planes(&x, &s, plane, &mut y);
            assert!(y.iter().enumerate().all(|(i, y)| *y == x[i] * s[i / plane]));

            let mut dots = vec![f32::NAN; n * c];
            plane_dots(&x, &g, plane, &mut dots);
            let both = x.chunks_exact(plane).zip(g.chunks_exact(plane));
            let of = both.map(|(x, g)| {
                x.iter().zip(g).map(|(x, g)| f64::from(*x) * f64::from(*g)).sum::<f64>() as f32
            });
            close(&dots, &of.collect::<Vec<_>>(), 1e-5, "plane_dots");

            let noise = random(4, n * plane);
            let of = |i: usize| f64::from(g[i] * noise[i / (c * plane) * plane + i % plane]);
            let expected = (0..g.len()).map(of).sum::<f64>() as f32;
            let got = noise_dot(&g, &noise, plane);
            assert!((got - expected).abs() < 1e-4 * (1.0 + expected.abs()), "{got} {expected}");
        }
    }
}
