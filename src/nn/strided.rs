//! 4×4 convolutions of stride 2 without bias, which halve or double the side of an image (DCGAN,
//! Radford et al. 2016).

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use super::Init;
use super::init::Weights;
use crate::kernels::{self, Activation, Conv};

/// Side of the kernels.
pub const KERNEL: usize = 4;

/// A 4×4 convolution of stride 2 with padding 1: `[H, W]` → `[H/2, W/2]`.
#[derive(Module, Debug)]
pub struct DownConv {
    /// Kernels `[out, in, 4, 4]`.
    pub weight: Param<Tensor<4>>,
}

impl DownConv {
    /// A new layer.
    pub fn new([inputs, outputs]: [usize; 2], weights: Weights, init: &mut Init) -> Self {
        Self { weight: init.weights([outputs, inputs, KERNEL, KERNEL], weights) }
    }

    /// x `[N, in, H, W]` → `[N, out, H/2, W/2]`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        kernels::conv2d(x, self.weight.val(), 2, 1)
    }

    /// The layer, then an activation: x `[N, in, H, W]` → `[N, out, H/2, W/2]`.
    pub fn forward_act(&self, x: Tensor<4>, act: Activation) -> Tensor<4> {
        let [_, _, h, w] = x.dims();
        let weight = self.weight.val();
        let bias = Tensor::zeros([weight.dims()[0]], &weight.device().without_autodiff());
        kernels::convolve_act(x, weight, bias, Conv::new([h, w], KERNEL, 2, 1), act)
    }
}

/// A transposed 4×4 convolution of stride 2 with padding 1: `[H, W]` → `[2H, 2W]`.
#[derive(Module, Debug)]
pub struct UpConv {
    /// Kernels `[in, out, 4, 4]`.
    pub weight: Param<Tensor<4>>,
}

impl UpConv {
    /// A new layer.
    pub fn new([inputs, outputs]: [usize; 2], weights: Weights, init: &mut Init) -> Self {
        Self { weight: init.weights([inputs, outputs, KERNEL, KERNEL], weights) }
    }

    /// x `[N, in, H, W]` → `[N, out, 2H, 2W]`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        kernels::conv2d_transposed(x, self.weight.val(), 2, 1)
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};

    use super::*;
    use crate::draws;
    use crate::nn::params::to_vec;

    fn normal<const D: usize>(shape: [usize; D], index: u64) -> Tensor<D> {
        let count = shape.iter().product();
        let values = draws::normal(&mut draws::stream(3, "strided", index), count);
        Tensor::from_data(TensorData::new(values, shape), &Device::flex())
    }

    /// The definition of the convolution in f64.
    fn convolved(x: &[f32], w: &[f32], [i, o]: [usize; 2], side: usize) -> Vec<f64> {
        let half = side / 2;
        let mut y = vec![0.0; o * half * half];
        for (at, y) in y.iter_mut().enumerate() {
            let (o, row, column) = (at / (half * half), at / half % half, at % half);
            for (ci, ky, kx) in (0..i * 16).map(|k| (k / 16, k / 4 % 4, k % 4)) {
                let (py, px) = (2 * row + ky, 2 * column + kx);
                if (1..=side).contains(&py) && (1..=side).contains(&px) {
                    let x = x[(ci * side + py - 1) * side + px - 1];
                    *y += f64::from(x) * f64::from(w[((o * i + ci) * 4 + ky) * 4 + kx]);
                }
            }
        }
        y
    }

    #[test]
    fn down_is_the_convolution_and_up_its_adjoint() {
        let init = &mut Init::new(0, "strided", &Device::flex());
        let down = DownConv::new([3, 5], Weights::Normal(0.5), init);
        let x = normal([1, 3, 8, 8], 0);
        let y = down.forward(x.clone());
        let expected = convolved(&to_vec(x.clone()), &to_vec(down.weight.val()), [3, 5], 8);
        for (found, expected) in to_vec(y.clone()).iter().zip(&expected) {
            assert!((f64::from(*found) - expected).abs() < 1e-4, "{found}, not {expected}");
        }
        // ⟨down(x), g⟩ = ⟨x, up(g)⟩ for the same kernels.
        let up = UpConv { weight: down.weight.clone() };
        let g = normal([1, 5, 4, 4], 1);
        let dot = |a: Tensor<4>, b: Tensor<4>| f64::from(to_vec((a * b).sum())[0]);
        let (left, right) = (dot(y.clone(), g.clone()), dot(x.clone(), up.forward(g)));
        assert!((left - right).abs() < 1e-3, "{left} and {right}");
        let relu = to_vec(down.forward_act(x, Activation::RELU));
        assert!(relu.iter().zip(to_vec(y)).all(|(a, b)| (a - b.max(0.0)).abs() < 1e-5));
    }
}
