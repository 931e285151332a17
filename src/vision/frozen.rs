//! Parts that the frozen networks share: fixed convolutions, pooling, and input normalisation.

use burn::tensor::module::max_pool2d;
use burn::tensor::ops::MaxPoolOptions;
use burn::tensor::{Device, Tensor};

use crate::error::{Error, Result};
use crate::kernels::{self, Activation};
use crate::nn::params::from_host;
use crate::weights::WeightReader;

/// A convolution with fixed weights, bias and ReLU: relu(conv(x) + b).
#[derive(Debug, Clone)]
pub(crate) struct ConvRelu {
    /// `[O, I, k, k]`.
    weight: Tensor<4>,
    /// `[O]`.
    bias: Tensor<1>,
    stride: usize,
    padding: usize,
}

impl ConvRelu {
    /// Takes `NAME.weight` `[O, inputs, kernel, kernel]` and `NAME.bias` `[O]`. The file determines
    /// the width O.
    ///
    /// # Errors
    /// Fails if a tensor is missing or has another shape.
    pub(crate) fn take(
        weights: &mut WeightReader,
        name: &str,
        inputs: usize,
        kernel: usize,
        device: &Device,
    ) -> Result<Self> {
        let shape = [None, Some(inputs), Some(kernel), Some(kernel)];
        let weight = weights.take(&format!("{name}.weight"), &shape)?;
        let bias = weights.take(&format!("{name}.bias"), &[Some(weight.shape[0])])?;
        let device = device.clone().without_autodiff();
        Ok(Self {
            weight: from_host(weight, &device),
            bias: from_host(bias, &device),
            stride: 1,
            padding: 0,
        })
    }

    pub(crate) fn stride(self, stride: usize) -> Self {
        Self { stride, ..self }
    }

    pub(crate) fn padding(self, padding: usize) -> Self {
        Self { padding, ..self }
    }

    /// Number of output maps.
    pub(crate) fn outputs(&self) -> usize {
        self.weight.dims()[0]
    }

    /// x `[N, I, H, W]` → `[N, O, H', W']`.
    pub(crate) fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let y = kernels::conv2d(x, self.weight.clone(), self.stride, self.padding);
        kernels::bias_act(y, self.bias.clone(), Activation::RELU)
    }
}

/// Input normalisation that a network was trained with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Inputs {
    /// Caffe: BGR from 0 to 255, minus the mean of each channel.
    Caffe,
    /// torchvision: RGB from 0 to 1, minus the mean and divided by the standard deviation of each
    /// channel.
    ImageNet,
}

impl Inputs {
    /// Normalises RGB images `[N, 3, H, W]` in `[-1, 1]` for the network.
    pub(crate) fn prepare(self, images: Tensor<4>) -> Tensor<4> {
        let channels = |values: [f32; 3]| {
            let device = images.device().without_autodiff();
            Tensor::<1>::from_floats(values, &device).reshape([1, 3, 1, 1])
        };
        match self {
            Inputs::Caffe => {
                let mean = channels([104.0, 117.0, 123.0]);
                (images + 1.0).mul_scalar(127.5).flip([1]) - mean
            }
            Inputs::ImageNet => {
                let mean = channels([0.485, 0.456, 0.406]);
                let deviation = channels([0.229, 0.224, 0.225]);
                ((images + 1.0).mul_scalar(0.5) - mean) / deviation
            }
        }
    }
}

/// Max pooling without padding: `[N, C, H, W]` → `[N, C, H', W']`. `ceil_mode` keeps windows that reach over the far border.
pub(crate) fn max_pool(x: Tensor<4>, kernel: usize, stride: usize, ceil_mode: bool) -> Tensor<4> {
    let windows =
        MaxPoolOptions::new([kernel; 2]).with_stride([stride; 2]).with_ceil_mode(ceil_mode);
    max_pool2d(x, windows)
}

/// Indices of named layers in a network's list of layers `all`, in the network's order.
///
/// # Errors
/// Fails if a layer does not exist or none is given.
pub(crate) fn layer_indices(names: &[&str], all: &[&str]) -> Result<Vec<usize>> {
    for name in names {
        if !all.contains(name) {
            return Err(Error::user(format!("no layer `{name}`"))
                .hint(format!("choose from {}", all.join(", "))));
        }
    }
    let layer_indices: Vec<usize> = (0..all.len()).filter(|&i| names.contains(&all[i])).collect();
    if layer_indices.is_empty() {
        return Err(Error::user("no layer given").hint("name at least one layer"));
    }
    Ok(layer_indices)
}
