//! The results of kernels that return more than one tensor.

use burn::backend::{
    Backend, BackendTensor, DispatchAutodiffContext, DispatchTensor, DispatchTensorKind,
    ExtensionType, tensor::FloatTensor,
};

/// Any number of tensors. An operation on them must get at least one, which says where it runs.
pub struct Tensors<B: Backend>(pub Vec<FloatTensor<B>>);

// Burn derives this for structs of single tensors only.
impl<B: Backend> ExtensionType<B> for Tensors<B> {
    type Target = Tensors<burn::backend::Dispatch>;

    fn map_to_dispatch<F>(self, map_kind: F, autodiff: DispatchAutodiffContext) -> Self::Target
    where
        F: Fn(BackendTensor<B>) -> DispatchTensorKind,
    {
        let wrap =
            |tensor| DispatchTensor { kind: map_kind(BackendTensor::Float(tensor)), autodiff };
        Tensors(self.0.into_iter().map(wrap).collect())
    }

    fn map_from_dispatch<F>(target: Self::Target, unwrap_kind: F) -> Self
    where
        F: Fn(DispatchTensor) -> BackendTensor<B>,
    {
        Self(target.0.into_iter().map(|tensor| unwrap_kind(tensor).float()).collect())
    }

    fn routing_tensor(target: &Self::Target) -> Option<&DispatchTensor> {
        target.0.first()
    }

    fn routing_float_tensor(target: &Self::Target) -> Option<&DispatchTensor> {
        target.0.first()
    }

    fn autodiff_context(target: &Self::Target) -> DispatchAutodiffContext {
        target.0.iter().fold(DispatchAutodiffContext::Disabled, |context, tensor| {
            context.merge(tensor.autodiff)
        })
    }
}

/// The result of [`Kernels::k_adam`](super::Kernels::k_adam), one tensor `[P]` for each parameter.
#[derive(ExtensionType)]
pub struct AdamOutput<B: Backend> {
    /// The parameters after the step.
    #[extension_type]
    pub values: Tensors<B>,
    /// First moments.
    #[extension_type]
    pub m: Tensors<B>,
    /// Second moments.
    #[extension_type]
    pub v: Tensors<B>,
    /// `[1]`, the number of elements of all gradients that were NaN or infinite.
    pub non_finite: FloatTensor<B>,
}

/// The gradients of [`Kernels::k_bias_act`](super::Kernels::k_bias_act).
#[derive(ExtensionType)]
pub struct BiasActGradients<B: Backend> {
    /// With respect to its input `[N, C, H, W]`.
    pub x: FloatTensor<B>,
    /// With respect to the bias `[C]`.
    pub bias: FloatTensor<B>,
}

/// The gradients of [`Kernels::k_linear_layers`](super::Kernels::k_linear_layers). A list is empty if it
/// was not wanted.
#[derive(ExtensionType)]
pub struct LinearLayersGradients<B: Backend> {
    /// With respect to the inputs `[inputs·N, I]`: one tensor.
    #[extension_type]
    pub x: Tensors<B>,
    /// With respect to the weights, each `[O, I]`.
    #[extension_type]
    pub w: Tensors<B>,
    /// With respect to the biases, each `[O]`.
    #[extension_type]
    pub b: Tensors<B>,
}

/// The factors of demodulation of several layers and what their gradients need.
#[derive(ExtensionType)]
pub struct DemodulationTrace<B: Backend> {
    /// The factors, each `[N, O]`.
    #[extension_type]
    pub y: Tensors<B>,
    /// Their tangents along those of the styles, each `[N, O]`; empty without them.
    #[extension_type]
    pub along: Tensors<B>,
    /// Σ_k w², each `[O, I]`.
    #[extension_type]
    pub energy: Tensors<B>,
}

/// The result of [`Kernels::k_demodulation`](super::Kernels::k_demodulation).
#[derive(ExtensionType)]
pub struct Demodulation<B: Backend> {
    /// The weights of the layers, each `[O, I, k, k]`.
    #[extension_type]
    pub w: Tensors<B>,
    /// The styles, each `[N, I]`.
    #[extension_type]
    pub s: Tensors<B>,
    /// The tangents of the styles, each `[N, I]`; empty without them.
    #[extension_type]
    pub t: Tensors<B>,
    /// The factors, each `[N, O]`.
    #[extension_type]
    pub y: Tensors<B>,
    /// The tangents of the factors, each `[N, O]`; empty without those of the styles.
    #[extension_type]
    pub along: Tensors<B>,
}

/// The gradients of [`Kernels::k_demodulation`](super::Kernels::k_demodulation). A list is empty if it
/// was not wanted.
#[derive(ExtensionType)]
pub struct DemodulationGradients<B: Backend> {
    /// With respect to the weights, each `[O, I, k, k]`.
    #[extension_type]
    pub w: Tensors<B>,
    /// With respect to the styles, each `[N, I]`.
    #[extension_type]
    pub s: Tensors<B>,
    /// With respect to the tangents of the styles, each `[N, I]`.
    #[extension_type]
    pub t: Tensors<B>,
}

/// The gradients of [`Kernels::k_scale_planes`](super::Kernels::k_scale_planes).
#[derive(ExtensionType)]
pub struct ScalePlanesGradients<B: Backend> {
    /// With respect to the planes `[N, C, H, W]`.
    pub x: FloatTensor<B>,
    /// With respect to the factors `[N, C]`.
    pub s: FloatTensor<B>,
}

/// The gradients of [`Kernels::k_scale_planes_tangent`](super::Kernels::k_scale_planes_tangent).
#[derive(ExtensionType)]
pub struct ScalePlanesTangentGradients<B: Backend> {
    /// With respect to the planes `[N, C, H, W]`.
    pub x: FloatTensor<B>,
    /// With respect to their tangents `[N, C, H, W]`.
    pub t: FloatTensor<B>,
    /// With respect to the factors `[N, C]`.
    pub s: FloatTensor<B>,
    /// With respect to the tangents of the factors `[N, C]`.
    pub u: FloatTensor<B>,
}

/// The result of [`Kernels::k_modulated_gradients`](super::Kernels::k_modulated_gradients).
#[derive(ExtensionType)]
pub struct ModulatedGradients<B: Backend> {
    /// The gradient with respect to the weight.
    pub w: FloatTensor<B>,
    /// The gradient with respect to the planes times their factors.
    pub adjoint: FloatTensor<B>,
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

/// The operands of [`Kernels::k_noise_act`](super::Kernels::k_noise_act) beside its input
/// `[N, C, H, W]`.
#[derive(ExtensionType)]
pub struct NoiseOperands<B: Backend> {
    /// The factors of the planes `[N, C]`.
    pub scale: FloatTensor<B>,
    /// The noise `[N or 1, 1, H, W]`.
    pub noise: FloatTensor<B>,
    /// Its strength `[1]`.
    pub strength: FloatTensor<B>,
    /// The bias `[C]`.
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
