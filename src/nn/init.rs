//! Initial values of parameters. They are drawn in the order in which a network is built.

use burn::module::Param;
use burn::tensor::{Device, Tensor, TensorData};
use rand_chacha::ChaCha8Rng;

use crate::draws;

/// Draws the initial values of one network.
pub struct Init {
    rng: ChaCha8Rng,
    device: Device,
}

impl Init {
    /// A source of initial values for the network `network`, such as `generator`. Each network has
    /// its own random stream.
    pub fn new(seed: u64, network: &str, device: &Device) -> Self {
        let rng = draws::stream(seed, &format!("init.{network}"), 0);
        Self { rng, device: device.clone().without_autodiff() }
    }

    /// A parameter drawn from N(0, std²).
    pub fn normal<const D: usize>(&mut self, shape: [usize; D], std: f32) -> Param<Tensor<D>> {
        let mut values = draws::normal(&mut self.rng, shape.iter().product());
        values.iter_mut().for_each(|v| *v *= std);
        self.param(values, shape)
    }

    /// A parameter drawn from U(-bound, bound).
    pub fn uniform<const D: usize>(&mut self, shape: [usize; D], bound: f32) -> Param<Tensor<D>> {
        use rand::Rng;
        let count = shape.iter().product();
        let values = (0..count).map(|_| self.rng.random_range(-bound..=bound)).collect();
        self.param(values, shape)
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
