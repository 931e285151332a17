//! Adversarial losses: non-saturating (Goodfellow et al. 2014) and relativistic
//! (Jolicoeur-Martineau 2019; Huang et al. 2024).

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::kernels::{mean_softplus, softplus};

/// The adversarial loss of G and D.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AdversarialLoss {
    /// D judges each image by itself (Goodfellow et al. 2014).
    #[default]
    NonSaturating,
    /// D judges real images relative to generated ones, in pairs (RpGAN, Jolicoeur-Martineau 2019).
    ///
    /// With R1 and R2 it converges locally and discourages mode collapse (Huang et al. 2024, §2).
    Relativistic,
}

impl AdversarialLoss {
    /// Whether the loss of G depends on real images.
    pub fn pairs(self) -> bool {
        self == Self::Relativistic
    }

    /// Loss of G. Logits `[N]` → `[1]`. `real_logits` is called if the loss depends on them.
    ///
    /// Non-saturating: mean softplus(−D(G(z))). Relativistic: mean softplus(D(x) − D(G(z))).
    pub fn generator(
        self,
        fake_logits: Tensor<1>,
        real_logits: impl FnOnce() -> Tensor<1>,
    ) -> Tensor<1> {
        match self {
            Self::NonSaturating => generator(fake_logits),
            Self::Relativistic => mean_softplus(real_logits() - fake_logits, false),
        }
    }

    /// Loss of D. Logits `[N]` each → `[1]`.
    ///
    /// Non-saturating: mean softplus(D(G(z))) + mean softplus(−D(x)).
    /// Relativistic: mean softplus(D(G(z)) − D(x)).
    pub fn discriminator(self, fake_logits: Tensor<1>, real_logits: Tensor<1>) -> Tensor<1> {
        match self {
            Self::NonSaturating => {
                discriminator_fake(fake_logits) + discriminator_real(real_logits)
            }
            Self::Relativistic => mean_softplus(fake_logits - real_logits, false),
        }
    }

    /// The part of D's loss that each generated image causes. Logits `[N]` each → `[N]`.
    pub fn on_fakes(self, fake_logits: Tensor<1>, real_logits: Tensor<1>) -> Tensor<1> {
        match self {
            Self::NonSaturating => softplus(fake_logits),
            Self::Relativistic => softplus(fake_logits - real_logits),
        }
    }

    /// The part of D's loss that depends on real images alone: `[N]` → `[1]`; `None` if there is
    /// none.
    pub fn on_reals(self, real_logits: Tensor<1>) -> Option<Tensor<1>> {
        match self {
            Self::NonSaturating => Some(discriminator_real(real_logits)),
            Self::Relativistic => None,
        }
    }

    /// The quantity `[N]` whose sign shows whether D is right about real images, for the
    /// overfitting heuristic r_t (Karras et al. 2020b, §3.1).
    ///
    /// Only differences of logits have a meaning under the relativistic loss, so there it is
    /// D(x) − D(G(z)): the sign is positive where D ranks the real image of a pair higher.
    pub fn margin(self, fake_logits: Tensor<1>, real_logits: Tensor<1>) -> Tensor<1> {
        match self {
            Self::NonSaturating => real_logits,
            Self::Relativistic => real_logits - fake_logits,
        }
    }
}

/// Non-saturating loss of G: mean softplus(−D(G(z))) (Goodfellow et al. 2014). Logits `[N]` →
/// `[1]`.
pub fn generator(fake_logits: Tensor<1>) -> Tensor<1> {
    mean_softplus(fake_logits, true)
}

/// Loss of D on generated images: mean softplus(D(G(z))). Logits `[N]` → `[1]`.
pub fn discriminator_fake(fake_logits: Tensor<1>) -> Tensor<1> {
    mean_softplus(fake_logits, false)
}

/// Loss of D on real images: mean softplus(−D(x)). Logits `[N]` → `[1]`.
pub fn discriminator_real(real_logits: Tensor<1>) -> Tensor<1> {
    mean_softplus(real_logits, true)
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};

    use super::AdversarialLoss::{NonSaturating, Relativistic};
    use super::*;
    use crate::nn::params::to_vec;

    const FAKE: [f32; 3] = [0.5, -1.5, 3.0];
    const REAL: [f32; 3] = [2.0, -0.25, -1.0];

    fn logits(values: [f32; 3]) -> Tensor<1> {
        Tensor::from_data(TensorData::from(values), &Device::flex())
    }

    /// Loss of G and of D.
    fn losses(loss: AdversarialLoss, fake: [f32; 3], real: [f32; 3]) -> [f32; 2] {
        let g = loss.generator(logits(fake), || logits(real));
        let d = loss.discriminator(logits(fake), logits(real));
        [g, d].map(|value| to_vec(value)[0])
    }

    /// Mean of ln(1 + eˣ), computed in double precision.
    fn mean_softplus(values: [f32; 3]) -> f32 {
        let sum: f64 = values.iter().map(|&x| f64::from(x).exp().ln_1p()).sum();
        (sum / 3.0) as f32
    }

    fn close(found: [f32; 2], expected: [f32; 2]) {
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-6, "{found}, expected {expected}");
        }
    }

    #[test]
    fn values_are_those_of_the_formulas() {
        let negative = |values: [f32; 3]| values.map(|v| -v);
        let d = mean_softplus(FAKE) + mean_softplus(negative(REAL));
        close(losses(NonSaturating, FAKE, REAL), [mean_softplus(negative(FAKE)), d]);
        let higher = [0, 1, 2].map(|i| REAL[i] - FAKE[i]);
        let expected = [mean_softplus(higher), mean_softplus(negative(higher))];
        close(losses(Relativistic, FAKE, REAL), expected);
    }

    /// d ln(1 + eˣ)/dx = 1/(1 + e⁻ˣ), divided by the number of logits.
    #[test]
    fn gradients_are_those_of_the_formulas() {
        let sigmoid = |x: f32| 1.0 / (1.0 + (-x).exp());
        let gradients = |f: fn(Tensor<1>) -> Tensor<1>| {
            let x = logits(FAKE).autodiff().require_grad();
            let gradients = f(x.clone() * 2.0).backward();
            to_vec(x.grad(&gradients).expect("x is tracked").inner())
        };
        let fakes = gradients(discriminator_fake);
        let reals = gradients(discriminator_real);
        for (i, x) in FAKE.into_iter().enumerate() {
            let expected = [sigmoid(2.0 * x) * 2.0 / 3.0, -sigmoid(-2.0 * x) * 2.0 / 3.0];
            close([fakes[i], reals[i]], expected);
        }
    }

    #[test]
    fn the_relativistic_loss_depends_on_differences_alone() {
        let shifted = |values: [f32; 3]| values.map(|v| v + 4.0);
        let expected = losses(Relativistic, FAKE, REAL);
        close(losses(Relativistic, shifted(FAKE), shifted(REAL)), expected);
        let margin = |fake, real| to_vec(Relativistic.margin(logits(fake), logits(real)));
        assert_eq!(margin(shifted(FAKE), shifted(REAL)), margin(FAKE, REAL));
        assert_eq!(to_vec(NonSaturating.margin(logits(FAKE), logits(REAL))), REAL);
    }
}
