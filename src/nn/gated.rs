//! The gated linear unit (Dauphin et al. 2017), which halves the number of channels.

use burn::tensor::{Tensor, activation::sigmoid};

/// Multiplies the first half of the channels by the sigmoid of the second half: `[N, 2C, …]` →
/// `[N, C, …]`.
pub fn glu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    let half = x.dims()[1] / 2;
    x.clone().narrow(1, 0, half) * sigmoid(x.narrow(1, half, half))
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::nn::params::to_vec;

    #[test]
    fn the_second_half_gates_the_first() {
        let x = Tensor::<2>::from_floats([[1.0, -2.0, 0.0, 3.0]], &Device::flex());
        let found = to_vec(glu(x.clone()));
        let gate = |v: f32| 1.0 / (1.0 + (-v).exp());
        for (found, expected) in found.iter().zip([0.5, -2.0 * gate(3.0)]) {
            assert!((found - expected).abs() < 1e-6, "{found}, not {expected}");
        }
        let images = x.reshape([1, 4, 1, 1]).expand([1, 4, 2, 3]);
        assert_eq!(glu(images).dims(), [1, 2, 2, 3]);
    }
}
