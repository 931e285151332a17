//! Path-length regularisation, the one loss that only StyleGAN2 has. The adversarial loss and R1
//! are in [`gan`](crate::systems::gan).

use burn::tensor::Tensor;

use super::{Discriminator, LayerCodes, Noise, Synthesis};
use crate::systems::gan::gradient_penalty::R1;

/// R1 on images `[N, 3, res, res]` without augmentation or labels.
pub fn r1(discriminator: &Discriminator, images: Tensor<4>, gamma: f64) -> R1 {
    R1::new(discriminator, images, gamma, |d, x| d.forward(x, None))
}

/// Path-length regularisation (Karras et al. 2020a, §3.2).
#[derive(Debug, Clone, Copy)]
pub struct PathLength {
    /// Weight of the penalty.
    pub weight: f64,
    /// Weight of the batch's mean length in the running mean a.
    pub decay: f64,
}

/// The first half of path-length regularisation: how the images of a round react to ws.
pub struct PathGradient {
    /// g = ∇_ws Σ G(ws)·y, layer by layer: `[num_ws, N, w_dim]`.
    g: Tensor<3>,
    /// ℓ `[N]`.
    lengths: Tensor<1>,
}

impl PathLength {
    /// The running mean a `[1]` after a round whose mean length is `length` `[1]`.
    pub fn average(&self, mean: Tensor<1>, length: Tensor<1>) -> Tensor<1> {
        mean.clone() + (length - mean) * self.decay
    }

    /// The second half: the surrogate and the value of the penalty, `[1]` each. `mean` `[1]` is the
    /// running mean that includes this round; the other arguments are those of
    /// [`PathGradient::of`], with the network `synthesis` that is trained.
    ///
    /// The gradient of the surrogate with respect to G, through ws as well, is that of
    /// weight·mean_b (ℓ_b − a)².
    pub fn penalty(
        &self,
        synthesis: &Synthesis,
        gradient: PathGradient,
        ws: LayerCodes,
        noise: &Noise,
        y: Tensor<4>,
        mean: Tensor<1>,
    ) -> (Tensor<1>, Tensor<1>) {
        let PathGradient { g, lengths } = gradient;
        let [num_ws, n, _] = g.dims();
        let excess = lengths.clone() - mean;
        let penalty = (excess.clone() * excess.clone()).mean() * self.weight;

        // The second term exists because a depends on the lengths of this batch.
        let c = (excess.clone() - excess.mean() * self.decay) * (2.0 * self.weight / n as f64);
        let tangent_scale = synthesis.tangent_scale();
        let scale = c / (lengths.clamp_min(1e-20) * (num_ws as f64 / tangent_scale));
        let u = g * scale.reshape([1, n, 1]);

        let moved = synthesis.forward(ws.along(u), noise);
        let tangent = moved.tangent.expect("ws move along u");
        let surrogate = (tangent * y).sum();
        match tangent_scale {
            1.0 => (surrogate, penalty),
            scale => (surrogate / scale, penalty),
        }
    }
}

impl PathGradient {
    /// Differentiates images by `ws` along `y` `[N, 3, res, res]`, which is drawn from
    /// N(0, 1)/√(res·res). `frozen` is G without automatic differentiation; `ws` is attached to the
    /// mapping network.
    pub fn of(frozen: &Synthesis, ws: &LayerCodes, noise: &Noise, y: Tensor<4>) -> Self {
        let num_ws = ws.num_ws();
        let at = ws.values().autodiff().require_grad();
        let image = frozen.forward(LayerCodes::of_layers(at.clone(), num_ws), noise).value;
        let [n, ..] = image.dims();
        let gradients = (image * y).sum().backward();
        let g = at.grad(&gradients).map_or_else(|| at.clone().inner().zeros_like(), Tensor::inner);
        let [_, w_dim] = g.dims();
        let g = g.reshape([num_ws, n, w_dim]);
        // ℓ_b = √(mean over layers of Σ g²)
        let squares = (g.clone() * g.clone()).sum_dim(2).mean_dim(0);
        let lengths = squares.reshape([n]).sqrt();
        Self { g, lengths }
    }

    /// The mean length of the round `[1]`.
    pub fn mean_length(&self) -> Tensor<1> {
        self.lengths.clone().mean()
    }
}
