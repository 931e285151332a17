//! Bicubic resizing with a low-pass filter, as Pillow does it, differentiable on every backend.

use burn::tensor::{Device, Tensor, TensorData};

/// The sharpness of the filter, which Pillow uses.
const A: f64 = -0.5;
/// Distance up to which the filter of an unreduced image is not 0, in pixels.
const REACH: f64 = 2.0;

/// Resizes images in [0, 1] so that their shorter side is `side`, and cuts out the centre:
/// `[N, C, H, W]` → `[N, C, side, side]`.
///
/// Unlike [`bilinear`](super::resize::bilinear), it takes the mean over an area when it shrinks. Each
/// axis is one matrix product with weights that contain the crop. Values that overshoot are limited
/// after each axis, which is what storing them in bytes does.
pub fn bicubic_square(x: Tensor<4>, side: usize) -> Tensor<4> {
    let [n, c, h, w] = x.dims();
    let device = x.device().without_autodiff();
    let x = match weights(w, h.min(w), side, &device) {
        None => x,
        Some(columns) => {
            let x = x.reshape([n * c * h, w]).matmul(columns.transpose());
            x.reshape([n, c, h, side]).clamp(0.0, 1.0)
        }
    };
    let Some(rows) = weights(h, h.min(w), side, &device) else { return x };
    let rows = rows.reshape([1, side, h]).expand([n * c, side, h]);
    let x = rows.matmul(x.reshape([n * c, h, side]));
    x.reshape([n, c, side, side]).clamp(0.0, 1.0)
}

/// Weights `[side, from]` of an axis of length `from`, in an image whose shorter axis `shorter` becomes
/// `side`; only of the pixels in the centre. `None` if nothing changes.
fn weights(from: usize, shorter: usize, side: usize, device: &Device) -> Option<Tensor<2>> {
    if from == side && shorter == side {
        return None;
    }
    // Exact in integers: the length of the longer axis is rounded down.
    let to = (side * from / shorter).max(side);
    let first = half_to_even(to - side);
    let scale = from as f64 / to as f64;
    let stretch = scale.max(1.0);
    let mut values = vec![0f32; side * from];
    for (i, row) in values.chunks_exact_mut(from).enumerate() {
        let centre = ((first + i) as f64 + 0.5) * scale;
        let bound = |at: f64| (at.max(0.0) as usize).min(from);
        let near = bound(centre - REACH * stretch + 0.5)..bound(centre + REACH * stretch + 0.5);
        let weight = |at: usize| cubic((at as f64 + 0.5 - centre) / stretch);
        // At the border, the pixels that exist share the weight.
        let total: f64 = near.clone().map(weight).sum();
        for at in near {
            row[at] = (weight(at) / total) as f32;
        }
    }
    Some(Tensor::from_data(TensorData::new(values, [side, from]), device))
}

/// n/2, rounded to the nearest integer, and to an even one in the middle.
fn half_to_even(n: usize) -> usize {
    n / 2 + usize::from(n % 4 == 3)
}

/// The cubic convolution filter (Keys 1981).
fn cubic(x: f64) -> f64 {
    let x = x.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < REACH {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::params::to_vec;

    fn image(h: usize, w: usize, value: impl Fn(f32, f32) -> f32) -> Tensor<4> {
        let at = |i: usize| value((i / w) as f32 + 0.5, (i % w) as f32 + 0.5);
        let values: Vec<f32> = (0..h * w).map(at).collect();
        Tensor::from_data(TensorData::new(values, [1, 1, h, w]), &Device::flex())
    }

    #[test]
    fn constant_images_stay_constant_and_equal_sizes_the_same() {
        for (h, w, side) in [(5, 9, 7), (24, 31, 7), (7, 7, 20), (3, 40, 3)] {
            let found = to_vec(bicubic_square(image(h, w, |_, _| 0.75), side));
            assert_eq!(found.len(), side * side);
            assert!(found.iter().all(|v| (v - 0.75).abs() < 1e-6), "{h}×{w} → {side}");
        }
        let x = image(6, 6, |y, x| (y * 7.0 + x).sin().abs());
        assert_eq!(to_vec(bicubic_square(x.clone(), 6)), to_vec(x));
    }

    #[test]
    fn the_centre_of_the_longer_axis_is_kept() {
        // One step of the ramp is 1/40. 10×40 → 5×20, of which columns 8 to 12 (7.5 rounds to 8).
        let found = to_vec(bicubic_square(image(10, 40, |_, x| x / 40.0), 5));
        for (i, v) in found[..5].iter().enumerate() {
            let expected = (8.0 + i as f32 + 0.5) / 20.0;
            assert!((v - expected).abs() < 1e-5, "column {i}: {v}, not {expected}");
        }
        assert_eq!([0, 1, 2, 3, 4, 5, 7].map(half_to_even), [0, 0, 1, 2, 2, 2, 4]);
    }

    #[test]
    fn the_gradient_is_the_transposed_filter() {
        let x = image(6, 6, |_, _| 0.5).autodiff().require_grad();
        let gradients = bicubic_square(x.clone(), 12).sum().backward();
        let gradient = to_vec(x.grad(&gradients).unwrap());
        let total: f32 = gradient.iter().sum();
        assert!((total - 144.0).abs() < 1e-3, "{total}");
    }
}
