//! Bilinear resizing to any size, differentiable on every backend.

use burn::tensor::{Device, Tensor, TensorData};

/// Resizes images to `side` × `side`: `[N, C, H, W]` → `[N, C, side, side]`.
///
/// It interpolates between pixel centres and does not low-pass filter when shrinking, like the
/// networks' authors and pytorch-fid. It uses two matrix products, one per axis, because Burn's
/// interpolation has no gradient on GPUs.
pub fn bilinear(x: Tensor<4>, side: usize) -> Tensor<4> {
    let [n, c, h, w] = x.dims();
    let device = x.device().without_autodiff();
    let x = if w == side {
        x
    } else {
        let columns = weights(w, side, &device).transpose();
        x.reshape([n * c * h, w]).matmul(columns).reshape([n, c, h, side])
    };
    if h == side {
        return x;
    }
    let rows = weights(h, side, &device).reshape([1, side, h]);
    rows.expand([n * c, side, h]).matmul(x.reshape([n * c, h, side])).reshape([n, c, side, side])
}

/// Weights `[to, from]`: row i contains the weights of the two neighbours of output pixel i.
fn weights(from: usize, to: usize, device: &Device) -> Tensor<2> {
    let mut values = vec![0f32; to * from];
    let scale = from as f64 / to as f64;
    for (i, row) in values.chunks_exact_mut(from).enumerate() {
        let at = ((i as f64 + 0.5) * scale - 0.5).clamp(0.0, (from - 1) as f64);
        let left = at.floor() as usize;
        let right = (left + 1).min(from - 1);
        let share = (at - left as f64) as f32;
        row[left] += 1.0 - share;
        row[right] += share;
    }
    Tensor::from_data(TensorData::new(values, [to, from]), device)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::params::to_vec;

    fn ramp(h: usize, w: usize) -> Tensor<4> {
        // The values are linear in both coordinates of the unit square.
        let values = (0..h * w)
            .map(|i| {
                let (y, x) = ((i / w) as f32 + 0.5, (i % w) as f32 + 0.5);
                3.0 * y / h as f32 - 2.0 * x / w as f32
            })
            .collect::<Vec<_>>();
        Tensor::from_data(TensorData::new(values, [1, 1, h, w]), &Device::flex())
    }

    #[test]
    fn linear_ramp_is_resized_exactly_between_pixel_centres() {
        for (h, w, side) in [(8, 8, 12), (12, 12, 8), (5, 9, 7), (7, 7, 7)] {
            let found = to_vec(bilinear(ramp(h, w), side));
            let expected = to_vec(ramp(side, side));
            // Beyond the centres of the border pixels, the nearest value is repeated.
            let inside = |i: usize, n: usize| {
                let at = (i as f32 + 0.5) * n as f32 / side as f32;
                (0.5..=n as f32 - 0.5).contains(&at)
            };
            for i in (0..side * side).filter(|i| inside(i / side, h) && inside(i % side, w)) {
                assert!((found[i] - expected[i]).abs() < 1e-5, "{h}×{w} → {side}, pixel {i}");
            }
        }
    }

    #[test]
    fn gradient_of_the_sum_is_the_sum_of_the_weights() {
        let x = ramp(6, 6).autodiff().require_grad();
        let gradients = bilinear(x.clone(), 12).sum().backward();
        let gradient = to_vec(x.grad(&gradients).unwrap());
        // Doubling the side gives every pixel a total weight of 4, also at the border.
        assert!(gradient.iter().all(|g| (g - 4.0).abs() < 1e-5), "{gradient:?}");
    }
}
