//! The description of a convolution and of its operands, which all of its parts share.

use crate::kernels::spec::Smooth;

/// A convolution of x `[N, I, H, W]` with a weight `[O, I, k, k]` to y `[N, O, H', W']`,
/// H' = ⌊(H + 2·padding − k)/stride⌋ + 1. A filter of x may be part of it; then H is the height after
/// the filter.
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
    /// Whether the weight is `[I, O, k, k]` in memory.
    pub swapped: bool,
}

impl Conv2d {
    /// The height of x after its filter, if there is one.
    pub fn mid_h(&self) -> usize {
        self.smooth.map_or(self.in_h, |s| self.in_h + 2 * s.padding - 3)
    }

    /// The width of x after its filter, if there is one.
    pub fn mid_w(&self) -> usize {
        self.smooth.map_or(self.in_w, |s| self.in_w + 2 * s.padding - 3)
    }

    /// The height of y.
    pub fn out_h(&self) -> usize {
        (self.mid_h() + 2 * self.padding - self.kernel) / self.stride + 1
    }

    /// The width of y.
    pub fn out_w(&self) -> usize {
        (self.mid_w() + 2 * self.padding - self.kernel) / self.stride + 1
    }

    /// The number of elements of x.
    pub fn in_len(&self) -> usize {
        self.batch * self.in_channels * self.in_h * self.in_w
    }

    /// The number of elements of y.
    pub fn out_len(&self) -> usize {
        self.batch * self.out_channels * self.out_h() * self.out_w()
    }

    /// The number of elements of the weight.
    pub fn weight_len(&self) -> usize {
        self.out_channels * self.in_channels * self.kernel * self.kernel
    }

    /// Whether Winograd's transforms apply: they need 3×3 taps and enough outputs to fill a tile.
    pub fn is_winograd(&self) -> bool {
        let turns = self.padding <= 2 && self.smooth.is_none();
        self.kernel == 3
            && (self.stride == 2 || self.stride == 1 && turns)
            && self.out_h().min(self.out_w()) > 2
    }

    /// The convolution that computes this one's data gradient (stride 1). Its weight is this one's,
    /// turned by 180°.
    pub fn turned(&self) -> Self {
        Self {
            in_channels: self.out_channels,
            out_channels: self.in_channels,
            in_h: self.out_h(),
            in_w: self.out_w(),
            padding: self.kernel - 1 - self.padding,
            ..*self
        }
    }
}

/// Planes `[N, C, ·, ·]` and an optional factor for each of them `[N, C]`, which is applied when they are
/// read.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    pub planes: &'a [f32],
    pub scale: Option<&'a [f32]>,
}

impl<'a> From<&'a [f32]> for Source<'a> {
    fn from(planes: &'a [f32]) -> Self {
        Self { planes, scale: None }
    }
}
