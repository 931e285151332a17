//! Passes over planes: bias and activation, noise, factors, sums.
//!
//! A pass that changes values takes a [`Target`], and visits all of it.

use std::ops::Range;

use rayon::prelude::*;

use super::table::table;
use super::target::Target;
use crate::kernels::spec::Activation;

/// Elements of a task: enough to be worth a task, little enough for the first-level cache.
const TASK: usize = 8192;

/// y = act(x + b), x `[N, C, plane]`, b `[C]`.
pub fn bias_act(x: Target, bias: &[f32], plane: usize, a: Activation) {
    let channels = bias.len();
    assert_eq!(x.len() % (channels * plane).max(1), 0, "whole images of {channels}×{plane}");
    each_plane(plane, x, |i, y| {
        // SAFETY: the table is one that this processor can run.
        unsafe { (table().bias_act)(y, bias[i % channels], a) };
    });
}

/// [`bias_act`] for some pixels of a plane.
pub fn bias_act_pixels(bias: f32, a: Activation, y: &mut [f32]) {
    // SAFETY: the table is one that this processor can run.
    unsafe { (table().bias_act)(y, bias, a) };
}

/// Turns the gradient `g` with respect to the output y of [`bias_act`] into the one with respect to x,
/// and writes the one with respect to b `[C]` to `bias`.
pub fn bias_act_gradients(g: Target, y: &[f32], plane: usize, a: Activation, bias: &mut [f32]) {
    assert_eq!(y.len(), g.len());
    let channels = bias.len();
    assert_eq!(y.len() % (channels * plane).max(1), 0, "whole images of {channels}×{plane}");
    let mut sums = vec![0.0; y.len() / plane.max(1)];
    with_planes(plane, g, &mut sums, |i, out, sum| {
        // SAFETY: the table is one that this processor can run.
        unsafe {
            (table().act_gradient)(out, &y[i * plane..][..plane], a);
            *sum = (table().sum)(out);
        }
    });
    for (c, bias) in bias.iter_mut().enumerate() {
        *bias = sums[c.min(sums.len())..].iter().step_by(channels).sum();
    }
}

/// Turns the gradient `g` with respect to the output y of an activation into the one with respect to
/// its argument: g·gain·(1 where y > 0, else slope) where |y| < clamp, else 0.
pub fn act_gradient(g: Target, y: &[f32], a: Activation) {
    assert_eq!(y.len(), g.len());
    g.parts(TASK).zip(y.par_chunks(TASK)).for_each(|(g, y)| {
        // SAFETY: the table is one that this processor can run.
        unsafe { (table().act_gradient)(g, y, a) };
    });
}

/// The parameters of a [`noise_act`].
#[derive(Clone, Copy)]
pub struct NoiseAct<'a> {
    /// Factor of every plane `[N, C]`; not 0 where a gradient is wanted.
    pub scale: &'a [f32],
    /// Noise that the channels of an image share: `[N, plane]`, or `[1, plane]` for all images.
    pub noise: &'a [f32],
    /// Factor of the noise.
    pub strength: f32,
    /// `[C]`.
    pub bias: &'a [f32],
    /// Its slope is not 0 where a gradient is wanted.
    pub act: Activation,
}

impl NoiseAct<'_> {
    fn check(&self, plane: usize, len: usize) {
        let channels = self.bias.len();
        let images = self.scale.len() / channels.max(1);
        assert_eq!(self.scale.len(), images * channels, "a factor for every plane");
        assert_eq!(len, images * channels * plane, "{images} images of {channels}×{plane}");
        let noise = self.noise.len();
        assert!(noise == images * plane || noise == plane, "noise for {images} images");
    }

    /// The noise of plane `i`.
    fn noise(&self, plane: usize, i: usize) -> &[f32] {
        let image = if self.noise.len() == plane { 0 } else { i / self.bias.len() };
        &self.noise[image * plane..][..plane]
    }
}

/// y = act(x·scale + strength·noise + b), x `[N, C, plane]`.
pub fn noise_act(x: Target, p: NoiseAct, plane: usize) {
    p.check(plane, x.len());
    each_plane(plane, x, |i, y| {
        let bias = p.bias[i % p.bias.len()];
        // SAFETY: the table is one that this processor can run.
        unsafe { (table().noise_act)(y, p.scale[i], p.noise(plane, i), p.strength, bias, p.act) };
    });
}

/// [`noise_act`] for some pixels of plane `i`, which `y` holds.
pub fn noise_act_pixels(p: &NoiseAct, plane: usize, i: usize, pixels: Range<usize>, y: &mut [f32]) {
    let (noise, bias) = (&p.noise(plane, i)[pixels], p.bias[i % p.bias.len()]);
    // SAFETY: the table is one that this processor can run.
    unsafe { (table().noise_act)(y, p.scale[i], noise, p.strength, bias, p.act) };
}

/// The gradients of a [`noise_act`] with respect to its parameters.
#[derive(Debug, PartialEq)]
pub struct NoiseActGradients {
    /// `[N, C]`.
    pub scale: Vec<f32>,
    pub strength: f32,
    /// `[C]`.
    pub bias: Vec<f32>,
}

/// Turns the gradient `g` with respect to the output y of [`noise_act`] into the one with respect to x,
/// and returns those with respect to the parameters.
///
/// x is not needed: the argument of the activation follows from y.
pub fn noise_act_gradients(g: Target, y: &[f32], p: NoiseAct, plane: usize) -> NoiseActGradients {
    p.check(plane, g.len());
    assert_eq!(y.len(), g.len());
    assert!(p.act.slope != 0.0, "an activation that can be undone");
    let channels = p.bias.len();
    let mut sums = vec![[0.0; 3]; p.scale.len()];
    with_planes(plane, g, &mut sums, |i, out, sums| {
        let (y, noise) = (&y[i * plane..][..plane], p.noise(plane, i));
        // SAFETY: the table is one that this processor can run.
        *sums = unsafe { (table().noise_act_gradient)(out, y, noise, p.scale[i], p.act) };
    });
    let of_scale = |(i, [sum, argument, noise]): (usize, &[f32; 3])| {
        (argument - p.bias[i % channels] * sum - p.strength * noise) / p.scale[i]
    };
    NoiseActGradients {
        scale: sums.iter().enumerate().map(of_scale).collect(),
        strength: sums.iter().map(|[_, _, noise]| noise).sum(),
        bias: (0..channels)
            .map(|c| sums[c.min(sums.len())..].iter().step_by(channels).map(|s| s[0]).sum())
            .collect(),
    }
}

/// `out[c]` = Σ over images and pixels of g `[N, C, plane]`: the gradient of a bias.
pub fn channel_sums(g: &[f32], plane: usize, out: &mut [f32]) {
    let channels = out.len();
    assert_eq!(g.len() % (channels * plane).max(1), 0, "whole images of {channels}×{plane}");
    out.par_iter_mut().with_min_len(4).enumerate().for_each(|(c, out)| {
        *out = g
            .chunks_exact((channels * plane).max(1))
            // SAFETY: the table is one that this processor can run.
            .map(|image| unsafe { (table().sum)(&image[c * plane..][..plane]) })
            .sum();
    });
}

/// y = x·s, x `[planes, plane]`, s `[planes]`.
pub fn scale_planes(x: Target, s: &[f32], plane: usize) {
    assert_eq!(x.len(), s.len() * plane, "a factor for every plane");
    // SAFETY: the table is one that this processor can run.
    each_plane(plane, x, |i, y| unsafe { (table().scale)(y, s[i]) });
}

/// Turns the gradient `g` with respect to the output of [`scale_planes`] into g·s, the one with respect to
/// x, and writes Σ g·x over each plane, the one with respect to s, to `dots` `[planes]`.
pub fn scale_planes_gradients(g: Target, x: &[f32], s: &[f32], plane: usize, dots: &mut [f32]) {
    assert_eq!(g.len(), s.len() * plane, "a factor for every plane");
    assert!(x.len() == g.len() && dots.len() == s.len());
    with_planes(plane, g, dots, |i, out, dot| {
        // SAFETY: the table is one that this processor can run.
        *dot = unsafe { (table().scale_gradient)(out, &x[i * plane..][..plane], s[i]) };
    });
}

/// `out[p]` = Σ a·b over plane p. a, b `[planes, plane]`, out `[planes]`.
pub fn plane_dots(a: &[f32], b: &[f32], plane: usize, out: &mut [f32]) {
    assert_eq!(a.len(), b.len());
    assert_eq!(a.len(), out.len() * plane);
    let some = (TASK / plane.max(1)).max(1);
    out.par_chunks_mut(some).enumerate().for_each(|(i, out)| {
        for (j, out) in out.iter_mut().enumerate() {
            let at = (i * some + j) * plane;
            // SAFETY: the table is one that this processor can run.
            *out = unsafe { (table().dot)(&a[at..at + plane], &b[at..at + plane]) };
        }
    });
}

/// Adds `other`, with planes of `plane` pixels, to some pixels of plane `i`, which `y` holds.
pub fn add_pixels(other: &[f32], plane: usize, i: usize, pixels: Range<usize>, y: &mut [f32]) {
    let other = &other[i * plane..][..plane][pixels];
    y.iter_mut().zip(other).for_each(|(y, other)| *y += other);
}

/// y = b + (x − b)·share.
pub fn blend(x: Target, b: &[f32], share: f32) {
    assert_eq!(x.len(), b.len());
    x.parts(TASK).zip(b.par_chunks(TASK)).for_each(|(y, b)| {
        y.iter_mut().zip(b).for_each(|(y, b)| *y = b + (*y - b) * share);
    });
}

/// Calls `f(index, plane)` for every plane of x.
fn each_plane(plane: usize, x: Target, f: impl Fn(usize, &mut [f32]) + Sync) {
    if plane == 0 {
        return assert!(x.is_empty(), "planes without pixels");
    }
    let some = (TASK / plane).max(1);
    x.parts(some * plane).enumerate().for_each(|(task, y)| {
        for (i, y) in y.chunks_exact_mut(plane).enumerate() {
            f(task * some + i, y);
        }
    });
}

/// Calls `f(index, plane, result)` for every plane of x, and for what it results in.
fn with_planes<T: Send>(
    plane: usize,
    x: Target,
    results: &mut [T],
    f: impl Fn(usize, &mut [f32], &mut T) + Sync,
) {
    if plane == 0 {
        return assert!(x.is_empty(), "planes without pixels");
    }
    let some = (TASK / plane).max(1);
    x.parts(some * plane).zip(results.par_chunks_mut(some)).enumerate().for_each(
        |(task, (y, results))| {
            for (i, (y, result)) in y.chunks_exact_mut(plane).zip(results).enumerate() {
                f(task * some + i, y, result);
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use std::mem::MaybeUninit;

    use super::*;
    use crate::kernels::cpu::testing::{close, random};

    const CLAMPED: Activation = Activation { clamp: Some(1.0), ..Activation::LRELU };

    /// Sizes `[N, C, plane]`.
    const SIZES: [(usize, usize, usize); 6] =
        [(1, 1, 1), (2, 3, 5), (3, 7, 64), (2, 5, 1089), (4, 2, 100), (2, 1, TASK + 1)];

    /// Runs `f` with the values elsewhere, then with the values in place: both must agree.
    fn both_ways<T: PartialEq>(x: &[f32], mut f: impl FnMut(Target) -> T) -> (Vec<f32>, T) {
        let mut apart = vec![MaybeUninit::new(f32::NAN); x.len()];
        let found = f(Target::apart(x, &mut apart));
        let mut in_place = x.to_vec();
        let again = f(Target::in_place(&mut in_place));
        // SAFETY: initialised above.
        let apart: Vec<f32> = apart.iter().map(|y| unsafe { y.assume_init() }).collect();
        assert!(apart == in_place && found == again, "values elsewhere and in place");
        (apart, found)
    }

    #[test]
    fn bias_act_and_its_gradient_follow_the_formula() {
        for (n, c, plane) in SIZES {
            let (x, b, g) = (random(1, n * c * plane), random(2, c), random(3, n * c * plane));
            for a in [CLAMPED, Activation::LRELU, Activation::RELU] {
                let (y, ()) = both_ways(&x, |x| bias_act(x, &b, plane, a));
                let (gx, ()) = both_ways(&g, |g| act_gradient(g, &y, a));
                let (again, of_bias) = both_ways(&g, |g| {
                    let mut bias = vec![f32::NAN; c];
                    bias_act_gradients(g, &y, plane, a, &mut bias);
                    bias
                });
                let mut sums = vec![f32::NAN; c];
                channel_sums(&gx, plane, &mut sums);
                assert!(again == gx && of_bias == sums, "{n}, {c}, {plane}");
                for i in 0..x.len() {
                    let t = x[i] + b[i / plane % c];
                    let slope = if t < 0.0 { a.slope } else { 1.0 } * a.gain;
                    assert!((y[i] - (t * slope).clamp(-a.limit(), a.limit())).abs() < 1e-6);
                    let open = (t * slope).abs() < a.limit();
                    assert!((gx[i] - if open { g[i] * slope } else { 0.0 }).abs() < 1e-6);
                }
            }
        }
    }

    #[test]
    fn noise_act_and_its_gradients_follow_the_formula() {
        for (n, c, plane) in SIZES {
            let (x, g) = (random(1, n * c * plane), random(2, n * c * plane));
            let scale: Vec<f32> = random(3, n * c).iter().map(|s| s + 1.5).collect();
            let bias = random(4, c);
            for (a, images) in [(CLAMPED, n), (Activation::LRELU, 1), (Activation::LINEAR, n)] {
                let noise = random(5, images * plane);
                let (scale, bias, strength) = (&scale[..], &bias[..], 0.3);
                let p = NoiseAct { scale, noise: &noise, strength, bias, act: a };
                let (y, ()) = both_ways(&x, |x| noise_act(x, p, plane));
                let (gx, found) = both_ways(&g, |g| noise_act_gradients(g, &y, p, plane));

                let (mut of_scale, mut of_bias, mut of_strength) =
                    (vec![0f64; n * c], vec![0f64; c], 0f64);
                for i in 0..x.len() {
                    let (row, channel) = (i / plane, i / plane % c);
                    let image = if images == 1 { 0 } else { row / c };
                    let noise = noise[image * plane + i % plane];
                    let t = x[i] * scale[row] + strength * noise + bias[channel];
                    let slope = if t < 0.0 { a.slope } else { 1.0 } * a.gain;
                    assert!((y[i] - (t * slope).clamp(-a.limit(), a.limit())).abs() < 1e-6);
                    let h = if (t * slope).abs() < a.limit() { g[i] * slope } else { 0.0 };
                    assert!((gx[i] - h * scale[row]).abs() < 1e-5);
                    of_scale[row] += f64::from(h) * f64::from(x[i]);
                    of_bias[channel] += f64::from(h);
                    of_strength += f64::from(h) * f64::from(noise);
                }
                let f32s = |v: &[f64]| v.iter().map(|v| *v as f32).collect::<Vec<_>>();
                close(&found.scale, &f32s(&of_scale), 2e-5, "scale");
                close(&found.bias, &f32s(&of_bias), 2e-5, "bias");
                close(&[found.strength], &f32s(&[of_strength]), 2e-5, "strength");
            }
        }
    }

    #[test]
    fn at_zero_the_slope_is_that_below() {
        for slope in [0.0, 0.2, 1.0] {
            let a = Activation { slope, gain: 2.0, clamp: None };
            let mut gx = [1.0; 3];
            act_gradient(Target::in_place(&mut gx), &[0.0, -0.0, 1.0], a);
            assert_eq!(gx, [2.0 * slope, 2.0 * slope, 2.0]);
        }
    }

    #[test]
    fn sums_scales_and_dots_follow_the_formula() {
        for (n, c, plane) in SIZES {
            let (x, g, s) = (random(1, n * c * plane), random(2, n * c * plane), random(3, n * c));
            let mut sums = vec![f32::NAN; c];
            channel_sums(&g, plane, &mut sums);
            let of = |c0: usize| {
                let terms = g.iter().enumerate().filter(|(i, _)| i / plane % c == c0);
                terms.map(|(_, g)| f64::from(*g)).sum::<f64>() as f32
            };
            close(&sums, &(0..c).map(of).collect::<Vec<_>>(), 1e-5, "channel_sums");

            let (y, ()) = both_ways(&x, |x| scale_planes(x, &s, plane));
            assert!(y.iter().enumerate().all(|(i, y)| *y == x[i] * s[i / plane]));

            let mut dots = vec![f32::NAN; n * c];
            plane_dots(&x, &g, plane, &mut dots);
            let both = x.chunks_exact(plane).zip(g.chunks_exact(plane));
            let of = both.map(|(x, g)| {
                x.iter().zip(g).map(|(x, g)| f64::from(*x) * f64::from(*g)).sum::<f64>() as f32
            });
            close(&dots, &of.collect::<Vec<_>>(), 1e-5, "plane_dots");

            let (gx, of_s) = both_ways(&g, |g| {
                let mut of_s = vec![f32::NAN; n * c];
                scale_planes_gradients(g, &x, &s, plane, &mut of_s);
                of_s
            });
            assert!(gx.iter().enumerate().all(|(i, gx)| *gx == g[i] * s[i / plane]));
            assert!(of_s == dots, "the gradient of a factor is the dot product of its planes");

            let (y, ()) = both_ways(&x, |x| blend(x, &g, 0.3));
            let blended = x.iter().zip(&g).map(|(x, g)| g + (x - g) * 0.3);
            assert!(y.iter().zip(blended).all(|(y, expected)| *y == expected));
        }
    }
}
