//! Pixel-based image similarity: MSE, PSNR and SSIM.

use std::sync::Arc;

use burn::tensor::Tensor;

use crate::kernels::{Fir, upfirdn2d};

/// Width of the value range `[-1, 1]` of images.
const RANGE: f32 = 2.0;
/// Side of SSIM's Gaussian window.
const WINDOW: usize = 11;
/// Standard deviation of SSIM's Gaussian window.
const SIGMA: f32 = 1.5;

/// Mean squared error per image: two batches `[N, C, H, W]` → `[N]`.
pub fn mse(a: Tensor<4>, b: Tensor<4>) -> Tensor<1> {
    let [n, c, h, w] = a.dims();
    let d = a - b;
    (d.clone() * d).reshape([n, c * h * w]).mean_dim(1).reshape([n])
}

/// Peak signal-to-noise ratio in dB for the mean squared error of one image in `[-1, 1]`. Average
/// the ratios of several images, not their errors.
pub fn psnr(mse: f64) -> f64 {
    10.0 * (f64::from(RANGE * RANGE) / mse.max(1e-20)).log10()
}

/// Sum of [`psnr`] over images, given their mean squared errors.
pub fn total_psnr(errors: &[f32]) -> f64 {
    errors.iter().map(|&mse| psnr(f64::from(mse))).sum()
}

/// Structural similarity per image (Wang et al. 2004): two batches `[N, C, H, W]` → `[N]`.
///
/// It is the mean over channels and over all Gaussian windows (11 pixels, σ 1.5) inside the image.
/// For sides below 11, the window is as large as the image.
pub fn ssim(a: Tensor<4>, b: Tensor<4>) -> Tensor<1> {
    let [n, _, h, w] = a.dims();
    let window = gaussian(WINDOW.min(h).min(w));
    let blur = |x: Tensor<4>| upfirdn2d(x, &window);
    let (ma, mb) = (blur(a.clone()), blur(b.clone()));
    let va = blur(a.clone() * a.clone()) - ma.clone() * ma.clone();
    let vb = blur(b.clone() * b.clone()) - mb.clone() * mb.clone();
    let cov = blur(a * b) - ma.clone() * mb.clone();
    let c1 = (0.01 * RANGE).powi(2);
    let c2 = (0.03 * RANGE).powi(2);
    let luminance = (ma.clone() * mb.clone() * 2.0 + c1) / (ma.clone() * ma + mb.clone() * mb + c1);
    let structure = (cov * 2.0 + c2) / (va + vb + c2);
    let map = luminance * structure;
    let count = map.dims()[1..].iter().product::<usize>();
    map.reshape([n, count]).mean_dim(1).reshape([n])
}

fn gaussian(taps: usize) -> Fir {
    let centre = (taps - 1) as f32 / 2.0;
    let mut values: Vec<f32> =
        (0..taps).map(|i| (-((i as f32 - centre) / SIGMA).powi(2) / 2.0).exp()).collect();
    let sum: f32 = values.iter().sum();
    values.iter_mut().for_each(|v| *v /= sum);
    Fir { taps: Arc::from(values), up: 1, down: 1, pad: [[0; 2]; 2], flip: false, gain: 1.0 }
}
