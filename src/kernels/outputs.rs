//! The results of kernels that return more than one tensor.

use burn::backend::{Backend, ExtensionType, tensor::FloatTensor};

/// The result of [`Kernels::k_adam`](super::Kernels::k_adam); tensors are `[P]` unless stated otherwise.
#[derive(ExtensionType)]
pub struct AdamOutput<B: Backend> {
    /// The parameter after the step.
    pub value: FloatTensor<B>,
    /// First moment.
    pub m: FloatTensor<B>,
    /// Second moment.
    pub v: FloatTensor<B>,
    /// `[1]`, the number of elements of the gradient that were NaN or infinite.
    pub non_finite: FloatTensor<B>,
}

/// The gradients of [`Kernels::k_scale_planes`](super::Kernels::k_scale_planes).
#[derive(ExtensionType)]
pub struct ScalePlanesGradients<B: Backend> {
    /// With respect to the planes `[N, C, H, W]`.
    pub x: FloatTensor<B>,
    /// With respect to the factors `[N, C]`.
    pub s: FloatTensor<B>,
}

/// The gradients of [`Kernels::k_noise_act`](super::Kernels::k_noise_act).
#[derive(ExtensionType)]
pub struct NoiseActGradients<B: Backend> {
    /// With respect to its input `[N, C, H, W]`.
    pub x: FloatTensor<B>,
    /// With respect to the factors of its planes `[N, C]`.
    pub scale: FloatTensor<B>,
    /// With respect to the noise's strength `[1]`.
    pub strength: FloatTensor<B>,
    /// With respect to the bias `[C]`.
    pub bias: FloatTensor<B>,
}

/// The output of a group normalisation and the statistics that its gradients need.
#[derive(ExtensionType)]
pub struct GroupNormTrace<B: Backend> {
    /// The output `[N, C, H, W]`.
    pub y: FloatTensor<B>,
    /// Mean and 1/√(variance + ε) of every group `[N, groups, 2]`.
    pub moments: FloatTensor<B>,
}

/// The gradients of a group normalisation.
#[derive(ExtensionType)]
pub struct GroupNormGradients<B: Backend> {
    /// With respect to its input `[N, C, H, W]`.
    pub x: FloatTensor<B>,
    /// With respect to the scale `[C]`.
    pub weight: FloatTensor<B>,
    /// With respect to the shift `[C]`.
    pub bias: FloatTensor<B>,
}

/// The output of an LSTM and the values that its gradients need, time first.
#[derive(ExtensionType)]
pub struct LstmTrace<B: Backend> {
    /// State after each token `[T, N, H]`.
    pub states: FloatTensor<B>,
    /// Cell after each token `[T, N, H]`.
    pub cells: FloatTensor<B>,
    /// The gates after their activations `[T, N, 4H]`.
    pub gates: FloatTensor<B>,
}

/// The gradients of an LSTM.
#[derive(ExtensionType)]
pub struct LstmGradients<B: Backend> {
    /// With respect to the inputs' contribution to the gates `[T, N, 4H]`.
    pub gates: FloatTensor<B>,
    /// With respect to the recurrent weight `[4H, H]`.
    pub w: FloatTensor<B>,
}
