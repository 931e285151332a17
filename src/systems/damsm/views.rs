//! Random crops and mirrored copies of images.

use std::sync::Arc;

use burn::tensor::Tensor;
use rand::Rng;

use crate::kernels::{self, Warp};

/// A square part of an image, enlarged to the whole, and perhaps mirrored.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct View {
    /// Side of the part, as a fraction of the image.
    pub side: f64,
    /// Place of the part, from 0 (left) to 1 (right).
    pub left: f64,
    /// Place of the part, from 0 (top) to 1 (bottom).
    pub top: f64,
    /// Whether it is flipped horizontally.
    pub mirrored: bool,
}

impl View {
    /// A random view with a side of at least `least`, mirrored half of the time if `mirror`.
    pub fn draw(least: f64, mirror: bool, rng: &mut impl Rng) -> Self {
        let mut unit = || rng.random::<f64>();
        let (side, left, top) = (least + (1.0 - least) * unit(), unit(), unit());
        Self { side, left, top, mirrored: unit() < 0.5 && mirror }
    }

    /// The affine map of [`Warp`] for an image of `n` × `n` pixels. It never leaves the image.
    fn map(&self, n: usize) -> [f32; 6] {
        let last = (n - 1) as f64;
        let span = self.side * last;
        let rate = span / last.max(1.0);
        let (x, y) = (self.left * (last - span), self.top * (last - span));
        let (rate_x, x) = if self.mirrored { (-rate, x + span) } else { (rate, x) };
        [rate_x, 0.0, x, 0.0, rate, y].map(|v| v as f32)
    }
}

/// One view of each image: `[N, C, H, H]` → `[N, C, H, H]`.
pub fn seen(images: Tensor<4>, views: &[View]) -> Tensor<4> {
    let [_, _, side, _] = images.dims();
    let maps = views.iter().map(|view| view.map(side)).collect::<Arc<[_]>>();
    kernels::warp(images, &Warp { maps, input: [side; 2], output: [side; 2] })
}

/// Words that name a side. A mirrored image does not fit a caption with one of them.
const SIDES: [&str; 8] = [
    "left",
    "right",
    "leftward",
    "rightward",
    "leftwards",
    "rightwards",
    "clockwise",
    "counterclockwise",
];

/// Whether a caption names a side of the image.
pub fn names_a_side(caption: &str) -> bool {
    caption
        .split(|c: char| !c.is_alphanumeric())
        .any(|word| SIDES.iter().any(|side| word.eq_ignore_ascii_case(side)))
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::draws;
    use crate::nn::params::to_vec;

    const WHOLE: View = View { side: 1.0, left: 0.0, top: 0.0, mirrored: false };

    /// An image whose pixels are 10·row + column.
    fn numbered(side: usize) -> Tensor<4> {
        let values: Vec<f32> =
            (0..side * side).map(|i| (10 * (i / side) + i % side) as f32).collect();
        Tensor::<1>::from_floats(values.as_slice(), &Device::flex()).reshape([1, 1, side, side])
    }

    fn close(found: Tensor<4>, expected: &[f32]) {
        for (found, expected) in to_vec(found).iter().zip(expected) {
            assert!((found - expected).abs() < 1e-4, "{found}, not {expected}");
        }
    }

    #[test]
    fn views_are_crops_and_mirrors() {
        let x = numbered(3);
        close(seen(x.clone(), &[WHOLE]), &to_vec(x.clone()));
        let mirrored = seen(x.clone(), &[View { mirrored: true, ..WHOLE }]);
        close(mirrored, &to_vec(x.clone().flip([3])));
        // The lower right half: from the middle pixel to the last one.
        let part = View { side: 0.5, left: 1.0, top: 1.0, mirrored: false };
        close(seen(x, &[part]), &[11.0, 11.5, 12.0, 16.0, 16.5, 17.0, 21.0, 21.5, 22.0]);
    }

    #[test]
    fn views_stay_within_the_image() {
        let ones = Tensor::<4>::ones([64, 1, 9, 9], &Device::flex());
        let mut rng = draws::stream(0, "views", 0);
        let views: Vec<View> = (0..64).map(|_| View::draw(0.3, true, &mut rng)).collect();
        assert!(views.iter().any(|view| view.mirrored) && views.iter().any(|v| !v.mirrored));
        assert!(to_vec(seen(ones, &views)).iter().all(|v| (v - 1.0).abs() < 1e-5));
        assert!((0..64).all(|_| !View::draw(0.3, false, &mut rng).mirrored));
    }

    #[test]
    fn sides_are_found_as_words() {
        assert!(names_a_side("A bird facing LEFT."));
        assert!(!names_a_side("a bright bird with leftover crumbs"));
    }
}
