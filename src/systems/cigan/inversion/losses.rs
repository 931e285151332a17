//! The losses of stage 2 (paper §3.2).

use burn::tensor::Tensor;

use super::LatentDiscriminator;
use crate::systems::gan::adversarial::{discriminator_fake, discriminator_real, generator};
use crate::systems::gan::gradient_penalty::R1;

/// L_pix: mean (x − x̂)². Images `[N, 3, H, W]` → `[1]`.
pub fn pixel(real: Tensor<4>, reconstruction: Tensor<4>) -> Tensor<1> {
    mean_squared(real, reconstruction)
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
    mean_squared(w, back)
}

/// L_spread: mean (w_l − w̄)² over the layers l of each code, where w̄ is the mean of its vectors.
/// Codes `[N, layers, w_dim]` → `[N]`. It keeps codes in W+ near W, as the penalty on offsets in
/// encoder4editing does (Tov et al. 2021).
pub fn spread(codes: Tensor<3>) -> Tensor<1> {
    let [n, layers, d] = codes.dims();
    let offset = codes.clone() - codes.mean_dim(1);
    (offset.clone() * offset).reshape([n, layers * d]).mean_dim(1).reshape([n])
}

/// R1 of D_w on codes w `[N, w_dim]`.
pub fn latent_r1(d_w: &LatentDiscriminator, w: Tensor<2>, gamma: f64) -> R1 {
    R1::new(d_w, w, gamma, LatentDiscriminator::forward)
}

fn mean_squared<const K: usize>(a: Tensor<K>, b: Tensor<K>) -> Tensor<1> {
    let difference = a - b;
    (difference.clone() * difference).mean()
}
