//! The trait that a backend implements, with a composition of Burn's operations as the default of
//! every kernel.

use burn::backend::{Backend, TensorMetadata, backend_extension, tensor::FloatTensor};

use super::composed;
use super::outputs::{
    AdamOutput, BiasActGradients, Demodulation, DemodulationGradients, DemodulationTrace,
    GroupNormGradients, GroupNormTrace, LinearLayersGradients, LstmGradients, LstmTrace,
    ModulatedGradients, NoiseActGradients, NoiseOperands, ScalePlanesGradients,
    ScalePlanesTangentGradients, Tensors,
};
use super::spec::{Activation, AdamStep, Affine, Conv, Fir, Groups, LinearLayers, Sequences, Warp};
use crate::draws::Sequence;

/// The operations that the layers need beyond Burn's own. All tensors are contiguous NCHW.
///
/// On GPUs, images and their gradients may be f16; parameters, factors, noise and their gradients stay f32.
///
/// The default bodies are compositions that run on any backend. A backend overrides those that it
/// has a faster implementation of.
#[backend_extension(Flex, Cube: cfg(feature = "wgpu"), Fusion: cfg(feature = "fusion"), Autodiff)]
pub trait Kernels: Backend {
    /// Convolution: x `[N, I, H, W]`, w `[O, I, k, k]` → `[N, O, H', W']`.
    #[cfg_attr(feature = "fusion", fusion(default))]
    fn k_conv2d(x: FloatTensor<Self>, w: FloatTensor<Self>, conv: Conv) -> FloatTensor<Self> {
        composed::conv2d::<Self>(x, w, conv)
    }

    /// The same, then bias b `[O]` and activation.
    #[cfg_attr(feature = "fusion", fusion(default))]
    fn k_conv2d_act(
        x: FloatTensor<Self>,
        w: FloatTensor<Self>,
        b: FloatTensor<Self>,
        conv: Conv,
        act: Activation,
    ) -> FloatTensor<Self> {
        composed::conv2d_act::<Self>(x, w, b, conv, act)
    }

    /// The convolution, plus another tensor, which a filter may bring to the result's shape. The result has
    /// the other tensor's type.
    #[cfg_attr(feature = "fusion", fusion(default))]
    fn k_conv2d_add(
        x: FloatTensor<Self>,
        w: FloatTensor<Self>,
        other: FloatTensor<Self>,
        conv: Conv,
        resample: Option<Fir>,
    ) -> FloatTensor<Self> {
        composed::conv2d_add::<Self>(x, w, other, conv, resample)
    }

    /// Its adjoint in x: g `[N, O, H', W']`, w `[O, I, k, k]` → `[N, I, H, W]`.
    #[cfg_attr(feature = "fusion", fusion(default))]
    fn k_conv2d_transposed(
        g: FloatTensor<Self>,
        w: FloatTensor<Self>,
        conv: Conv,
    ) -> FloatTensor<Self> {
        composed::conv2d_transposed::<Self>(g, w, conv)
    }

    /// The same, plus another tensor of the result's shape.
    #[cfg_attr(feature = "fusion", fusion(default))]
    fn k_conv2d_transposed_add(
        g: FloatTensor<Self>,
        w: FloatTensor<Self>,
        other: FloatTensor<Self>,
        conv: Conv,
    ) -> FloatTensor<Self> {
        composed::conv2d_transposed_add::<Self>(g, w, other, conv)
    }

    /// [`k_conv2d_act`](Self::k_conv2d_act) and [`k_upfirdn2d`](Self::k_upfirdn2d) of the same x, so that the
    /// two gradients with respect to it can be added in the kernel of one of them.
    #[cfg_attr(feature = "fusion", fusion(default))]
    fn k_conv2d_act_beside(
        x: FloatTensor<Self>,
        w: FloatTensor<Self>,
        b: FloatTensor<Self>,
        conv: Conv,
        act: Activation,
        fir: Fir,
    ) -> Tensors<Self> {
        let resampled = Self::k_upfirdn2d(x.clone(), fir);
        Tensors(vec![Self::k_conv2d_act(x, w, b, conv, act), resampled])
    }

    /// Its gradient in w: x `[N, I, H, W]`, g `[N, O, H', W']` → `[O, I, k, k]`, or a sum in parts if
    /// `conv` says so.
    #[cfg_attr(feature = "fusion", fusion(default))]
    fn k_conv2d_weight_gradient(
        x: FloatTensor<Self>,
        g: FloatTensor<Self>,
        conv: Conv,
    ) -> FloatTensor<Self> {
        composed::conv2d_weight_gradient::<Self>(x, g, conv)
    }

    /// A linear layer: x `[N, I]`, w `[O, I]`, b `[O]` → `[N, O]`.
    #[cfg_attr(feature = "fusion", fusion(default))]
    fn k_linear(
        x: FloatTensor<Self>,
        w: FloatTensor<Self>,
        b: FloatTensor<Self>,
        affine: Affine,
    ) -> FloatTensor<Self> {
        let y = Self::k_product(x, w, affine.gain);
        let [n, o] = y.shape().dims::<2>();
        let b = match affine.bias_gain {
            1.0 => b,
            gain => Self::float_mul_scalar(b, gain.into()),
        };
        let y = Self::k_bias_act(Self::float_reshape(y, [n, o, 1, 1].into()), b, affine.act);
        Self::float_reshape(y, [n, o].into())
    }

    /// x·Wᵀ·gain: x `[N, I]`, w `[O, I]` → `[N, O]`.
    #[cfg_attr(feature = "fusion", fusion(default))]
    fn k_product(x: FloatTensor<Self>, w: FloatTensor<Self>, gain: f32) -> FloatTensor<Self> {
        composed::product::<Self>(x, w, gain)
    }

    /// Its gradient in x, g·W·gain: g `[N, O]`, w `[O, I]` → `[N, I]`.
    #[cfg_attr(feature = "fusion", fusion(default))]
    fn k_product_back(g: FloatTensor<Self>, w: FloatTensor<Self>, gain: f32) -> FloatTensor<Self> {
        composed::product_back::<Self>(g, w, gain)
    }

    /// Its gradient in w, gᵀ·x·gain: g `[N, O]`, x `[N, I]` → `[O, I]`.
    #[cfg_attr(feature = "fusion", fusion(default))]
    fn k_product_weight_gradient(
        g: FloatTensor<Self>,
        x: FloatTensor<Self>,
        gain: f32,
    ) -> FloatTensor<Self> {
        composed::product_weight_gradient::<Self>(g, x, gain)
    }

    /// Linear layers: x `[inputs·N, I]`; w and b, one `[O, I]` and one `[O]` for each layer → one
    /// `[N, O]` for each. Without biases, b is ignored.
    #[cfg_attr(feature = "fusion", fusion(default))]
    fn k_linear_layers(
        x: FloatTensor<Self>,
        #[extension_type] w: Tensors<Self>,
        #[extension_type] b: Tensors<Self>,
        layers: LinearLayers,
    ) -> Tensors<Self> {
        composed::linear_layers::<Self>(x, w, b, &layers)
    }

    /// Its gradients, given those with respect to its outputs: with respect to the inputs if `inputs`,
    /// and to weights and biases if `parameters`.
    #[cfg_attr(feature = "fusion", fusion(default))]
    fn k_linear_layers_gradients(
        x: FloatTensor<Self>,
        #[extension_type] w: Tensors<Self>,
        #[extension_type] g: Tensors<Self>,
        layers: LinearLayers,
        inputs: bool,
        parameters: bool,
    ) -> LinearLayersGradients<Self> {
        composed::linear_layers_gradients::<Self>(x, w, g, &layers, inputs, parameters)
    }

    /// The factors of demodulation of several layers, y = rsqrt(Σ_{i,k} (W_oik·s_i)² + 1e-8), and their
    /// tangents along t, −y³·Σ_{i,k} W_oik²·s_i·t_i: w, one `[O, I, k, k]` for each layer; s and t, one
    /// `[N, I]` for each. Without tangents, t is empty.
    #[cfg_attr(feature = "fusion", fusion(default))]
    fn k_demodulation_trace(
        #[extension_type] w: Tensors<Self>,
        #[extension_type] s: Tensors<Self>,
        #[extension_type] t: Tensors<Self>,
    ) -> DemodulationTrace<Self> {
        composed::demodulation_trace::<Self>(w, s, t)
    }

    /// Its gradients, given those with respect to its results, `of_y` and `of_along`, plus `of_w`, `of_s`
    /// and `of_t`. A gradient for which the last three have no tensors is not computed.
    #[cfg_attr(feature = "fusion", fusion(default))]
    fn k_demodulation_gradients(
        #[extension_type] w: Tensors<Self>,
        #[extension_type] s: Tensors<Self>,
        #[extension_type] t: Tensors<Self>,
        #[extension_type] trace: DemodulationTrace<Self>,
        #[extension_type] given: Demodulation<Self>,
    ) -> DemodulationGradients<Self> {
        composed::demodulation_gradients::<Self>(w, s, t, trace, given)
    }

    /// The factors and tangents of [`k_demodulation_trace`](Self::k_demodulation_trace), differentiable,
    /// with the operands.
    ///
    /// Where a convolution uses weights and styles of the result, their gradients from there and those of
    /// the factors are added in the same kernel.
    #[cfg_attr(feature = "fusion", fusion(default))]
    fn k_demodulation(
        #[extension_type] w: Tensors<Self>,
        #[extension_type] s: Tensors<Self>,
        #[extension_type] t: Tensors<Self>,
    ) -> Demodulation<Self> {
        let [kept_w, kept_s, kept_t] = [&w, &s, &t].map(|list| Tensors(list.0.clone()));
        let DemodulationTrace { y, along, .. } = Self::k_demodulation_trace(w, s, t);
        Demodulation { w: kept_w, s: kept_s, t: kept_t, y, along }
    }

    /// Fills `out` `[N]` with samples of N(0, std²): the elements of `sequence` from `first` on, a multiple of
    /// four.
    #[cfg_attr(feature = "fusion", fusion(default))]
    fn k_normals(
        out: FloatTensor<Self>,
        sequence: Sequence,
        first: usize,
        std: f32,
    ) -> FloatTensor<Self> {
        composed::normals::<Self>(out, sequence, first, std)
    }

    /// ln(1 + eˣ) of every element.
    #[cfg_attr(feature = "fusion", fusion(default))]
    fn k_softplus(x: FloatTensor<Self>) -> FloatTensor<Self> {
        composed::softplus::<Self>(x)
    }

    /// Its gradient, g/(1 + e⁻ˣ).
    #[cfg_attr(feature = "fusion", fusion(default))]
    fn k_softplus_gradient(x: FloatTensor<Self>, g: FloatTensor<Self>) -> FloatTensor<Self> {
        composed::softplus_gradient::<Self>(x, g)
    }

    /// The mean of ln(1 + eˣ) over x `[N]`, or of ln(1 + e⁻ˣ) if `negative` → `[1]`.
    #[cfg_attr(feature = "fusion", fusion(default))]
    fn k_mean_softplus(x: FloatTensor<Self>, negative: bool) -> FloatTensor<Self> {
        composed::mean_softplus::<Self>(x, negative)
    }

    /// Its gradient `[N]`, from g `[1]`.
    #[cfg_attr(feature = "fusion", fusion(default))]
    fn k_mean_softplus_gradient(
        x: FloatTensor<Self>,
        g: FloatTensor<Self>,
        negative: bool,
    ) -> FloatTensor<Self> {
        composed::mean_softplus_gradient::<Self>(x, g, negative)
    }

    /// Convolution of planes with factors: x `[N, I, H, W]`, s `[N, I]`, w `[O, I, k, k]` → conv(x·s, w);
    /// or, `transposed`, the adjoint of `conv`: x `[N, O, H', W']`, s `[N, O]` → `[N, I, H, W]`.
    #[cfg_attr(feature = "fusion", fusion(default))]
    fn k_modulated_conv2d(
        x: FloatTensor<Self>,
        s: FloatTensor<Self>,
        w: FloatTensor<Self>,
        conv: Conv,
        transposed: bool,
    ) -> FloatTensor<Self> {
        composed::modulated_conv2d::<Self>(x, s, w, conv, transposed)
    }

    /// The same without `transposed`, plus bias b `[O]` and another tensor, which a filter may bring to the
    /// result's shape. The result has the other tensor's type.
    #[cfg_attr(feature = "fusion", fusion(default))]
    fn k_modulated_conv2d_add(
        x: FloatTensor<Self>,
        s: FloatTensor<Self>,
        w: FloatTensor<Self>,
        b: FloatTensor<Self>,
        other: FloatTensor<Self>,
        conv: Conv,
        resample: Option<Fir>,
    ) -> FloatTensor<Self> {
        composed::modulated_conv2d_add::<Self>([x, s, w, b], other, conv, resample)
    }

    /// Its gradient in w, given the one `g` with respect to its output → `[O, I, k, k]`, or a sum in parts if
    /// `conv` says so.
    #[cfg_attr(feature = "fusion", fusion(default))]
    fn k_modulated_weight_gradient(
        x: FloatTensor<Self>,
        s: FloatTensor<Self>,
        g: FloatTensor<Self>,
        conv: Conv,
        transposed: bool,
    ) -> FloatTensor<Self> {
        composed::modulated_weight_gradient::<Self>(x, s, g, conv, transposed)
    }

    /// The gradients of the transposed [`k_modulated_conv2d`](Self::k_modulated_conv2d) with respect to the
    /// weight and to x·s, given the one `g` with respect to its output.
    #[cfg_attr(feature = "fusion", fusion(default))]
    fn k_modulated_gradients(
        x: FloatTensor<Self>,
        s: FloatTensor<Self>,
        w: FloatTensor<Self>,
        g: FloatTensor<Self>,
        conv: Conv,
    ) -> ModulatedGradients<Self> {
        let of_w = Self::k_modulated_weight_gradient(x, s, g.clone(), conv, true);
        ModulatedGradients { w: of_w, adjoint: Self::k_conv2d(g, w, conv) }
    }

    /// Up-sampling by zeros, padding, FIR filter, down-sampling: `[N, C, H, W]` → `[N, C, H', W']`.
    #[cfg_attr(feature = "fusion", fusion(default))]
    fn k_upfirdn2d(x: FloatTensor<Self>, fir: Fir) -> FloatTensor<Self> {
        composed::upfirdn2d::<Self>(x, fir)
    }

    /// Bilinear sampling along affine maps: x `[N, C, H, W]` → `[N, C, H', W']`.
    #[cfg_attr(feature = "fusion", fusion(default))]
    fn k_warp(x: FloatTensor<Self>, warp: Warp) -> FloatTensor<Self> {
        composed::warp::<Self>(x, warp)
    }

    /// Its adjoint: g `[N, C, H', W']` → `[N, C, H, W]`.
    #[cfg_attr(feature = "fusion", fusion(default))]
    fn k_warp_adjoint(g: FloatTensor<Self>, warp: Warp) -> FloatTensor<Self> {
        composed::warp_adjoint::<Self>(g, warp)
    }

    /// y = clamp(lrelu(x + b)·gain): x `[N, C, H, W]`, b `[C]`.
    #[cfg_attr(feature = "fusion", fusion(default))]
    fn k_bias_act(
        x: FloatTensor<Self>,
        b: FloatTensor<Self>,
        act: Activation,
    ) -> FloatTensor<Self> {
        composed::bias_act::<Self>(x, b, act)
    }

    /// g times the slope of the activation where its output is y (both `[N, C, H, W]`).
    #[cfg_attr(feature = "fusion", fusion(default))]
    fn k_act_slope(
        g: FloatTensor<Self>,
        y: FloatTensor<Self>,
        act: Activation,
    ) -> FloatTensor<Self> {
        composed::act_slope::<Self>(g, y, act)
    }

    /// The gradients of [`k_bias_act`](Self::k_bias_act), given its output `y` and the gradient `g` with
    /// respect to that, for a bias that was multiplied by `bias_gain`.
    #[cfg_attr(feature = "fusion", fusion(default))]
    fn k_bias_act_gradients(
        g: FloatTensor<Self>,
        y: FloatTensor<Self>,
        act: Activation,
        bias_gain: f32,
    ) -> BiasActGradients<Self> {
        composed::bias_act_gradients::<Self>(g, y, act, bias_gain)
    }

    /// The same for a bias without factor, whose gradient is a sum in parts.
    #[cfg_attr(feature = "fusion", fusion(default))]
    fn k_bias_act_gradients_in_parts(
        g: FloatTensor<Self>,
        y: FloatTensor<Self>,
        act: Activation,
    ) -> BiasActGradients<Self> {
        composed::parts::bias_act_gradients::<Self>(Self::k_bias_act_gradients(g, y, act, 1.0))
    }

    /// Sum over batch and pixels, in parts: `[N, C, H, W]` → `[A, C, B]`.
    #[cfg_attr(feature = "fusion", fusion(default))]
    fn k_channel_sums_in_parts(x: FloatTensor<Self>) -> FloatTensor<Self> {
        composed::parts::in_parts::<Self>(Self::k_channel_sums(x))
    }

    /// The sums whose parts are given: for each of them a tensor `[A, G, B]` of numbers, and one, `like`, of
    /// G numbers, which gives the shape of the sums. Sum g is that of all numbers (a, g, b).
    ///
    /// A kernel may leave a sum over many elements in parts, one of each cube. Gradients of parameters are
    /// not needed before the end of the backward pass, so their parts can be added with few launches.
    #[cfg_attr(feature = "fusion", fusion(default))]
    fn k_sums_of_parts(
        #[extension_type] parts: Tensors<Self>,
        #[extension_type] like: Tensors<Self>,
    ) -> Tensors<Self> {
        composed::parts::sums_of_parts::<Self>(parts, like)
    }

    /// The same tensors. Their gradients may be sums in parts, of which each has three dimensions, as none
    /// of the tensors has.
    #[cfg_attr(feature = "fusion", fusion(default))]
    fn k_together(#[extension_type] tensors: Tensors<Self>) -> Tensors<Self> {
        tensors
    }

    /// Sum over batch and pixels: `[N, C, H, W]` → `[C]`.
    #[cfg_attr(feature = "fusion", fusion(default))]
    fn k_channel_sums(x: FloatTensor<Self>) -> FloatTensor<Self> {
        composed::channel_sums::<Self>(x)
    }

    /// x `[N, C, H, W]` · s `[N, C]`.
    #[cfg_attr(feature = "fusion", fusion(default))]
    fn k_scale_planes(x: FloatTensor<Self>, s: FloatTensor<Self>) -> FloatTensor<Self> {
        composed::scale_planes::<Self>(x, s)
    }

    /// Its gradients, given the one `g` with respect to its output.
    #[cfg_attr(feature = "fusion", fusion(default))]
    fn k_scale_planes_gradients(
        x: FloatTensor<Self>,
        s: FloatTensor<Self>,
        g: FloatTensor<Self>,
    ) -> ScalePlanesGradients<Self> {
        composed::scale_planes_gradients::<Self>(x, s, g)
    }

    /// t·s + x·u: x and t `[N, C, H, W]`, s and u `[N, C]`.
    #[cfg_attr(feature = "fusion", fusion(default))]
    fn k_scale_planes_tangent(
        x: FloatTensor<Self>,
        t: FloatTensor<Self>,
        s: FloatTensor<Self>,
        u: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        Self::float_add(Self::k_scale_planes(t, s), Self::k_scale_planes(x, u))
    }

    /// Its gradients, given the one `g` with respect to its output.
    #[cfg_attr(feature = "fusion", fusion(default))]
    fn k_scale_planes_tangent_gradients(
        x: FloatTensor<Self>,
        t: FloatTensor<Self>,
        s: FloatTensor<Self>,
        u: FloatTensor<Self>,
        g: FloatTensor<Self>,
    ) -> ScalePlanesTangentGradients<Self> {
        let of_t = Self::k_scale_planes_gradients(t, s, g.clone());
        let of_x = Self::k_scale_planes_gradients(x, u, g);
        ScalePlanesTangentGradients { x: of_x.x, t: of_t.x, s: of_t.s, u: of_x.s }
    }

    /// y = clamp(lrelu(x·scale + strength·noise + b)·gain): x `[N, C, H, W]`, scale `[N, C]`, noise
    /// `[N or 1, 1, H, W]`, strength `[1]`, b `[C]`.
    #[cfg_attr(feature = "fusion", fusion(default))]
    fn k_noise_act(
        x: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        noise: FloatTensor<Self>,
        strength: FloatTensor<Self>,
        b: FloatTensor<Self>,
        act: Activation,
    ) -> FloatTensor<Self> {
        composed::noise_act::<Self>(x, scale, noise, strength, b, act)
    }

    /// Its gradients, given its output `y` and the gradient `g` with respect to that. They need no x:
    /// neither the activation's slope nor a factor may be 0, so that y tells what x was.
    #[cfg_attr(feature = "fusion", fusion(default))]
    fn k_noise_act_gradients(
        y: FloatTensor<Self>,
        g: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        noise: FloatTensor<Self>,
        strength: FloatTensor<Self>,
        b: FloatTensor<Self>,
        act: Activation,
    ) -> NoiseActGradients<Self> {
        composed::noise_act_gradients::<Self>(y, g, [scale, noise, strength, b], act)
    }

    /// The same; the gradients of scale, strength and bias are sums in parts, and that of x is multiplied by
    /// `gain`, which f16 may need.
    #[cfg_attr(feature = "fusion", fusion(default))]
    fn k_noise_act_gradients_in_parts(
        y: FloatTensor<Self>,
        g: FloatTensor<Self>,
        #[extension_type] operands: NoiseOperands<Self>,
        act: Activation,
        gain: f32,
    ) -> NoiseActGradients<Self> {
        let NoiseOperands { scale, noise, strength, bias } = operands;
        let found = Self::k_noise_act_gradients(y, g, scale, noise, strength, bias, act);
        composed::parts::noise_act_gradients::<Self>(found, gain)
    }

    /// [`k_modulated_conv2d`](Self::k_modulated_conv2d), then [`k_noise_act`](Self::k_noise_act).
    #[cfg_attr(feature = "fusion", fusion(default))]
    fn k_modulated_noise_act(
        x: FloatTensor<Self>,
        s: FloatTensor<Self>,
        w: FloatTensor<Self>,
        #[extension_type] operands: NoiseOperands<Self>,
        conv: Conv,
        transposed: bool,
        act: Activation,
    ) -> FloatTensor<Self> {
        composed::modulated_noise_act::<Self>([x, s, w], operands, conv, transposed, act)
    }

    /// Σ over pixels of a·b: `[N, C, H, W]`² → `[N, C]`.
    #[cfg_attr(feature = "fusion", fusion(default))]
    fn k_plane_dots(a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self> {
        composed::plane_dots::<Self>(a, b)
    }

    /// x `[N, C, H, W]` with the standard deviation over each group of `group` images as an
    /// additional channel → `[N, C+1, H, W]`.
    #[cfg_attr(feature = "fusion", fusion(default))]
    fn k_minibatch_std(x: FloatTensor<Self>, group: usize) -> FloatTensor<Self> {
        composed::minibatch_std::<Self>(x, group)
    }

    /// Its gradient, given the one `g` with respect to its output.
    #[cfg_attr(feature = "fusion", fusion(default))]
    fn k_minibatch_std_gradient(
        x: FloatTensor<Self>,
        g: FloatTensor<Self>,
        group: usize,
    ) -> FloatTensor<Self> {
        composed::minibatch_std_gradient::<Self>(x, g, group)
    }

    /// Group normalisation, scale, shift and activation: x `[N, C, H, W]`, weight, bias `[C]`.
    #[cfg_attr(feature = "fusion", fusion(default))]
    fn k_group_norm_trace(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        groups: Groups,
    ) -> GroupNormTrace<Self> {
        composed::group_norm::trace::<Self>(x, weight, bias, groups)
    }

    /// Its gradients, given the one `g` with respect to its output y (both `[N, C, H, W]`).
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

    /// An LSTM from a state of zeros: gates `[T, N, 4H]` (the inputs' contribution), w `[4H, H]`. Where a
    /// sequence has no token, its state stays the same.
    #[cfg_attr(feature = "fusion", fusion(default))]
    fn k_lstm_trace(
        gates: FloatTensor<Self>,
        w: FloatTensor<Self>,
        sequences: Sequences,
    ) -> LstmTrace<Self> {
        composed::lstm::trace::<Self>(gates, w, &sequences)
    }

    /// Its gradients, given the one `g` `[T, N, H]` with respect to the states.
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

    /// The states of [`k_lstm_trace`](Self::k_lstm_trace) alone `[T, N, H]`, differentiable.
    #[cfg_attr(feature = "fusion", fusion(default))]
    fn k_lstm(
        gates: FloatTensor<Self>,
        w: FloatTensor<Self>,
        sequences: Sequences,
    ) -> FloatTensor<Self> {
        Self::k_lstm_trace(gates, w, sequences).states
    }

    /// One step of Adam on the tensors `[P]` of parameters; not differentiable. There is at least one.
    #[cfg_attr(feature = "fusion", fusion(default))]
    fn k_adam(
        #[extension_type] values: Tensors<Self>,
        #[extension_type] m: Tensors<Self>,
        #[extension_type] v: Tensors<Self>,
        #[extension_type] g: Tensors<Self>,
        step: AdamStep,
    ) -> AdamOutput<Self> {
        composed::adam::<Self>([values.0, m.0, v.0, g.0], step)
    }

    /// b + (a − b)·share for each of the pairs of tensors a and b; not differentiable. There is at
    /// least one.
    #[cfg_attr(feature = "fusion", fusion(default))]
    fn k_blend(
        #[extension_type] a: Tensors<Self>,
        #[extension_type] b: Tensors<Self>,
        share: f32,
    ) -> Tensors<Self> {
        composed::blend::<Self>(a, b, share)
    }

    /// a + b for each of the pairs of tensors a and b; not differentiable. There is at least one.
    #[cfg_attr(feature = "fusion", fusion(default))]
    fn k_sums(
        #[extension_type] a: Tensors<Self>,
        #[extension_type] b: Tensors<Self>,
    ) -> Tensors<Self> {
        composed::sums::<Self>(a, b)
    }
}
