//! Diversity of images: their mean pairwise perceptual distance.

use burn::tensor::Tensor;

use crate::error::{Error, Result};
use crate::nn::params::to_vec;
use crate::vision::Perceptual;

/// Mean perceptual distance over all pairs of `images` `[N, 3, H, W]`, N ≥ 2.
///
/// In the unit of [`Perceptual::calibrate`], 1 is the mean distance of two real images; 0 means
/// that all images are equal. The mean of ‖a − b‖² over pairs is twice the unbiased variance, so
/// the cost is linear in N.
///
/// # Errors
/// Fails if there are fewer than two images.
pub fn diversity(perceptual: &Perceptual, images: Tensor<4>) -> Result<f64> {
    let [n, ..] = images.dims();
    if n < 2 {
        return Err(Error::user("diversity needs at least two images for a caption")
            .hint("generate with more seeds"));
    }
    let layers = perceptual.features(images);
    let count = layers.len() as f64;
    let of_layer = |(layer, &unit): (Tensor<4>, &f32)| {
        let centred = layer.clone() - layer.mean_dim(0);
        let variance = to_vec((centred.clone() * centred).mean());
        // The mean above divides by N.
        let unbiased = f64::from(variance[0]) * n as f64 / (n - 1) as f64;
        2.0 * unbiased / f64::from(unit)
    };
    Ok(layers.into_iter().zip(perceptual.units()).map(of_layer).sum::<f64>() / count)
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};

    use super::*;
    use crate::draws;
    use crate::vision::Features;

    /// Two layers: the images themselves, and their squares.
    struct Plain;

    impl Features for Plain {
        fn name(&self) -> &'static str {
            "plain"
        }

        fn extract(&self, images: Tensor<4>) -> Vec<Tensor<4>> {
            vec![images.clone(), images.clone() * images]
        }
    }

    #[test]
    fn diversity_is_the_mean_over_all_pairs() {
        let values = draws::normal(&mut draws::stream(1, "diversity", 0), 5 * 3 * 16);
        let device = Device::flex();
        let images = Tensor::<4>::from_data(TensorData::new(values, [5, 3, 4, 4]), &device);
        let perceptual = Perceptual::with_units(Box::new(Plain), vec![0.5, 3.0], &device).unwrap();
        let one = |i: usize| images.clone().narrow(0, i, 1);
        let mut sum = 0.0;
        for (i, j) in (0..5).flat_map(|i| (0..i).map(move |j| (i, j))) {
            sum += f64::from(to_vec(perceptual.distances(one(i), one(j)))[0]);
        }
        let found = diversity(&perceptual, images.clone()).unwrap();
        assert!((found - sum / 10.0).abs() < 1e-5, "{found} {}", sum / 10.0);
        assert!(diversity(&perceptual, one(0)).is_err());
        assert!(diversity(&perceptual, one(0).repeat_dim(0, 3)).unwrap().abs() < 1e-9);
    }
}
