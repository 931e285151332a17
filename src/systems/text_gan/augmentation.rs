//! Conditioning augmentation (Zhang et al. 2017, StackGAN): the condition of an image is drawn from
//! a normal distribution that depends on the caption.

use burn::module::Module;
use burn::tensor::Tensor;

use crate::kernels::Activation;
use crate::nn::gated::glu;
use crate::nn::{Init, PlainLinear};
use crate::shapes::Shapes;

/// Maps the vector of a caption to the distribution of its condition.
#[derive(Module, Debug)]
pub struct ConditioningAugmentation {
    /// Caption → 4·size values, which gating halves.
    pub project: PlainLinear,
}

/// The distribution of a condition: N(mean, exp(log_variance)), each `[N, size]`.
#[derive(Debug, Clone)]
pub struct Augmented {
    /// μ.
    pub mean: Tensor<2>,
    /// log σ².
    pub log_variance: Tensor<2>,
}

impl ConditioningAugmentation {
    /// A layer from captions of length `sentence` to conditions of length `size`, initially
    /// orthogonal.
    pub fn new(sentence: usize, size: usize, init: &mut Init) -> Self {
        let weight = init.orthogonal([4 * size, sentence]);
        Self { project: PlainLinear { weight, bias: init.full([4 * size], 0.0) } }
    }

    /// Adds the tensors of such a layer.
    pub(crate) fn add_shapes(shapes: &mut Shapes, name: &str, [sentence, size]: [usize; 2]) {
        shapes.linear(&format!("{name}.project"), [sentence, 4 * size]);
    }

    /// Captions `[N, sentence]` → the distributions of their conditions.
    pub fn forward(&self, captions: Tensor<2>) -> Augmented {
        let gated = glu(self.project.forward(captions.into(), Activation::LINEAR).value);
        let size = gated.dims()[1] / 2;
        Augmented {
            mean: gated.clone().narrow(1, 0, size),
            log_variance: gated.narrow(1, size, size),
        }
    }
}

impl Augmented {
    /// Conditions μ + ε⊙σ of normal noise ε: `[N, size]` → `[N, size]`.
    pub fn condition(&self, noise: Tensor<2>) -> Tensor<2> {
        self.mean.clone() + noise * (self.log_variance.clone() * 0.5).exp()
    }

    /// The mean of −½·(1 + log σ² − μ² − σ²) over all conditions and their elements, as in the
    /// published code → `[1]`. The divergence of the distributions from N(0, I) is the sum over the
    /// elements.
    pub fn divergence(&self) -> Tensor<1> {
        let square = self.mean.clone() * self.mean.clone();
        let terms = self.log_variance.clone() - square - self.log_variance.clone().exp() + 1.0;
        terms.mean() * -0.5
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::nn::params::to_vec;

    fn augmented(mean: [f32; 2], log_variance: [f32; 2]) -> Augmented {
        let row = |values| Tensor::<2>::from_floats([values], &Device::flex());
        Augmented { mean: row(mean), log_variance: row(log_variance) }
    }

    #[test]
    fn the_divergence_is_a_mean_over_elements() {
        assert_eq!(to_vec(augmented([0.0, 0.0], [0.0, 0.0]).divergence()), [0.0]);
        // ½·(μ² + σ² − 1 − log σ²) of each element, then the mean.
        let term = |mean: f64, log: f64| 0.5 * (mean * mean + log.exp() - 1.0 - log);
        let expected = (term(1.5, 0.2) + term(-0.5, -1.0)) / 2.0;
        let found = to_vec(augmented([1.5, -0.5], [0.2, -1.0]).divergence())[0];
        assert!((f64::from(found) - expected).abs() < 1e-6, "{found}, not {expected}");
    }

    #[test]
    fn conditions_have_the_mean_and_the_deviation() {
        let augmented = augmented([1.0, -2.0], [0.0, 2.0]);
        let noise = |value| Tensor::<2>::full([1, 2], value, &Device::flex());
        assert_eq!(to_vec(augmented.condition(noise(0.0))), [1.0, -2.0]);
        let moved = to_vec(augmented.condition(noise(-1.0)));
        assert!((moved[0] - 0.0).abs() < 1e-6 && (moved[1] + 2.0 + 1f32.exp()).abs() < 1e-5);
    }
}
