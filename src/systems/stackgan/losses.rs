//! The adversarial losses of StackGAN++ (Zhang et al. 2019, Eq. 8 to 10), on logits.

use burn::tensor::Tensor;

use crate::systems::gan::adversarial;
use crate::systems::text_gan::discriminator::Logits;

/// Logits of a discriminator for the images of a step.
pub struct Judged {
    /// Real images with their captions.
    pub real: Logits,
    /// Real images with captions that do not fit them.
    pub mismatched: Option<Logits>,
    /// Generated images.
    pub fake: Logits,
}

/// Loss of a discriminator → `[1]`. With c and u for the logits with and without captions, and u's
/// weight w:
///
/// BCE₁(c(x)) + BCE₀(c(x′)) + BCE₀(c(x̂)) + w·[BCE₁(u(x)) + BCE₁(u(x′)) + BCE₀(u(x̂))]
///
/// Mismatched images x′ are real images. If w is 0, they share the weight of generated images: ½ and
/// ½. Without captions the loss is BCE₁(u(x)) + BCE₀(u(x̂)).
pub fn discriminator(judged: Judged, unconditional_weight: f64) -> Tensor<1> {
    let Judged { real, mismatched, fake } = judged;
    let alone = |mismatched: Option<Tensor<1>>| {
        let sum = adversarial::discriminator_real(real.unconditional)
            + adversarial::discriminator_fake(fake.unconditional);
        match mismatched {
            Some(mismatched) => sum + adversarial::discriminator_real(mismatched),
            None => sum,
        }
    };
    let Some(conditional) = fake.conditional else { return alone(None) };
    let rejected_weight = if unconditional_weight > 0.0 { 1.0 } else { 0.5 };
    let mut rejected = adversarial::discriminator_fake(conditional);
    let (mismatched, mismatched_alone) =
        mismatched.map(|logits| (logits.conditional, logits.unconditional)).unzip();
    if let Some(mismatched) = mismatched.flatten() {
        rejected = rejected + adversarial::discriminator_fake(mismatched);
    }
    let mut sum = rejected * rejected_weight;
    if let Some(real) = real.conditional {
        sum = sum + adversarial::discriminator_real(real);
    }
    match unconditional_weight > 0.0 {
        true => sum + alone(mismatched_alone) * unconditional_weight,
        false => sum,
    }
}

/// Loss of G by one discriminator: BCE₁(c(x̂)) + w·BCE₁(u(x̂)), or BCE₁(u(x̂)) without captions →
/// `[1]`.
pub fn generator(fake: Logits, unconditional_weight: f64) -> Tensor<1> {
    let Some(conditional) = fake.conditional else {
        return adversarial::generator(fake.unconditional);
    };
    let sum = adversarial::generator(conditional);
    match unconditional_weight > 0.0 {
        true => sum + adversarial::generator(fake.unconditional) * unconditional_weight,
        false => sum,
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::nn::params::to_vec;

    fn logits(conditional: Option<f32>, unconditional: f32) -> Logits {
        let row = |value: f32| Tensor::<1>::from_floats([value], &Device::flex());
        Logits { conditional: conditional.map(row), unconditional: row(unconditional) }
    }

    fn softplus(x: f64) -> f64 {
        x.exp().ln_1p()
    }

    fn close(found: Tensor<1>, expected: f64) {
        let found = f64::from(to_vec(found)[0]);
        assert!((found - expected).abs() < 1e-6, "{found}, not {expected}");
    }

    fn judged(captions: bool) -> Judged {
        let given = |value: f32| captions.then_some(value);
        Judged {
            real: logits(given(1.0), 2.0),
            mismatched: captions.then(|| logits(Some(0.25), 0.75)),
            fake: logits(given(-0.5), -1.5),
        }
    }

    #[test]
    fn mismatched_images_are_real_images() {
        let conditional = softplus(-1.0) + softplus(0.25) + softplus(-0.5);
        let alone = softplus(-2.0) + softplus(-0.75) + softplus(-1.5);
        close(discriminator(judged(true), 1.0), conditional + alone);
        close(discriminator(judged(true), 0.25), conditional + 0.25 * alone);
        let shared = softplus(-1.0) + 0.5 * (softplus(0.25) + softplus(-0.5));
        close(discriminator(judged(true), 0.0), shared);
        close(discriminator(judged(false), 1.0), softplus(-2.0) + softplus(-1.5));
    }

    #[test]
    fn a_batch_without_captions_has_a_loss() {
        let without =
            Judged { real: logits(None, 2.0), mismatched: None, fake: logits(Some(-0.5), -1.5) };
        let expected = softplus(-0.5) + softplus(-2.0) + softplus(-1.5);
        close(discriminator(without, 1.0), expected);
    }

    #[test]
    fn the_generator_is_judged_with_and_without_captions() {
        close(generator(logits(Some(1.0), -2.0), 0.5), softplus(-1.0) + 0.5 * softplus(2.0));
        close(generator(logits(Some(1.0), -2.0), 0.0), softplus(-1.0));
        close(generator(logits(None, -2.0), 0.0), softplus(2.0));
    }
}
