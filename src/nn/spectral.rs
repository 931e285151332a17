//! Strided convolutions with spectral normalisation (Miyato et al. 2018).

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use super::Init;
use super::strided::KERNEL;
use crate::kernels::{self, Activation, Conv};
use crate::nn::sums::total;

/// Added to lengths before dividing by them.
const EPSILON: f32 = 1e-12;

/// A 4×4 convolution of stride 2 with padding 1 whose kernels are divided by their largest singular
/// value σ, as a matrix `[out, in·16]`: `[H, W]` → `[⌊H/2⌋, ⌊W/2⌋]`.
///
/// σ is estimated by power iteration from a vector that the layer keeps;
/// [`iterated`](Self::iterated) takes one step, as published.
#[derive(Module, Debug)]
pub struct SpectralDownConv {
    /// Kernels `[out, in, 4, 4]`, initially N(0, 1). Their scale is of no effect, except that steps of
    /// Adam have the size that they have for layers with equalised learning rate.
    pub weight: Param<Tensor<4>>,
    /// Bias `[out]`, initially 0.
    pub bias: Param<Tensor<1>>,
    /// Estimate of the left singular vector of σ, `[out]`, of length 1.
    pub left: Param<Tensor<1>>,
}

impl SpectralDownConv {
    /// A new layer.
    pub fn new([inputs, outputs]: [usize; 2], init: &mut Init) -> Self {
        let layer = Self {
            weight: init.normal([outputs, inputs, KERNEL, KERNEL], 1.0),
            bias: init.full([outputs], 0.0),
            left: init.normal_buffer([outputs]),
        };
        // A random vector is far from the singular vector.
        (0..16).fold(layer, |layer, _| layer.iterated())
    }

    /// The kernels as a matrix `[out, in·16]`.
    fn matrix(&self) -> Tensor<2> {
        let weight = self.weight.val();
        let [outputs, inputs, h, w] = weight.dims();
        weight.reshape([outputs, inputs * h * w])
    }

    /// The layer after a step of power iteration, which follows the kernels.
    #[must_use]
    pub fn iterated(mut self) -> Self {
        let matrix = self.matrix().inner();
        let right = unit(self.left.val().inner().unsqueeze::<2>().matmul(matrix.clone()));
        let left = unit(right.matmul(matrix.transpose()));
        self.left = self.left.map(|old| left.reshape(old.dims()));
        self
    }

    /// The estimate of σ, `[1]`, which is differentiable: uᵀWv with u and v held constant.
    pub fn sigma(&self) -> Tensor<1> {
        let matrix = self.matrix();
        let left = self.left.val().inner().unsqueeze::<2>();
        let right = unit(left.clone().matmul(matrix.clone().inner()));
        let outer = left.transpose().matmul(right);
        total(matrix * outer)
    }

    /// act(conv(x, W/σ) + b): x `[N, in, H, W]` → `[N, out, ⌊H/2⌋, ⌊W/2⌋]`.
    pub fn forward(&self, x: Tensor<4>, act: Activation) -> Tensor<4> {
        let [_, _, h, w] = x.dims();
        let weight = self.weight.val() / self.sigma().reshape([1, 1, 1, 1]);
        kernels::convolve_act(x, weight, self.bias.val(), Conv::new([h, w], KERNEL, 2, 1), act)
    }
}

/// A row `[1, n]` divided by its length.
fn unit(row: Tensor<2>) -> Tensor<2> {
    let length = (row.clone() * row.clone()).sum_dim(1).sqrt() + EPSILON;
    row / length
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};
    use faer::Mat;

    use super::*;
    use crate::draws;
    use crate::nn::params::to_vec;

    fn layer() -> SpectralDownConv {
        SpectralDownConv::new([3, 5], &mut Init::new(2, "spectral", &Device::flex()))
    }

    fn largest_singular_value(layer: &SpectralDownConv) -> f64 {
        let values = to_vec(layer.matrix());
        let matrix = Mat::from_fn(5, 48, |i, j| f64::from(values[i * 48 + j]));
        matrix.singular_values().expect("it converges")[0]
    }

    #[test]
    fn sigma_approaches_the_largest_singular_value() {
        let layer = (0..100).fold(layer(), |layer, _| layer.iterated());
        let (found, expected) = (to_vec(layer.sigma())[0], largest_singular_value(&layer));
        assert!((f64::from(found) / expected - 1.0).abs() < 1e-4, "{found}, expected {expected}");
    }

    #[test]
    fn outputs_do_not_depend_on_the_scale_of_the_kernels() {
        let values = draws::normal(&mut draws::stream(3, "spectral", 0), 2 * 3 * 7 * 7);
        let x = Tensor::<4>::from_data(TensorData::new(values, [2, 3, 7, 7]), &Device::flex());
        let mut layer = layer();
        let before = to_vec(layer.forward(x.clone(), Activation::LRELU));
        assert_eq!(before.len(), 2 * 5 * 3 * 3);
        layer.weight = layer.weight.map(|w| w * 7.0);
        for (a, b) in to_vec(layer.forward(x, Activation::LRELU)).iter().zip(&before) {
            assert!((a - b).abs() < 1e-5, "{a}, before {b}");
        }
    }

    /// The gradient contains the part through σ, so it has no component along the kernels.
    #[test]
    fn the_gradient_is_that_of_the_normalised_kernels() {
        let layer = layer().train();
        let values = draws::normal(&mut draws::stream(4, "spectral", 0), 3 * 8 * 8);
        let x = Tensor::<4>::from_data(TensorData::new(values, [1, 3, 8, 8]), &Device::flex());
        let loss = |layer: &SpectralDownConv| {
            total(layer.forward(x.clone().autodiff(), Activation::LINEAR).powi_scalar(2))
        };
        let gradients = loss(&layer).backward();
        let gradient = layer.weight.val().grad(&gradients).unwrap().inner();
        let weight = layer.weight.val().inner();
        let along = to_vec(total(gradient.clone() * weight.clone()))[0];
        let size = to_vec(total(gradient.clone() * gradient.clone()).sqrt())[0];
        assert!(along.abs() < 1e-3 * size, "{along} of {size}");
        assert!(layer.left.val().grad(&gradients).is_none());
        // A finite difference along the gradient.
        let step = 1e-3;
        let moved = |by: f32| {
            let mut layer = layer.clone();
            let direction = gradient.clone() * by;
            layer.weight = layer.weight.map(|w| (w.inner() + direction).autodiff().require_grad());
            f64::from(to_vec(loss(&layer).inner())[0])
        };
        let slope = (moved(step / size) - moved(-step / size)) / (2.0 * f64::from(step));
        // u and v are held constant, which is exact only at the singular vectors.
        assert!((slope / f64::from(size) - 1.0).abs() < 0.02, "{slope}, expected {size}");
    }
}
