//! The losses of stage 1.

use burn::module::Module;
use burn::tensor::{Tensor, activation::softplus};

use super::{Discriminator, Noise, Synthesis};
use crate::nn::Dual;

/// Non-saturating loss of G: mean softplus(−D(G(z))) (Goodfellow et al. 2014). logits [N] → [1].
pub fn generator(fake_logits: Tensor<1>) -> Tensor<1> {
    softplus(-fake_logits, 1.0).mean()
}

/// What D loses on generated images: mean softplus(D(G(z))). logits [N] → [1].
pub fn discriminator_fake(fake_logits: Tensor<1>) -> Tensor<1> {
    softplus(fake_logits, 1.0).mean()
}

/// What D loses on real images: mean softplus(−D(x)). logits [N] → [1].
pub fn discriminator_real(real_logits: Tensor<1>) -> Tensor<1> {
    softplus(-real_logits, 1.0).mean()
}

/// Real images with captions of others.
pub struct Mismatched {
    /// D(x, t') [N].
    pub logits: Tensor<1>,
    /// 1 for images that have captions, 0 for those that have none and no such pair: [N].
    pub said: Tensor<1>,
    /// The same of the generated images: [N].
    pub said_of_fake: Tensor<1>,
    /// Share of such pairs in what D is to call fake of what has captions.
    pub weight: f64,
}

/// What D loses on images with captions (Reed et al. 2016, GAN-CLS), → [1]:
///
/// mean softplus(−D(x, t)) + (1 − m)·mean softplus(D(G(z, t̃), t̃)) + m·mean softplus(D(x, t')):
/// t is a caption of x, t' one of another image; m is the share of `mismatched` pairs in what D is
/// to call fake. Logits [N] each.
///
/// Real images without captions have no mismatched pair; generated ones of which D is told none
/// stand for themselves, with weight 1.
pub fn discriminator_matching(
    fake_logits: Tensor<1>,
    real_logits: Tensor<1>,
    mismatched: Mismatched,
) -> Tensor<1> {
    let Mismatched { logits, said, said_of_fake, weight } = mismatched;
    let beside = said_of_fake * -weight + 1.0;
    discriminator_real(real_logits)
        + (softplus(fake_logits, 1.0) * beside).mean()
        + (softplus(logits, 1.0) * said).mean() * weight
}

/// The first half of R1 (Mescheder et al. 2018): v = ∇_x Σ D(x), detached.
///
/// `logits` maps images to logits [N]; for the gradient to be cheap, the parameters in it should
/// be without automatic differentiation.
pub fn image_gradient(images: Tensor<4>, logits: impl FnOnce(Dual<4>) -> Tensor<1>) -> Tensor<4> {
    let x = images.inner().autodiff().require_grad();
    let gradients = logits(x.clone().into()).sum().backward();
    match x.grad(&gradients) {
        Some(v) => v.inner(),
        None => x.inner().zeros_like(),
    }
}

/// The value of R1, γ/2·mean_b ‖v‖²: v [N, …] → [1].
pub fn r1_value(v: Tensor<4>, gamma: f64) -> Tensor<1> {
    let n = v.dims()[0] as f64;
    (v.clone() * v).sum() * (gamma / 2.0 / n)
}

/// A quantity whose gradient with respect to D's parameters is that of γ/2·mean_b ‖∇_x D(x)‖²,
/// given the logits of images that move along v = ∇_x D. Its value is twice R1's.
///
/// d/dθ ½‖v(θ)‖² = v·dv/dθ = d/dθ (∇_x D·v) with v held: the tangent of D along v.
pub fn r1_surrogate(logits: Dual<1>, gamma: f64) -> Tensor<1> {
    logits.tangent.expect("the images move along v").mean() * gamma
}

/// R1 of one batch, both halves.
pub struct R1 {
    /// See [`r1_surrogate`].
    pub surrogate: Tensor<1>,
    /// R1's value [1].
    pub value: Tensor<1>,
    /// The logits of the images [N], differentiable: a loss on them needs no pass of its own.
    pub logits: Tensor<1>,
}

impl R1 {
    /// `score` leads from images to logits through `critic`, the discriminator with what else is
    /// trained beside it, by way of augmentation and labels where there are any; it is called twice
    /// and must do the same both times.
    pub fn new<M: Module>(
        critic: &M,
        images: Tensor<4>,
        gamma: f64,
        score: impl Fn(&M, Dual<4>) -> Dual<1>,
    ) -> Self {
        let frozen = critic.valid();
        let v = image_gradient(images.clone(), |x| score(&frozen, x).value);
        let logits = score(critic, Dual::new(images.inner(), v.clone()));
        Self {
            logits: logits.value.clone(),
            surrogate: r1_surrogate(logits, gamma),
            value: r1_value(v, gamma),
        }
    }
}

/// R1 on plain images.
pub fn r1(discriminator: &Discriminator, images: Tensor<4>, gamma: f64) -> R1 {
    R1::new(discriminator, images, gamma, |d, x| d.forward(x, None))
}

/// What path-length regularisation (Karras et al. 2020a, §3.2) needs beside the networks.
#[derive(Debug, Clone, Copy)]
pub struct PathLength {
    /// Weight of the penalty.
    pub weight: f64,
    /// Weight of the batch's mean length in the running mean a.
    pub decay: f64,
}

/// What one application of path-length regularisation gives.
pub struct PathLengthStep {
    /// Differentiable; its gradient with respect to G (through ws as well) is that of
    /// weight·mean_b (ℓ_b − a)².
    pub surrogate: Tensor<1>,
    /// The penalty's value [1], weight included.
    pub penalty: Tensor<1>,
    /// The new running mean a [1].
    pub mean: Tensor<1>,
}

impl PathLength {
    /// `ws` [N, num_ws, w_dim] is attached to the mapping network, `y` [N, 3, res, res] is drawn
    /// from N(0, 1)/√(res·res), `mean` [1] is the running mean a so far.
    ///
    /// `frozen` is the same network as `synthesis` without automatic differentiation.
    pub fn step(
        &self,
        synthesis: &Synthesis,
        frozen: &Synthesis,
        ws: Tensor<3>,
        noise: &Noise,
        y: Tensor<4>,
        mean: Tensor<1>,
    ) -> PathLengthStep {
        let [n, num_ws, dim] = ws.dims();
        // g = ∇_ws Σ G(ws)·y
        let at = ws.clone().inner().autodiff().require_grad();
        let image = frozen.forward(at.clone().into(), noise).value;
        let gradients = (image * y.clone()).sum().backward();
        let g = at.grad(&gradients).map_or_else(|| at.clone().inner().zeros_like(), Tensor::inner);

        // ℓ_b = √(mean over layers of Σ g²)
        let squares = (g.clone() * g.clone()).reshape([n, num_ws * dim]).sum_dim(1);
        let lengths: Tensor<1> = (squares.reshape([n]) / num_ws as f64).sqrt();
        let mean = mean.clone() + (lengths.clone().mean() - mean) * self.decay;
        let excess = lengths.clone() - mean.clone();
        let penalty = (excess.clone() * excess.clone()).mean() * self.weight;

        // a depends on the lengths of this very batch, hence the second term.
        let c = (excess.clone() - excess.mean() * self.decay) * (2.0 * self.weight / n as f64);
        let scale = c / (lengths.clamp_min(1e-20) * num_ws as f64);
        let u = g * scale.reshape([n, 1, 1]);

        let moved = synthesis.forward(Dual::new(ws, u), noise);
        let tangent = moved.tangent.expect("ws move along u");
        PathLengthStep { surrogate: (tangent * y).sum(), penalty, mean }
    }
}
