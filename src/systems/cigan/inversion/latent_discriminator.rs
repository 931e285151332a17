//! The latent discriminator D_w, which distinguishes M(z) from E(G(w)) (paper §3.2).

use burn::module::Module;
use burn::tensor::Tensor;

use crate::kernels::Activation;
use crate::nn::residual::ACT;
use crate::nn::{Dual, Init, PlainLinear};

/// The latent discriminator D_w: three hidden layers and one logit.
#[derive(Module, Debug)]
pub struct LatentDiscriminator {
    /// w_dim → width → width → width.
    pub fc: Vec<PlainLinear>,
    /// width → 1.
    pub out: PlainLinear,
}

impl LatentDiscriminator {
    /// A network for vectors of size `w_dim`.
    pub fn new(w_dim: usize, width: usize, init: &mut Init) -> Self {
        let mut inputs = w_dim;
        let fc = (0..3)
            .map(|_| {
                let layer = PlainLinear::new(inputs, width, init);
                inputs = width;
                layer
            })
            .collect();
        Self { fc, out: PlainLinear::new(width, 1, init) }
    }

    /// w `[N, w_dim]` → logits `[N]`.
    pub fn forward(&self, w: Dual<2>) -> Dual<1> {
        let n = w.value.dims()[0];
        let x = self.fc.iter().fold(w, |x, layer| layer.forward(x, ACT));
        self.out.forward(x, Activation::LINEAR).linear(|o: Tensor<2>| o.reshape([n]))
    }
}
