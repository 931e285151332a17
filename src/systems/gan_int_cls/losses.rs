//! The losses of GAN-INT-CLS (Reed et al. 2016, Algorithm 1), on logits.

use burn::tensor::Tensor;

use super::settings::Interpolation;
use crate::kernels::softplus;
use crate::nn::sums::total;
use crate::systems::gan::adversarial::{discriminator_fake, discriminator_real};

/// Logits of D `[N]` for real images with their captions, generated images, and, if mismatched pairs
/// are used, real images that do not fit the caption.
pub struct Judged {
    /// D(x, t).
    pub real: Tensor<1>,
    /// D(G(z, t), t).
    pub fake: Tensor<1>,
    /// D(x′, t).
    pub mismatched: Option<Tensor<1>>,
}

/// Loss of D: mean softplus(−D(x, t)) + θ·mean softplus(D(x′, t)) + (1 − θ)·mean
/// softplus(D(G(z, t), t)), where θ is the `share` of mismatched pairs → `[1]`.
pub fn discriminator(judged: Judged, share: f64) -> Tensor<1> {
    let real = discriminator_real(judged.real);
    let fake = discriminator_fake(judged.fake);
    match judged.mismatched {
        Some(mismatched) => real + discriminator_fake(mismatched) * share + fake * (1.0 - share),
        None => real + fake,
    }
}

/// Loss of G on logits of `rows` captions of images, followed by those of interpolated captions,
/// which have the weight `interpolated` → `[1]`. The sum is divided by the number of all logits.
pub fn generator(logits: Tensor<1>, rows: usize, interpolated: f64) -> Tensor<1> {
    let count = logits.dims()[0];
    let each = softplus(-logits);
    let of_captions = total(each.clone().narrow(0, 0, rows));
    let sum = match count - rows {
        0 => of_captions,
        more => of_captions + total(each.narrow(0, rows, more)) * interpolated,
    };
    sum / count as f64
}

/// Captions between caption i and caption i + N/2 of a batch: `[N, E]` → `[N/2, E]`. `at` `[N/2]`
/// are their places: 0 is the first caption and 1 the second.
pub fn interpolated(captions: Tensor<2>, at: &[f32]) -> Tensor<2> {
    let half = captions.dims()[0] / 2;
    let (first, second) = (captions.clone().narrow(0, 0, half), captions.narrow(0, half, half));
    let at = Tensor::<1>::from_floats(at, &first.device()).reshape([half, 1]);
    first.clone() + (second - first) * at
}

impl Interpolation {
    /// The places of `count` interpolated captions.
    pub fn places(self, count: usize, rng: &mut impl rand::Rng) -> Vec<f32> {
        match self {
            Self::Half => vec![0.5; count],
            Self::Uniform => (0..count).map(|_| rng.random::<f32>()).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::nn::params::to_vec;

    fn logits(values: &[f32]) -> Tensor<1> {
        Tensor::from_floats(values, &Device::flex())
    }

    fn softplus(x: f64) -> f64 {
        x.exp().ln_1p()
    }

    fn close(found: Tensor<1>, expected: f64) {
        let found = f64::from(to_vec(found)[0]);
        assert!((found - expected).abs() < 1e-6, "{found}, not {expected}");
    }

    #[test]
    fn mismatched_pairs_share_the_weight_of_fakes() {
        let judged = |mismatched: Option<Tensor<1>>| Judged {
            real: logits(&[1.0, -2.0]),
            fake: logits(&[0.5, 0.5]),
            mismatched,
        };
        let real = (softplus(-1.0) + softplus(2.0)) / 2.0;
        let (fake, mismatched) = (softplus(0.5), softplus(3.0));
        let found = discriminator(judged(Some(logits(&[3.0, 3.0]))), 0.25);
        close(found, real + 0.25 * mismatched + 0.75 * fake);
        close(discriminator(judged(None), 0.0), real + fake);
    }

    #[test]
    fn the_loss_of_g_is_divided_by_the_rows_used() {
        let found = generator(logits(&[1.0, 2.0, -1.0]), 2, 0.5);
        let expected = (softplus(-1.0) + softplus(-2.0) + 0.5 * softplus(1.0)) / 3.0;
        close(found, expected);
        close(generator(logits(&[1.0, 2.0]), 2, 1.0), (softplus(-1.0) + softplus(-2.0)) / 2.0);
    }

    #[test]
    fn interpolation_pairs_the_halves_of_a_batch() {
        let captions = Tensor::<2>::from_floats([[0.0], [10.0], [4.0], [20.0]], &Device::flex());
        assert_eq!(to_vec(interpolated(captions.clone(), &[0.5, 0.5])), [2.0, 15.0]);
        assert_eq!(to_vec(interpolated(captions, &[0.0, 1.0])), [0.0, 20.0]);
        let mut rng = crate::draws::stream(0, "places", 0);
        assert_eq!(Interpolation::Half.places(3, &mut rng), [0.5; 3]);
        let places = Interpolation::Uniform.places(50, &mut rng);
        assert!(places.iter().all(|at| (0.0..1.0).contains(at)) && places[0] != places[1]);
    }
}
