//! The adversarial losses of AttnGAN and MirrorGAN (Xu et al. 2018, Eq. 5 and 6), on logits, with the
//! weights of the published code.

use burn::tensor::Tensor;

use crate::systems::gan::adversarial;
use crate::systems::text_gan::discriminator::Logits;

/// Logits of a discriminator for the images of a step.
pub struct Judged {
    /// Real images, with their captions.
    pub real: Logits,
    /// The same images with captions of others `[M]`; `None` if there are no others.
    pub mismatched: Option<Tensor<1>>,
    /// Generated images.
    pub fake: Logits,
}

/// Loss of a discriminator → `[1]`. With c and u for the logits with and without captions:
///
/// ½·[BCE₁(u(x)) + BCE₁(c(x))] + ⅓·[BCE₀(u(x̂)) + BCE₀(c(x̂)) + BCE₀(c(x, t′))]
///
/// If a batch lacks a term, the weights are those of a mean over the others.
pub fn discriminator(judged: Judged) -> Tensor<1> {
    let Judged { real, mismatched, fake } = judged;
    let accepted = [Some(real.unconditional), real.conditional];
    let rejected = [Some(fake.unconditional), fake.conditional, mismatched];
    mean(accepted.into_iter().flatten().map(adversarial::discriminator_real))
        + mean(rejected.into_iter().flatten().map(adversarial::discriminator_fake))
}

/// Loss of G by one discriminator: BCE₁(u(x̂)) + BCE₁(c(x̂)) → `[1]`.
pub fn generator(fake: Logits) -> Tensor<1> {
    let alone = adversarial::generator(fake.unconditional);
    match fake.conditional {
        Some(conditional) => alone + adversarial::generator(conditional),
        None => alone,
    }
}

/// The mean of losses, of which there is at least one.
fn mean(losses: impl Iterator<Item = Tensor<1>>) -> Tensor<1> {
    let losses: Vec<Tensor<1>> = losses.collect();
    Tensor::cat(losses, 0).mean()
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::nn::params::to_vec;

    fn row(value: f32) -> Tensor<1> {
        Tensor::from_floats([value], &Device::flex())
    }

    fn logits(conditional: Option<f32>, unconditional: f32) -> Logits {
        Logits { conditional: conditional.map(row), unconditional: row(unconditional) }
    }

    fn softplus(x: f64) -> f64 {
        x.exp().ln_1p()
    }

    fn close(found: Tensor<1>, expected: f64) {
        let found = f64::from(to_vec(found)[0]);
        assert!((found - expected).abs() < 1e-6, "{found}, not {expected}");
    }

    #[test]
    fn real_and_rejected_pairs_have_the_published_weights() {
        let judged = Judged {
            real: logits(Some(1.0), 2.0),
            mismatched: Some(row(0.25)),
            fake: logits(Some(-0.5), -1.5),
        };
        let accepted = (softplus(-1.0) + softplus(-2.0)) / 2.0;
        let rejected = (softplus(0.25) + softplus(-0.5) + softplus(-1.5)) / 3.0;
        close(discriminator(judged), accepted + rejected);
        let without =
            Judged { real: logits(None, 2.0), mismatched: None, fake: logits(Some(-0.5), -1.5) };
        close(discriminator(without), softplus(-2.0) + (softplus(-0.5) + softplus(-1.5)) / 2.0);
        close(generator(logits(Some(1.0), -2.0)), softplus(-1.0) + softplus(2.0));
    }
}
