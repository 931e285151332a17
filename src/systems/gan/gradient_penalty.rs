//! The gradient penalties R1 (Mescheder et al. 2018) and that of WGAN-GP (Gulrajani et al. 2017), exact
//! with first-order differentiation.

use burn::module::Module;
use burn::tensor::Tensor;

use crate::nn::Dual;
use crate::nn::sums::total;

/// The first half of R1 (Mescheder et al. 2018): v = ∇_x Σ D(x), detached.
///
/// `logits` maps inputs x, such as images, to logits `[N]`. The gradient is cheap if its parameters
/// are without automatic differentiation.
pub fn input_gradient<const K: usize>(
    inputs: Tensor<K>,
    logits: impl FnOnce(Dual<K>) -> Tensor<1>,
) -> Tensor<K> {
    let x = inputs.inner().autodiff().require_grad();
    let gradients = logits(x.clone().into()).sum().backward();
    match x.grad(&gradients) {
        Some(v) => v.inner(),
        None => x.inner().zeros_like(),
    }
}

/// The value of R1, γ/2·mean_b ‖v‖²: v `[N, …]` → `[1]`.
pub fn r1_value<const K: usize>(v: Tensor<K>, gamma: f64) -> Tensor<1> {
    let n = v.dims()[0] as f64;
    total(v.clone() * v) * (gamma / 2.0 / n)
}

/// A quantity whose gradient with respect to D's parameters is that of γ/2·mean_b ‖∇_x D(x)‖²,
/// given the logits `[N]` of inputs that move along v = ∇_x D. Its value `[1]` is twice R1's.
///
/// d/dθ ½‖v(θ)‖² = v·dv/dθ = d/dθ (∇_x D·v) with v held constant: the tangent of D along v.
pub fn r1_surrogate(logits: Dual<1>, gamma: f64) -> Tensor<1> {
    logits.tangent.expect("the inputs move along v").mean() * gamma
}

/// R1 of one batch: the surrogate to differentiate, and the value.
pub struct R1 {
    /// See [`r1_surrogate`].
    pub surrogate: Tensor<1>,
    /// R1's value `[1]`.
    pub value: Tensor<1>,
    /// Logits of the inputs `[N]`. They are differentiable, so a loss on them needs no separate
    /// pass.
    pub logits: Tensor<1>,
}

impl R1 {
    /// Computes R1 of `inputs` `[N, …]`, such as images or codes. `critic` is the discriminator, with
    /// the networks that are trained together with it. `score` maps inputs to logits `[N]` through
    /// `critic`, including augmentation and labels. It is called twice and must compute the same
    /// function both times.
    pub fn new<M: Module, const K: usize>(
        critic: &M,
        inputs: Tensor<K>,
        gamma: f64,
        score: impl Fn(&M, Dual<K>) -> Dual<1>,
    ) -> Self {
        let frozen = critic.valid();
        let v = input_gradient(inputs.clone(), |x| score(&frozen, x).value);
        let logits = score(critic, Dual::new(inputs.inner(), v.clone()));
        Self {
            logits: logits.value.clone(),
            surrogate: r1_surrogate(logits, gamma),
            value: r1_value(v, gamma),
        }
    }
}

/// The gradient penalty of WGAN-GP (Gulrajani et al. 2017): λ·mean_b (‖∇_x D(x_b)‖ − 1)², with the norm
/// over all values of an image.
pub struct UnitGradientPenalty {
    /// A quantity whose gradient with respect to D's parameters is that of the penalty `[1]`. It has
    /// another value.
    pub surrogate: Tensor<1>,
    /// The penalty's value `[1]`.
    pub value: Tensor<1>,
}

impl UnitGradientPenalty {
    /// Computes the penalty at `images` `[N, 3, H, W]`. `score` maps them to logits `[N]` through
    /// `critic`; the logit of an image must not depend on the others. It is called twice.
    ///
    /// With g = ∇_x D, the derivative of (‖g‖ − 1)² is u·dg/dθ for u = 2·(‖g‖ − 1)·g/‖g‖, and u·g is the
    /// tangent of D along u, with u held constant.
    pub fn new<M: Module>(
        critic: &M,
        images: Tensor<4>,
        weight: f64,
        score: impl Fn(&M, Dual<4>) -> Dual<1>,
    ) -> Self {
        let frozen = critic.valid();
        let g = input_gradient(images.clone(), |x| score(&frozen, x).value);
        let [n, c, h, w] = g.dims();
        let rows = g.clone().reshape([n, c * h * w]);
        let norms = (rows.clone() * rows).sum_dim(1).sqrt();
        let excess = norms.clone() - 1.0;
        let factors = excess.clone() * 2.0 / norms.clamp_min(1e-12);
        let u = g * factors.reshape([n, 1, 1, 1]);
        let logits = score(critic, Dual::new(images.inner(), u));
        let surrogate = logits.tangent.expect("the images move along u").mean() * weight;
        Self { surrogate, value: (excess.clone() * excess).mean() * weight }
    }
}
