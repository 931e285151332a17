//! Initial values of parameters. They are drawn in the order in which a network is built.

use burn::module::Param;
use burn::tensor::{Device, Tensor, TensorData};
use faer::Mat;
use rand_chacha::ChaCha8Rng;

use crate::draws;

/// The distribution of a layer's initial weights.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Weights {
    /// N(0, std²).
    Normal(f32),
    /// A random orthogonal matrix (Saxe et al. 2014); see [`Init::orthogonal`].
    Orthogonal,
}

/// Draws the initial values of one network.
pub struct Init {
    /// `None` if all values are 0.
    rng: Option<ChaCha8Rng>,
    device: Device,
}

impl Init {
    /// A source of initial values for the network `network`, such as `generator`. Each network has
    /// its own random stream.
    pub fn new(seed: u64, network: &str, device: &Device) -> Self {
        let rng = draws::stream(seed, &format!("init.{network}"), 0);
        Self { rng: Some(rng), device: device.clone().without_autodiff() }
    }

    /// Zeros for a network whose values are about to be loaded. Drawing orthogonal weights of large
    /// networks takes seconds.
    pub fn zeros(device: &Device) -> Self {
        Self { rng: None, device: device.clone().without_autodiff() }
    }

    /// A parameter drawn from N(0, std²).
    pub fn normal<const D: usize>(&mut self, shape: [usize; D], std: f32) -> Param<Tensor<D>> {
        let Some(rng) = &mut self.rng else { return self.full(shape, 0.0) };
        let mut values = draws::normal(rng, shape.iter().product());
        values.iter_mut().for_each(|v| *v *= std);
        self.param(values, shape)
    }

    /// A parameter drawn from U(-bound, bound).
    pub fn uniform<const D: usize>(&mut self, shape: [usize; D], bound: f32) -> Param<Tensor<D>> {
        use rand::Rng;
        let Some(rng) = &mut self.rng else { return self.full(shape, 0.0) };
        let count = shape.iter().product();
        let values = (0..count).map(|_| rng.random_range(-bound..=bound)).collect();
        self.param(values, shape)
    }

    /// A parameter drawn from a distribution of weights.
    pub fn weights<const D: usize>(
        &mut self,
        shape: [usize; D],
        weights: Weights,
    ) -> Param<Tensor<D>> {
        match weights {
            Weights::Normal(std) => self.normal(shape, std),
            Weights::Orthogonal => self.orthogonal(shape),
        }
    }

    /// A parameter that is orthogonal as a matrix `[out, rest]` (Saxe et al. 2014): its rows are
    /// orthonormal, or its columns if it has more rows than columns.
    ///
    /// It is Q of the QR decomposition of a matrix drawn from N(0, 1), with the signs of R's
    /// diagonal, which makes it uniformly distributed.
    pub fn orthogonal<const D: usize>(&mut self, shape: [usize; D]) -> Param<Tensor<D>> {
        let Some(rng) = &mut self.rng else { return self.full(shape, 0.0) };
        let (rows, columns) = (shape[0], shape[1..].iter().product::<usize>());
        let (long, short) = (rows.max(columns), rows.min(columns));
        let drawn = draws::normal(rng, long * short);
        let matrix = Mat::from_fn(long, short, |i, j| f64::from(drawn[i * short + j]));
        let qr = matrix.qr();
        let (q, r) = (qr.compute_thin_Q(), qr.R());
        let q = |i: usize, j: usize| (q[(i, j)] * r[(j, j)].signum()) as f32;
        let value = |at: usize| match (at / columns, at % columns) {
            (row, column) if rows < columns => q(column, row),
            (row, column) => q(row, column),
        };
        self.param((0..rows * columns).map(value).collect(), shape)
    }

    /// A parameter whose elements are all `value`.
    pub fn full<const D: usize>(&mut self, shape: [usize; D], value: f32) -> Param<Tensor<D>> {
        self.param(vec![value; shape.iter().product()], shape)
    }

    /// A buffer drawn from N(0, 1), which is saved with the network but never trained.
    pub fn normal_buffer<const D: usize>(&mut self, shape: [usize; D]) -> Param<Tensor<D>> {
        self.normal(shape, 1.0).set_require_grad(false)
    }

    /// A buffer whose elements are all `value`, which is saved with the network but never trained.
    pub fn buffer<const D: usize>(&mut self, shape: [usize; D], value: f32) -> Param<Tensor<D>> {
        self.full(shape, value).set_require_grad(false)
    }

    fn param<const D: usize>(&self, values: Vec<f32>, shape: [usize; D]) -> Param<Tensor<D>> {
        Param::from_tensor(Tensor::from_data(TensorData::new(values, shape), &self.device))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::params::to_vec;

    #[test]
    fn orthogonal_weights_keep_lengths() {
        for shape in [[6, 5, 2, 1], [12, 3, 1, 2], [4, 4, 1, 1]] {
            let init = &mut Init::new(5, "orthogonal", &Device::flex());
            let values = to_vec(init.orthogonal(shape).val());
            let (rows, columns) = (shape[0], shape[1..].iter().product::<usize>());
            let wide = rows < columns;
            let (count, length) = if wide { (rows, columns) } else { (columns, rows) };
            let at = |i: usize, k: usize| {
                f64::from(if wide { values[i * columns + k] } else { values[k * columns + i] })
            };
            for i in 0..count {
                for j in 0..count {
                    let dot: f64 = (0..length).map(|k| at(i, k) * at(j, k)).sum();
                    let expected = if i == j { 1.0 } else { 0.0 };
                    assert!((dot - expected).abs() < 1e-6, "{shape:?}: ({i}, {j}) is {dot}");
                }
            }
        }
    }
}
