//! Differentiable operations that the layers consist of. Only this module and `device` know
//! backends.
//!
//! Most gradients are operations of the same set, so that value, gradient and tangent share their
//! code:
//!
//! | operation | gradient with respect to its input | to its parameters |
//! |---|---|---|
//! | [`conv2d`] | [`conv2d_transposed`] | weight gradient |
//! | [`conv2d_transposed`] | [`conv2d`] | weight gradient |
//! | [`upfirdn2d`] | [`upfirdn2d`] with swapped rates and the flipped filter | – |
//! | [`warp`] | its adjoint, which adds every pixel to those that it was sampled from | – |
//! | [`linear`] | [`product`] with the transposed weight | the same; sum over the batch |
//! | [`linear_layers`], [`demodulation`] | their own kernels, for all layers of a network at once | the same kernels |
//! | [`softplus`], [`mean_softplus`] | their own kernels | – |
//! | [`bias_act`] | [`act_slope`] | sum over batch and pixels |
//! | [`scale_planes`] | [`scale_planes`] | plane-wise dot product |
//! | [`scale_planes_tangent`] | [`scale_planes`] | plane-wise dot products |
//! | [`modulated_conv2d`] | [`conv2d_transposed`], then [`scale_planes`] | weight gradient; plane-wise dot product |
//! | [`noise_act`] | its own kernel, from the output | the same kernel |
//! | [`modulated_noise_act`] | those of [`noise_act`] and [`modulated_conv2d`] | the same |
//! | [`convolve_act_beside`] | [`transposed`], plus the adjoint of [`upfirdn2d`] | as for [`convolve_act`] |
//! | [`together`] | – | adds up the parts that other kernels leave |
//! | [`normals`] | none: random numbers | – |
//! | [`minibatch_std`] | its own kernel | – |
//! | [`group_norm`] | its own kernel | the same kernel |
//! | [`lstm`] | its own kernel, backward through time | the same kernel |
//!
//! The CPU backend has its own kernels ([`cpu`]), and so have GPUs (`cube`, CubeCL). What they lack is
//! composed from Burn's operations ([`composed`]).

mod backend;
pub mod composed;
pub mod cpu;
#[cfg(feature = "wgpu")]
mod cube;
mod differentiate;
mod flex;
mod ops;
mod outputs;
mod spec;

pub use backend::Kernels;
pub use ops::{
    Adapted, Demodulated, WithNoise, act_slope, adam, bias_act, blend, conv2d, conv2d_down,
    conv2d_transposed, conv2d_up, convolve, convolve_act, convolve_act_beside, convolve_add,
    demodulation, group_norm, linear, linear_layers, lstm, mean_softplus, minibatch_std, modulated,
    modulated_conv2d, modulated_conv2d_add, modulated_conv2d_up, modulated_noise_act, noise_act,
    normals, product, scale_planes, scale_planes_tangent, softplus, sums, together, transposed,
    upfirdn2d, warp,
};
pub use outputs::{
    AdamOutput, BiasActGradients, Demodulation, DemodulationGradients, DemodulationTrace,
    GroupNormGradients, GroupNormTrace, LinearLayersGradients, LstmGradients, LstmTrace,
    ModulatedGradients, NoiseActGradients, NoiseOperands, ScalePlanesGradients,
    ScalePlanesTangentGradients, Tensors,
};
pub use spec::{
    Activation, AdamStep, Affine, Conv, Fir, Groups, LinearLayers, Sequences, Smooth, Warp,
};

/// While it lives, kernels on this thread keep what they prepare of weights, such as copies in another
/// order, and use it again where the same weights come again. Those weights stay in memory with it.
#[must_use = "nothing is kept after it is dropped"]
pub struct KeptWeights {
    #[cfg(feature = "wgpu")]
    _keeping: cube::Keeping,
}

impl KeptWeights {
    /// Starts to keep. The results of all operations are the same with and without it.
    #[expect(clippy::new_without_default, reason = "it is held for its effect")]
    pub fn new() -> Self {
        Self {
            #[cfg(feature = "wgpu")]
            _keeping: cube::Keeping::new(),
        }
    }
}

/// Whether the kernels of a device read and write features in f16.
pub fn stores_half(device: &burn::tensor::Device) -> bool {
    #[cfg(all(feature = "wgpu", not(feature = "fusion")))]
    {
        use burn::backend::{BackendTensor, DispatchTensorKind};
        let device = device.clone().without_autodiff();
        let any = burn::tensor::Tensor::<1>::zeros([1], &device).into_dispatch();
        if let DispatchTensorKind::Cube(BackendTensor::Float(tensor)) = any.kind {
            return cube::stores_half(&tensor);
        }
    }
    let _ = device;
    false
}

/// Bytes of the largest tensor that a device can hold. `None` if only its memory limits that.
///
/// GPUs bind at most a part of their memory to one argument of a kernel, often 2 GiB.
pub fn largest_tensor(device: &burn::tensor::Device) -> Option<u64> {
    #[cfg(all(feature = "wgpu", not(feature = "fusion")))]
    {
        use burn::backend::{BackendTensor, DispatchTensorKind};
        let device = device.clone().without_autodiff();
        let any = burn::tensor::Tensor::<1>::zeros([1], &device).into_dispatch();
        if let DispatchTensorKind::Cube(BackendTensor::Float(tensor)) = any.kind {
            return Some(tensor.client.properties().memory.max_page_size);
        }
    }
    let _ = device;
    None
}
