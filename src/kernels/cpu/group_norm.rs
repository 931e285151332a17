//! Group normalisation with its scale, shift and activation, and its gradient. A task is a group of
//! channels of one image, which fits the second-level cache.

use rayon::prelude::*;

use super::table::table;
use crate::kernels::spec::Activation;

/// Images `[N, channels, plane]` whose channels form `count` groups of neighbours.
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
    /// The activation that follows scale and shift.
    pub act: Activation,
}

impl Groups {
    /// The number of channels of a group.
    fn width(&self) -> usize {
        self.channels / self.count
    }

    /// The number of elements of a group.
    fn size(&self) -> usize {
        (self.width() * self.plane).max(1)
    }

    /// The first channel of group `index`, which is counted over all images.
    fn first(&self, index: usize) -> usize {
        index % self.count * self.width()
    }
}

/// y = act((x − mean)/√(variance + ε)·weight + bias) for `affine` = `[weight, bias]`, `[C]` each.
/// `moments` `[N, count, 2]` gets mean and 1/√(variance + ε).
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
                let mean = (table().sum)(x) / x.len() as f32;
                let variance = (table().centred_square)(x, mean) / x.len() as f32;
                let rate = (variance + s.epsilon).sqrt().recip();
                moments.copy_from_slice(&[mean, rate]);
                let planes = x.chunks_exact(s.plane).zip(y.chunks_exact_mut(s.plane));
                for (c, (x, y)) in (s.first(index)..).zip(planes) {
                    let scale = rate * weight[c];
                    (table().affine_act)(x, scale, bias[c] - mean * scale, s.act, y);
                }
            }
        },
    );
}

/// The gradients with respect to x (`d_x`) and to weight and bias (`d_affine`, `[C]` each), given the
/// one `g` with respect to y and the operands and results of [`forward`].
pub fn backward(
    s: &Groups,
    [x, weight, y, moments, g]: [&[f32]; 5],
    d_x: &mut [f32],
    d_affine: [&mut [f32]; 2],
) {
    assert!(x.len() == y.len() && x.len() == g.len() && x.len() == d_x.len());
    let size = s.size();
    // For every channel of every image: Σ g·x̂ and Σ g, with g before the activation.
    let mut sums = vec![[0.0; 2]; x.len() / s.plane.max(1)];
    d_x.par_chunks_exact_mut(size).zip(sums.par_chunks_exact_mut(s.width())).enumerate().for_each(
        |(index, (d_x, sums))| {
            let part = index * size..(index + 1) * size;
            let (mean, rate) = (moments[2 * index], moments[2 * index + 1]);
            let weight = &weight[s.first(index)..][..s.width()];
            // SAFETY: the table is one that this processor can run.
            unsafe {
                d_x.copy_from_slice(&g[part.clone()]);
                (table().act_gradient)(d_x, &y[part.clone()], s.act);
                let x = &x[part];
                let mut means = [0.0; 2];
                let planes = x.chunks_exact(s.plane).zip(d_x.chunks_exact(s.plane));
                for ((sums, (x, g)), weight) in sums.iter_mut().zip(planes).zip(weight) {
                    *sums = [(table().centred_dot)(x, mean, g) * rate, (table().sum)(g)];
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
                    (table().combine)(x, of_x, rate * weight, shift, d_x);
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
