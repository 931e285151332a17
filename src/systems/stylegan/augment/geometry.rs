//! Geometric augmentation: one warp per image, with the sym6 wavelet as anti-aliasing filter
//! (Karras et al. 2020b, App. B.2).

use std::sync::Arc;

use burn::tensor::{Int, Tensor, TensorData};

use super::Matrix;
use crate::kernels::{self, Fir, Warp};
use crate::nn::Dual;

/// The low-pass filter of the sym6 wavelet (Daubechies 1992), before normalisation.
const SYM6: [f64; 12] = [
    0.015404109327027373,
    0.0034907120842174702,
    -0.11799011114819057,
    -0.048311742585633,
    0.4910559419267466,
    0.787641141030194,
    0.3379294217276218,
    -0.07263752278646252,
    -0.021060292512300564,
    0.04472490177066578,
    0.0017677118642428036,
    -0.007800708325034148,
];

/// Reach of the filter to one side, in pixels of the image.
const REACH: usize = SYM6.len() / 4;

/// Margins in pixels by which the images of a batch are extended by mirroring before the warp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Margins {
    /// Before the first column.
    pub left: usize,
    /// Above the first row.
    pub top: usize,
    /// After the last column.
    pub right: usize,
    /// Below the last row.
    pub bottom: usize,
}

impl Margins {
    /// The smallest margins that cover the sampled corners of all images of the batch, with the
    /// filters around them. At most side − 1, the limit of mirroring.
    pub fn exact(inverse: &[Matrix<3>], [height, width]: [usize; 2]) -> Self {
        let (cx, cy) = ((width as f64 - 1.0) / 2.0, (height as f64 - 1.0) / 2.0);
        let mut reach = [f64::NEG_INFINITY; 4];
        for [[xx, xy, x0], [yx, yy, y0], _] in inverse {
            for (x, y) in [(-cx, -cy), (cx, -cy), (cx, cy), (-cx, cy)] {
                let (x, y) = (xx * x + xy * y + x0, yx * x + yy * y + y0);
                for (reach, found) in reach.iter_mut().zip([-x, -y, x, y]) {
                    *reach = reach.max(found);
                }
            }
        }
        let side = |reach: f64, centre: f64, size: usize| {
            let needed = reach + (2 * REACH) as f64 - centre;
            needed.max(0.0).min(size as f64 - 1.0).ceil() as usize
        };
        Self {
            left: side(reach[0], cx, width),
            top: side(reach[1], cy, height),
            right: side(reach[2], cx, width),
            bottom: side(reach[3], cy, height),
        }
    }

    /// Each margin rounded up to a multiple of `step` (and at most side − 1), so that batches have
    /// few different shapes. This only changes pixels that exact margins leave at zero, under the
    /// tails of the filters.
    pub fn rounded_up(self, step: usize, [height, width]: [usize; 2]) -> Self {
        let round = |margin: usize, size: usize| {
            margin.next_multiple_of(step.max(1)).min(size - 1).max(margin)
        };
        Self {
            left: round(self.left, width),
            top: round(self.top, height),
            right: round(self.right, width),
            bottom: round(self.bottom, height),
        }
    }
}

/// Warps images `[N, C, H, W]` by the inverse matrices of the batch `[N]`, about their centres.
///
/// Images are extended by mirroring, doubled with sym6, sampled bilinearly on a doubled canvas
/// that leaves room for the filter, and halved with the flipped filter.
pub(super) fn warp(x: Dual<4>, inverse: &[Matrix<3>], margins: Margins) -> Dual<4> {
    let [_, _, height, width] = x.value.dims();
    let [rows, columns] = [
        reflected(height, margins.top, margins.bottom),
        reflected(width, margins.left, margins.right),
    ];
    let padded = [rows.len(), columns.len()];
    let warp = sampling(inverse, margins, [height, width], padded);
    x.linear(|x| {
        let x = pick(pick(x, 2, &rows), 3, &columns);
        let x = kernels::upfirdn2d(x, &up());
        let x = kernels::warp(x, &warp);
        kernels::upfirdn2d(x, &down())
    })
}

/// Describes the warp for the kernel: from canvas pixels to pixels of the padded, doubled images.
///
/// Canvas column j lies (j − W − 5)/2 pixels right of the centre. Column 2k and 2k+1 of a doubled
/// image are pixel k, and `left` pixels come before the image. Rows likewise.
fn sampling(
    inverse: &[Matrix<3>],
    margins: Margins,
    [height, width]: [usize; 2],
    padded: [usize; 2],
) -> Warp {
    let (h, w) = (height as f64, width as f64);
    let start = [2.0 * margins.left as f64 + w - 1.0, 2.0 * margins.top as f64 + h - 1.0];
    let before = [w, h].map(|size| size + (2 * REACH - 1) as f64);
    let axis = |[x, y, shift]: [f64; 3], start: f64| {
        let offset = start + 2.0 * shift - x * before[0] - y * before[1];
        [x as f32, y as f32, offset as f32]
    };
    let maps = inverse.iter().map(|&[of_x, of_y, _]| {
        let ([xx, xy, x0], [yx, yy, y0]) = (axis(of_x, start[0]), axis(of_y, start[1]));
        [xx, xy, x0, yx, yy, y0]
    });
    Warp {
        maps: maps.collect(),
        input: padded.map(|size| 2 * size),
        output: [height, width].map(|size| 2 * (size + 2 * REACH)),
    }
}

/// The upsampling filter: `[H, W]` → `[2H, 2W]`.
fn up() -> Fir {
    Fir { taps: taps(), up: 2, down: 1, pad: [[6, 5]; 2], flip: false, gain: 4.0 }
}

/// The downsampling filter: canvas `[2·(H + 6), 2·(W + 6)]` → `[H, W]`.
fn down() -> Fir {
    Fir { taps: taps(), up: 1, down: 2, pad: [[-1, -1]; 2], flip: true, gain: 1.0 }
}

/// The taps of the filter, normalised to sum 1.
fn taps() -> Arc<[f32]> {
    let sum: f64 = SYM6.iter().sum();
    SYM6.iter().map(|tap| (tap / sum) as f32).collect()
}

/// Indices that extend `size` samples by mirroring; the outermost samples are not repeated.
fn reflected(size: usize, before: usize, after: usize) -> Vec<i32> {
    let last = size as i32 - 1;
    (-(before as i32)..size as i32 + after as i32).map(|i| last - (last - i.abs()).abs()).collect()
}

/// The selected rows (`axis` 2) or columns (`axis` 3) of `[N, C, H, W]`.
fn pick(x: Tensor<4>, axis: usize, indices: &[i32]) -> Tensor<4> {
    if indices.len() == x.dims()[axis] {
        return x;
    }
    let indices = TensorData::new(indices.to_vec(), [indices.len()]);
    let indices = Tensor::<1, Int>::from_data(indices, &x.device());
    x.select(axis, indices)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirroring_does_not_repeat_the_border() {
        assert_eq!(reflected(4, 3, 3), [3, 2, 1, 0, 1, 2, 3, 2, 1, 0]);
        assert_eq!(reflected(3, 0, 1), [0, 1, 2, 1]);
    }

    #[test]
    fn margins_are_rounded_within_the_image() {
        let margins = Margins { left: 6, top: 7, right: 8, bottom: 15 };
        let rounded = margins.rounded_up(8, [16, 16]);
        assert_eq!(rounded, Margins { left: 8, top: 8, right: 8, bottom: 15 });
        assert_eq!(margins.rounded_up(1, [16, 16]), margins);
    }
}
