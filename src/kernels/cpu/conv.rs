//! Convolution and its two gradients.
//!
//! All three are matrix products between a left matrix [pixels, depth], made block by block from
//! the planes so that it stays in the second-level cache, and a right matrix that is one or more
//! panels 32 columns wide:
//!
//! | | left | right | then |
//! |-|-|-|-|
//! | forward | patches of x | weight | store |
//! | data gradient | pixels of gy | weight, one panel for each tap | add each tap where it belongs |
//! | weight gradient | patches of x, transposed | pixels of gy | sum over blocks |
//!
//! 3×3 convolutions of stride 1 use the transforms of `winograd` instead of patches: 36 products of
//! a ninth of the depth for a sixteenth of the rows. Their data gradient is a convolution too.
//!
//! Modulation (a factor for each image and channel, before and after) costs nothing here: pixels
//! pass through registers on their way anyway.

use super::data_gradient;
use super::lowered::{Lowered, Source, Target};
use super::scratch::Shared;
use super::weight_gradient;
use super::weights::View;

/// A convolution of x [N, I, H, W] with a weight [O, I, k, k] to y [N, O, H', W'],
/// H' = ⌊(H + 2·padding − k)/stride⌋ + 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Conv2d {
    pub batch: usize,
    pub in_channels: usize,
    pub out_channels: usize,
    pub in_h: usize,
    pub in_w: usize,
    pub kernel: usize,
    pub stride: usize,
    pub padding: usize,
}

impl Conv2d {
    /// H'.
    pub fn out_h(&self) -> usize {
        (self.in_h + 2 * self.padding - self.kernel) / self.stride + 1
    }

    /// W'.
    pub fn out_w(&self) -> usize {
        (self.in_w + 2 * self.padding - self.kernel) / self.stride + 1
    }

    /// Elements of x.
    pub fn in_len(&self) -> usize {
        self.batch * self.in_channels * self.in_h * self.in_w
    }

    /// Elements of y.
    pub fn out_len(&self) -> usize {
        self.batch * self.out_channels * self.out_h() * self.out_w()
    }

    /// Elements of the weight.
    pub fn weight_len(&self) -> usize {
        self.out_channels * self.in_channels * self.kernel * self.kernel
    }

    pub(super) fn is_winograd(&self) -> bool {
        self.kernel == 3 && self.stride == 1 && self.padding <= 2
    }

    /// The convolution that computes this one's data gradient from the turned weight (stride 1).
    fn turned(&self) -> Self {
        Self {
            in_channels: self.out_channels,
            out_channels: self.in_channels,
            in_h: self.out_h(),
            in_w: self.out_w(),
            padding: self.kernel - 1 - self.padding,
            ..*self
        }
    }

    fn check(&self, x: usize, w: usize, y: usize, modulation: &Modulation) {
        assert_eq!(x, self.in_len(), "elements of x for {self:?}");
        assert_eq!(w, self.weight_len(), "elements of the weight for {self:?}");
        assert_eq!(y, self.out_len(), "elements of y for {self:?}");
        let fits = |s: Option<&[f32]>, channels| s.is_none_or(|s| s.len() == self.batch * channels);
        assert!(fits(modulation.input, self.in_channels), "factors of x for {self:?}");
        assert!(fits(modulation.output, self.out_channels), "factors of y for {self:?}");
    }
}

/// Factors for every channel of every image, before and after a convolution:
/// y = output ⊙ conv(input ⊙ x, w).
#[derive(Clone, Copy, Default)]
pub struct Modulation<'a> {
    /// [N, I].
    pub input: Option<&'a [f32]>,
    /// [N, O].
    pub output: Option<&'a [f32]>,
}

/// y = conv(x, w), modulated.
pub fn conv2d(p: &Conv2d, m: Modulation, x: &[f32], w: &[f32], y: &mut [f32]) {
    p.check(x.len(), w.len(), y.len(), &m);
    let lowered = Lowered::new(p);
    let right = View::forward(p, w).right(&lowered);
    let to = Target { planes: Shared::new(y), scale: m.output };
    lowered.run(Source { planes: x, scale: m.input }, &right, to);
}

/// gx, the gradient of [`conv2d`] with respect to x, from gy, the one with respect to y.
///
/// This is the transposed convolution of gy [N, O, H', W'] with the weight [O, I, k, k].
pub fn conv2d_data_gradient(p: &Conv2d, m: Modulation, gy: &[f32], w: &[f32], gx: &mut [f32]) {
    p.check(gx.len(), w.len(), gy.len(), &m);
    let from = Source { planes: gy, scale: m.output };
    let to = Target { planes: Shared::new(gx), scale: m.input };
    if p.is_winograd() {
        let lowered = Lowered::new(&p.turned());
        lowered.run(from, &View::turned(p, w).right(&lowered), to);
    } else {
        data_gradient::scatter(p, from, w, to);
    }
}

/// gw, the gradient of [`conv2d`] with respect to the weight.
pub fn conv2d_weight_gradient(p: &Conv2d, m: Modulation, x: &[f32], gy: &[f32], gw: &mut [f32]) {
    p.check(x.len(), gw.len(), gy.len(), &m);
    let x = Source { planes: x, scale: m.input };
    weight_gradient::weight_gradient(p, x, Source { planes: gy, scale: m.output }, gw);
}

#[cfg(test)]
mod tests;
