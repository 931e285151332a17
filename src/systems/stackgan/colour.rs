//! Colour consistency (Zhang et al. 2019, §4.3): the images of one sample agree in the mean and the
//! covariance of their colours.

use burn::tensor::Tensor;

/// The mean `[N, 3]` and the covariance `[N, 3, 3]` of the colours of each image.
pub struct Colours {
    /// Over the pixels.
    pub mean: Tensor<2>,
    /// Divided by the number of pixels.
    pub covariance: Tensor<3>,
}

impl Colours {
    /// The colours of images `[N, 3, H, W]`.
    pub fn of(images: Tensor<4>) -> Self {
        let [n, c, h, w] = images.dims();
        let pixels = images.reshape([n, c, h * w]);
        let mean = pixels.clone().mean_dim(2);
        let centred = pixels - mean.clone();
        let covariance = centred.clone().matmul(centred.transpose()) / (h * w) as f64;
        Self { mean: mean.reshape([n, c]), covariance }
    }

    fn detached(&self) -> Self {
        Self { mean: self.mean.clone().detach(), covariance: self.covariance.clone().detach() }
    }
}

/// Mean squared differences of the means, and of the covariances, of the colours of larger and
/// smaller images of the same samples → `[1]` each. The smaller images are treated as constants.
pub fn differences(larger: &Colours, smaller: &Colours) -> [Tensor<1>; 2] {
    let smaller = smaller.detached();
    let mean = larger.mean.clone() - smaller.mean;
    let covariance = larger.covariance.clone() - smaller.covariance;
    [(mean.clone() * mean).mean(), (covariance.clone() * covariance).mean()]
}

/// Mean distances between the means, and between the covariances, of the colours of larger and
/// smaller images of the same samples, as numbers to log → `[1]` each.
pub fn distances(larger: &Colours, smaller: &Colours) -> [Tensor<1>; 2] {
    let mean = larger.mean.clone().inner() - smaller.mean.clone().inner();
    let covariance = larger.covariance.clone().inner() - smaller.covariance.clone().inner();
    let norms = |rows: Tensor<2>| (rows.clone() * rows).sum_dim(1).sqrt().mean();
    let n = covariance.dims()[0];
    [norms(mean), norms(covariance.reshape([n, 9]))]
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::nn::params::to_vec;

    /// Red ramps from `from`, green is constant, blue is red reversed.
    fn ramp(side: usize, from: f32) -> Tensor<4> {
        let count = side * side;
        let red: Vec<f32> = (0..count).map(|i| from + i as f32 / (count - 1) as f32).collect();
        let blue: Vec<f32> = red.iter().rev().copied().collect();
        let values = [red, vec![0.25; count], blue].concat();
        Tensor::<1>::from_floats(values.as_slice(), &Device::flex()).reshape([1, 3, side, side])
    }

    #[test]
    fn moments_are_those_of_the_pixels() {
        let colours = Colours::of(ramp(2, 0.0));
        for (found, expected) in to_vec(colours.mean).iter().zip([0.5, 0.25, 0.5]) {
            assert!((found - expected).abs() < 1e-6);
        }
        // The variance of 0, ⅓, ⅔, 1 is 5/36.
        let variance = 5.0 / 36.0;
        let expected = [variance, 0.0, -variance, 0.0, 0.0, 0.0, -variance, 0.0, variance];
        for (found, expected) in to_vec(colours.covariance).iter().zip(expected) {
            assert!((found - expected).abs() < 1e-6, "{found}, not {expected}");
        }
    }

    #[test]
    fn only_the_larger_image_is_moved() {
        let [larger, smaller] =
            [ramp(4, 0.5), ramp(2, 0.0)].map(|image| image.autodiff().require_grad());
        let colours = [&larger, &smaller].map(|image| Colours::of(image.clone()));
        let [mean, covariance] = differences(&colours[0], &colours[1]);
        let [distance, _] = distances(&colours[0], &colours[1]);
        assert!((to_vec(distance)[0] - 0.5f32.sqrt()).abs() < 1e-6);
        // Red and blue differ by ½, and green agrees.
        assert!((to_vec(mean.clone().inner())[0] - 0.5 / 3.0).abs() < 1e-6);
        let gradients = (mean + covariance).backward();
        assert!(to_vec(larger.grad(&gradients).unwrap().inner()).iter().any(|g| *g != 0.0));
        assert!(smaller.grad(&gradients).is_none());
    }
}
