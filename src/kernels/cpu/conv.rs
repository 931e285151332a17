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
use super::forward::convolve;
use super::lowered::Lowered;
use super::planes::{Source, Target};
use super::scratch::Shared;
use super::weight_gradient;
use super::weights::View;

/// A convolution of x [N, I, H, W] with a weight [O, I, k, k] to y [N, O, H', W'],
/// H' = ⌊(H + 2·padding − k)/stride⌋ + 1. x may pass a filter first, which then counts as part of
/// the convolution.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Conv2d {
    pub batch: usize,
    pub in_channels: usize,
    pub out_channels: usize,
    pub in_h: usize,
    pub in_w: usize,
    pub kernel: usize,
    pub stride: usize,
    pub padding: usize,
    pub smooth: Option<Smooth>,
}

/// A separable FIR filter of four taps before a convolution: H → H + 2·padding − 3.
///
/// With stride 2 and no padding of the convolution's own this is StyleGAN2's convolution down
/// (padding 2), and its data gradient, which filters last, is the convolution up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Smooth {
    /// Of one axis, correlated with x.
    pub taps: [f32; 4],
    /// Zeros around x, at most 3.
    pub padding: usize,
}

impl Conv2d {
    /// The height of what the kernel sees: of x, or of x filtered.
    pub(super) fn mid_h(&self) -> usize {
        self.smooth.map_or(self.in_h, |s| self.in_h + 2 * s.padding - 3)
    }

    /// Its width.
    pub(super) fn mid_w(&self) -> usize {
        self.smooth.map_or(self.in_w, |s| self.in_w + 2 * s.padding - 3)
    }

    /// H'.
    pub fn out_h(&self) -> usize {
        (self.mid_h() + 2 * self.padding - self.kernel) / self.stride + 1
    }

    /// W'.
    pub fn out_w(&self) -> usize {
        (self.mid_w() + 2 * self.padding - self.kernel) / self.stride + 1
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

    /// Whether Winograd's transforms apply: they need 3×3 taps, and outputs to fill their tiles.
    pub(super) fn is_winograd(&self) -> bool {
        let turns = self.padding <= 2 && self.smooth.is_none();
        self.kernel == 3
            && (self.stride == 2 || self.stride == 1 && turns)
            && self.out_h().min(self.out_w()) > 2
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
        assert!(self.smooth.is_none_or(|s| s.padding <= 3), "padding for {self:?}");
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
    convolve(&lowered, Source { planes: x, scale: m.input }, &right, to);
}

/// gx, the gradient of [`conv2d`] with respect to x, from gy, the one with respect to y.
///
/// This is the transposed convolution of gy [N, O, H', W'] with the weight [O, I, k, k].
pub fn conv2d_data_gradient(p: &Conv2d, m: Modulation, gy: &[f32], w: &[f32], gx: &mut [f32]) {
    p.check(gx.len(), w.len(), gy.len(), &m);
    let from = Source { planes: gy, scale: m.output };
    let to = Target { planes: Shared::new(gx), scale: m.input };
    if p.is_winograd() && p.stride == 1 {
        let lowered = Lowered::new(&p.turned());
        convolve(&lowered, from, &View::turned(p, w).right(&lowered), to);
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
