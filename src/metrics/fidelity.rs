//! Measures of reconstructions, in pairs of an image and its reconstruction.

use burn::tensor::Tensor;

use super::image;
use crate::nn::params::to_vec;
use crate::vision::Perceptual;

/// Mean squared error, PSNR, SSIM and perceptual distance, summed over images.
#[derive(Default)]
pub struct Fidelity {
    count: usize,
    mse: f64,
    psnr: f64,
    ssim: f64,
    perceptual: f64,
}

impl Fidelity {
    /// Adds images and their reconstructions, `[N, 3, H, W]` each.
    pub fn add(&mut self, real: Tensor<4>, back: Tensor<4>, perceptual: &Perceptual) {
        let total = |t: Tensor<1>| to_vec(t).iter().map(|&v| f64::from(v)).sum::<f64>();
        self.count += real.dims()[0];
        let errors = to_vec(image::mse(real.clone(), back.clone()));
        self.mse += errors.iter().map(|&mse| f64::from(mse)).sum::<f64>();
        self.psnr += image::total_psnr(&errors);
        self.ssim += total(image::ssim(real.clone(), back.clone()));
        self.perceptual += total(perceptual.distances(real, back));
    }

    /// The means over all images added so far.
    pub fn numbers(&self) -> [(&'static str, f64); 4] {
        let n = self.count as f64;
        [
            ("mse", self.mse / n),
            ("psnr", self.psnr / n),
            ("ssim", self.ssim / n),
            ("perceptual", self.perceptual / n),
        ]
    }
}
