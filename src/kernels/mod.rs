//! The only room that knows backends: differentiable operations that the layers are made of.
//!
//! The derivative of every operation here is an operation of the same set, so value, gradient and
//! tangent share their code:
//!
//! | operation | gradient with respect to its input | to its parameter |
//! |---|---|---|
//! | [`conv2d`] | [`conv2d_transposed`] | weight gradient |
//! | [`conv2d_transposed`] | [`conv2d`] | weight gradient |
//! | [`upfirdn2d`] | itself, rates swapped, filter flipped | – |
//! | [`warp`] | its adjoint, which spreads what the warp gathers | – |
//! | [`bias_act`] | [`act_slope`] | its sum over batch and pixels |
//! | [`scale_planes`] | itself | plane-wise dot product |
//! | [`group_norm`] | of its own | likewise |
//! | [`lstm`] | back through time | likewise |
//!
//! On the CPU backend they are our own ([`cpu`]); everywhere else they are composed from Burn's
//! operations ([`composed`]).

pub mod composed;
pub mod cpu;
mod differentiate;
mod flex;
mod ops;
mod spec;

pub use ops::{
    Adapted, act_slope, adam, bias_act, conv2d, conv2d_down, conv2d_transposed, conv2d_up,
    group_norm, lstm, scale_planes, upfirdn2d, warp,
};
pub use spec::{Activation, AdamStep, Conv, Fir, Groups, Sequences, Smooth, Warp};

use burn::backend::{Backend, ExtensionType, backend_extension, tensor::FloatTensor};

/// What an optimiser step leaves: all [P], and the number of non-finite gradients [1].
#[derive(ExtensionType)]
pub struct AdamOutput<B: Backend> {
    /// The parameter after the step.
    pub value: FloatTensor<B>,
    /// First moment.
    pub m: FloatTensor<B>,
    /// Second moment.
    pub v: FloatTensor<B>,
    /// Elements of the gradient that were NaN or infinite.
    pub non_finite: FloatTensor<B>,
}

/// What a group normalisation leaves.
#[derive(ExtensionType)]
pub struct GroupNormTrace<B: Backend> {
    /// The output [N, C, H, W].
    pub y: FloatTensor<B>,
    /// Mean and 1/√(variance + ε) of every group [N, groups, 2].
    pub moments: FloatTensor<B>,
}

/// Gradients of a group normalisation.
#[derive(ExtensionType)]
pub struct GroupNormGradients<B: Backend> {
    /// With respect to its input [N, C, H, W].
    pub x: FloatTensor<B>,
    /// With respect to the scale [C].
    pub weight: FloatTensor<B>,
    /// With respect to the shift [C].
    pub bias: FloatTensor<B>,
}

/// What an LSTM leaves, time first.
#[derive(ExtensionType)]
pub struct LstmTrace<B: Backend> {
    /// State after each token [T, N, H].
    pub states: FloatTensor<B>,
    /// Cell after each token [T, N, H].
    pub cells: FloatTensor<B>,
    /// The gates behind their activations [T, N, 4H].
    pub gates: FloatTensor<B>,
}

/// Gradients of an LSTM.
#[derive(ExtensionType)]
pub struct LstmGradients<B: Backend> {
    /// With respect to the gates' share of the inputs [T, N, 4H].
    pub gates: FloatTensor<B>,
    /// With respect to the recurrent weight [4H, H].
    pub w: FloatTensor<B>,
}

/// What a backend offers beyond Burn's own operations. All tensors are contiguous NCHW.
///
/// The bodies here are compositions that run anywhere; a backend overrides what it does better.
#[backend_extension(Flex, Cube: cfg(feature = "wgpu"), Fusion: cfg(feature = "fusion"), Autodiff)]
pub trait Kernels: Backend {
    /// Convolution: x [N, I, H, W], w [O, I, k, k] → [N, O, H', W'].
    #[cfg_attr(feature = "fusion", fusion(default))]
    fn k_conv2d(x: FloatTensor<Self>, w: FloatTensor<Self>, conv: Conv) -> FloatTensor<Self> {
        composed::conv2d::<Self>(x, w, conv)
    }

    /// Its adjoint in x: g [N, O, H', W'], w [O, I, k, k] → [N, I, H, W].
    #[cfg_attr(feature = "fusion", fusion(default))]
    fn k_conv2d_transposed(
        g: FloatTensor<Self>,
        w: FloatTensor<Self>,
        conv: Conv,
    ) -> FloatTensor<Self> {
        composed::conv2d_transposed::<Self>(g, w, conv)
    }

    /// Its gradient in w: x [N, I, H, W], g [N, O, H', W'] → [O, I, k, k].
    #[cfg_attr(feature = "fusion", fusion(default))]
    fn k_conv2d_weight_gradient(
        x: FloatTensor<Self>,
        g: FloatTensor<Self>,
        conv: Conv,
    ) -> FloatTensor<Self> {
        composed::conv2d_weight_gradient::<Self>(x, g, conv)
    }

    /// Up-sampling by zeros, padding, FIR filter, down-sampling: [N, C, H, W] → [N, C, H', W'].
    #[cfg_attr(feature = "fusion", fusion(default))]
    fn k_upfirdn2d(x: FloatTensor<Self>, fir: Fir) -> FloatTensor<Self> {
        composed::upfirdn2d::<Self>(x, fir)
    }

    /// Bilinear sampling along affine maps: x [N, C, H, W] → [N, C, H', W'].
    #[cfg_attr(feature = "fusion", fusion(default))]
    fn k_warp(x: FloatTensor<Self>, warp: Warp) -> FloatTensor<Self> {
        composed::warp::<Self>(x, warp)
    }

    /// Its adjoint: g [N, C, H', W'] → [N, C, H, W].
    #[cfg_attr(feature = "fusion", fusion(default))]
    fn k_warp_adjoint(g: FloatTensor<Self>, warp: Warp) -> FloatTensor<Self> {
        composed::warp_adjoint::<Self>(g, warp)
    }

    /// y = clamp(lrelu(x + b)·gain): x [N, C, H, W], b [C].
    #[cfg_attr(feature = "fusion", fusion(default))]
    fn k_bias_act(
        x: FloatTensor<Self>,
        b: FloatTensor<Self>,
        act: Activation,
    ) -> FloatTensor<Self> {
        composed::bias_act::<Self>(x, b, act)
    }

    /// g times the slope of the activation where its output is y (both [N, C, H, W]).
    #[cfg_attr(feature = "fusion", fusion(default))]
    fn k_act_slope(
        g: FloatTensor<Self>,
        y: FloatTensor<Self>,
        act: Activation,
    ) -> FloatTensor<Self> {
        composed::act_slope::<Self>(g, y, act)
    }

    /// Sum over batch and pixels: [N, C, H, W] → [C].
    #[cfg_attr(feature = "fusion", fusion(default))]
    fn k_channel_sums(x: FloatTensor<Self>) -> FloatTensor<Self> {
        composed::channel_sums::<Self>(x)
    }

    /// x [N, C, H, W] · s [N, C].
    #[cfg_attr(feature = "fusion", fusion(default))]
    fn k_scale_planes(x: FloatTensor<Self>, s: FloatTensor<Self>) -> FloatTensor<Self> {
        composed::scale_planes::<Self>(x, s)
    }

    /// Σ over pixels of a·b: [N, C, H, W]² → [N, C].
    #[cfg_attr(feature = "fusion", fusion(default))]
    fn k_plane_dots(a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self> {
        composed::plane_dots::<Self>(a, b)
    }

    /// Group normalisation, scale, shift and activation: x [N, C, H, W], weight, bias [C].
    #[cfg_attr(feature = "fusion", fusion(default))]
    fn k_group_norm_trace(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        groups: Groups,
    ) -> GroupNormTrace<Self> {
        composed::group_norm::trace::<Self>(x, weight, bias, groups)
    }

    /// Its gradients, given the one `g` with respect to its output y (both [N, C, H, W]).
    #[cfg_attr(feature = "fusion", fusion(default))]
    fn k_group_norm_gradients(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        y: FloatTensor<Self>,
        moments: FloatTensor<Self>,
        g: FloatTensor<Self>,
        groups: Groups,
    ) -> GroupNormGradients<Self> {
        let trace = GroupNormTrace { y, moments };
        composed::group_norm::gradients::<Self>(x, weight, trace, g, groups)
    }

    /// The output of [`k_group_norm_trace`](Self::k_group_norm_trace) alone, differentiable.
    #[cfg_attr(feature = "fusion", fusion(default))]
    fn k_group_norm(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        groups: Groups,
    ) -> FloatTensor<Self> {
        Self::k_group_norm_trace(x, weight, bias, groups).y
    }

    /// An LSTM from a state of zeros: gates [T, N, 4H] (what the inputs add to them), w [4H, H].
    /// Where a sequence has no token, its state stays what it was.
    #[cfg_attr(feature = "fusion", fusion(default))]
    fn k_lstm_trace(
        gates: FloatTensor<Self>,
        w: FloatTensor<Self>,
        sequences: Sequences,
    ) -> LstmTrace<Self> {
        composed::lstm::trace::<Self>(gates, w, &sequences)
    }

    /// Its gradients, given the one `g` [T, N, H] with respect to the states.
    #[cfg_attr(feature = "fusion", fusion(default))]
    fn k_lstm_gradients(
        states: FloatTensor<Self>,
        cells: FloatTensor<Self>,
        gates: FloatTensor<Self>,
        w: FloatTensor<Self>,
        g: FloatTensor<Self>,
        sequences: Sequences,
    ) -> LstmGradients<Self> {
        composed::lstm::gradients::<Self>(LstmTrace { states, cells, gates }, w, g, &sequences)
    }

    /// The states of [`k_lstm_trace`](Self::k_lstm_trace) alone [T, N, H], differentiable.
    #[cfg_attr(feature = "fusion", fusion(default))]
    fn k_lstm(
        gates: FloatTensor<Self>,
        w: FloatTensor<Self>,
        sequences: Sequences,
    ) -> FloatTensor<Self> {
        Self::k_lstm_trace(gates, w, sequences).states
    }

    /// One step of Adam on flat tensors [P]; not differentiable.
    #[cfg_attr(feature = "fusion", fusion(default))]
    fn k_adam(
        value: FloatTensor<Self>,
        m: FloatTensor<Self>,
        v: FloatTensor<Self>,
        g: FloatTensor<Self>,
        step: AdamStep,
    ) -> AdamOutput<Self> {
        composed::adam::<Self>(value, m, v, g, step)
    }
}

#[cfg(feature = "wgpu")]
impl Kernels for burn_cubecl::CubeBackend {}
