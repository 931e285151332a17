//! The non-saturating adversarial loss (Goodfellow et al. 2014).

use burn::tensor::{Tensor, activation::softplus};

/// Non-saturating loss of G: mean softplus(−D(G(z))) (Goodfellow et al. 2014). Logits `[N]` →
/// `[1]`.
pub fn generator(fake_logits: Tensor<1>) -> Tensor<1> {
    softplus(-fake_logits, 1.0).mean()
}

/// Loss of D on generated images: mean softplus(D(G(z))). Logits `[N]` → `[1]`.
pub fn discriminator_fake(fake_logits: Tensor<1>) -> Tensor<1> {
    softplus(fake_logits, 1.0).mean()
}

/// Loss of D on real images: mean softplus(−D(x)). Logits `[N]` → `[1]`.
pub fn discriminator_real(real_logits: Tensor<1>) -> Tensor<1> {
    softplus(-real_logits, 1.0).mean()
}
