//! Style transfer: images of the styles of other images and of new texts (Reed et al. 2016, §5.4).

use burn::tensor::Tensor;

use crate::systems::NoiseSpace;

/// Styles `[N, z]` scaled to √z, about the length of random noise. The encoder shortens what it cannot
/// see, because the mean square error is least for the mean of all noise that fits an image.
pub fn matched(styles: Tensor<2>) -> Tensor<2> {
    let z = styles.dims()[1] as f64;
    let length = (styles.clone() * styles.clone()).sum_dim(1).clamp_min(1e-12).sqrt();
    styles * (length.recip() * z.sqrt())
}

/// The largest images `[N, 3, res, res]` of styles `[N, z]` and vectors of texts `[N, size]`. The
/// condition of a text has no noise.
pub fn of_styles(space: &dyn NoiseSpace, styles: Tensor<2>, texts: Tensor<2>) -> Tensor<4> {
    let [n, z] = styles.dims();
    let rest = space.noise_size() - z;
    let noise = match rest {
        0 => styles,
        rest => Tensor::cat(vec![styles.clone(), Tensor::zeros([n, rest], &styles.device())], 1),
    };
    space.draw(noise, texts)
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::nn::params::to_vec;

    #[test]
    fn matched_styles_are_as_long_as_noise() {
        let styles =
            Tensor::<2>::from_floats([[3.0, 0.0, 4.0, 0.0], [0.1, 0.1, 0.1, 0.1]], &Device::flex());
        let found = to_vec(matched(styles));
        for (found, expected) in found.iter().zip([1.2, 0.0, 1.6, 0.0, 1.0, 1.0, 1.0, 1.0]) {
            assert!((found - expected).abs() < 1e-5, "{found}, not {expected}");
        }
    }
}
