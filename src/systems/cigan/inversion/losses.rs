//! The losses of stage 2 (paper §3.2).

use burn::tensor::Tensor;

use crate::systems::gan::adversarial::{discriminator_fake, discriminator_real, generator};

/// L_pix: mean (x − x̂)². Images `[N, 3, H, W]` → `[1]`.
pub fn pixel(real: Tensor<4>, reconstruction: Tensor<4>) -> Tensor<1> {
    let difference = real - reconstruction;
    (difference.clone() * difference).mean()
}

/// L_adv or L_w-adv, the adversarial loss of E: the non-saturating loss of G. Logits `[N]` → `[1]`.
pub fn adversarial(logits: Tensor<1>) -> Tensor<1> {
    generator(logits)
}

/// Loss of either discriminator, non-saturating. Logits `[N]` → `[1]`.
pub fn critic(fake: Tensor<1>, real: Tensor<1>) -> Tensor<1> {
    discriminator_fake(fake) + discriminator_real(real)
}

/// L_cyc: mean (w − E(G(w)))². Codes `[N, layers, w_dim]` → `[1]`.
pub fn cycle(w: Tensor<3>, back: Tensor<3>) -> Tensor<1> {
    let difference = w - back;
    (difference.clone() * difference).mean()
}
