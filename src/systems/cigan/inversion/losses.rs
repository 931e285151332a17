//! The losses of stage 2 (paper §3.2).

use burn::tensor::{Tensor, activation::softplus};

/// L_pix: mean (x − x̂)². Images `[N, 3, H, W]` → `[1]`.
pub fn pixel(real: Tensor<4>, reconstruction: Tensor<4>) -> Tensor<1> {
    let difference = real - reconstruction;
    (difference.clone() * difference).mean()
}

/// L_adv or L_w-adv, the adversarial loss of E: mean softplus(−logits). Logits `[N]` → `[1]`.
pub fn adversarial(logits: Tensor<1>) -> Tensor<1> {
    softplus(-logits, 1.0).mean()
}

/// Loss of either discriminator: mean softplus(fake) + mean softplus(−real). Logits `[N]` → `[1]`.
pub fn critic(fake: Tensor<1>, real: Tensor<1>) -> Tensor<1> {
    softplus(fake, 1.0).mean() + softplus(-real, 1.0).mean()
}

/// L_cyc: mean (w − E(G(w)))². Codes `[N, layers, w_dim]` → `[1]`.
pub fn cycle(w: Tensor<3>, back: Tensor<3>) -> Tensor<1> {
    let difference = w - back;
    (difference.clone() * difference).mean()
}
