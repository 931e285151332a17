//! Group normalisation with its scale, shift and activation, and its gradient: every group of
//! channels of an image is a task, which fits the second-level cache.

use rayon::prelude::*;

use super::isa::kernels;
use super::pointwise::{Activation, activate, fold};
use super::simd::Simd;

/// Images [N, channels, plane] whose channels form `count` groups of neighbours.
#[derive(Clone, Copy, Debug)]
pub struct Groups {
    /// C, a multiple of `count`.
    pub channels: usize,
    /// Pixels of a channel.
    pub plane: usize,
    /// Groups of an image.
    pub count: usize,
    /// Added to the variance.
    pub epsilon: f32,
    /// What follows scale and shift.
    pub act: Activation,
}

impl Groups {
    /// Channels of a group.
    fn width(&self) -> usize {
        self.channels / self.count
    }

    /// Elements of a group.
    fn size(&self) -> usize {
        (self.width() * self.plane).max(1)
    }

    /// First channel of group `index`, counted over all images.
    fn first(&self, index: usize) -> usize {
        index % self.count * self.width()
    }
}

/// y = act((x − mean)/√(variance + ε)·weight + bias) for `affine` = [weight, bias], [C] each.
/// `moments` [N, count, 2] gets mean and 1/√(variance + ε).
pub fn forward(
    s: &Groups,
    x: &[f32],
    [weight, bias]: [&[f32]; 2],
    y: &mut [f32],
    moments: &mut [f32],
) {
    assert_eq!(x.len(), y.len());
    assert_eq!(moments.len(), x.len() / s.size() * 2);
    let groups = x.par_chunks_exact(s.size()).zip(y.par_chunks_exact_mut(s.size()));
    groups.zip(moments.par_chunks_exact_mut(2)).enumerate().for_each(
        |(index, ((x, y), moments))| {
            // SAFETY: the table is one that this processor can run.
            unsafe {
                let mean = (kernels().sum)(x) / x.len() as f32;
                let variance = (kernels().centred_square)(x, mean) / x.len() as f32;
                let rate = (variance + s.epsilon).sqrt().recip();
                moments.copy_from_slice(&[mean, rate]);
                let planes = x.chunks_exact(s.plane).zip(y.chunks_exact_mut(s.plane));
                for (c, (x, y)) in (s.first(index)..).zip(planes) {
                    let scale = rate * weight[c];
                    (kernels().affine_act)(x, scale, bias[c] - mean * scale, s.act, y);
                }
            }
        },
    );
}

/// The gradients with respect to x (`d_x`) and to weight and bias (`d_affine`, [C] each), given the
/// one `g` with respect to y and what [`forward`] was given and left.
pub fn backward(
    s: &Groups,
    [x, weight, y, moments, g]: [&[f32]; 5],
    d_x: &mut [f32],
    d_affine: [&mut [f32]; 2],
) {
    assert!(x.len() == y.len() && x.len() == g.len() && x.len() == d_x.len());
    let size = s.size();
    // Of every channel of every image: Σ g·x̂ and Σ g behind the activation.
    let mut sums = vec![[0.0; 2]; x.len() / s.plane.max(1)];
    d_x.par_chunks_exact_mut(size).zip(sums.par_chunks_exact_mut(s.width())).enumerate().for_each(
        |(index, (d_x, sums))| {
            let part = index * size..(index + 1) * size;
            let (mean, rate) = (moments[2 * index], moments[2 * index + 1]);
            let weight = &weight[s.first(index)..][..s.width()];
            // SAFETY: the table is one that this processor can run.
            unsafe {
                (kernels().act_gradient)(&g[part.clone()], &y[part.clone()], s.act, d_x);
                let x = &x[part];
                let mut means = [0.0; 2];
                let planes = x.chunks_exact(s.plane).zip(d_x.chunks_exact(s.plane));
                for ((sums, (x, g)), weight) in sums.iter_mut().zip(planes).zip(weight) {
                    *sums = [(kernels().centred_dot)(x, mean, g) * rate, (kernels().sum)(g)];
                    for (total, sum) in means.iter_mut().zip(*sums) {
                        *total += sum * weight / size as f32;
                    }
                }
                // dx = rate·(g·weight − mean(g·weight) − x̂·mean(g·weight·x̂)).
                let [along, level] = means;
                let of_x = -rate * rate * along;
                let shift = -rate * level - of_x * mean;
                let planes = x.chunks_exact(s.plane).zip(d_x.chunks_exact_mut(s.plane));
                for ((x, d_x), weight) in planes.zip(weight) {
                    (kernels().combine)(x, of_x, rate * weight, shift, d_x);
                }
            }
        },
    );
    for (which, out) in d_affine.into_iter().enumerate() {
        for (c, out) in out.iter_mut().enumerate() {
            *out = sums[c..].iter().step_by(s.channels).map(|sums| sums[which]).sum();
        }
    }
}

/// y = act(x·scale + shift).
///
/// # Safety
/// Of this and the functions below: the processor has V's instruction set.
#[inline(always)]
pub(super) unsafe fn affine_act<V: Simd>(
    x: &[f32],
    scale: f32,
    shift: f32,
    a: Activation,
    y: &mut [f32],
) {
    for (x, y) in x.iter().zip(y) {
        *y = activate(x * scale + shift, a);
    }
}

/// y = x·of_x + y·of_y + shift.
#[inline(always)]
pub(super) unsafe fn combine<V: Simd>(x: &[f32], of_x: f32, of_y: f32, shift: f32, y: &mut [f32]) {
    for (x, y) in x.iter().zip(y) {
        *y = x * of_x + *y * of_y + shift;
    }
}

/// Σ (x − mean)².
#[inline(always)]
pub(super) unsafe fn centred_square<V: Simd>(x: &[f32], mean: f32) -> f32 {
    // SAFETY: `fold` hands out positions with 16 floats behind them.
    unsafe {
        let step = |at, acc| {
            let centred = V::load(x.as_ptr().add(at)).sub(V::splat(mean));
            centred.mul_add(centred, acc)
        };
        fold::<V>(x.len(), step, |i| (x[i] - mean) * (x[i] - mean))
    }
}

/// Σ (x − mean)·g.
#[inline(always)]
pub(super) unsafe fn centred_dot<V: Simd>(x: &[f32], mean: f32, g: &[f32]) -> f32 {
    assert_eq!(x.len(), g.len());
    // SAFETY: as above.
    unsafe {
        let step = |at, acc| {
            let centred = V::load(x.as_ptr().add(at)).sub(V::splat(mean));
            centred.mul_add(V::load(g.as_ptr().add(at)), acc)
        };
        fold::<V>(x.len(), step, |i| (x[i] - mean) * g[i])
    }
}
