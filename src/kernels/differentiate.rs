//! First-order gradients of the kernels, for any backend under Burn's autodiff.
//!
//! This file runs the forward pass of each operation and keeps what its step in the backward pass
//! needs. The steps are in the submodules.

mod convolution;
mod joint;
mod layers;
mod many;
mod pointwise;
mod resampling;
mod step;

use burn::backend::autodiff::{
    Autodiff,
    checkpoint::strategy::CheckpointStrategy,
    ops::{Backward, OpsKind},
};
use burn::backend::tensor::FloatTensor;
use burn::backend::{AutodiffBackend, TensorMetadata};
use burn::tensor::Shape;

use self::convolution::*;
use self::layers::*;
use self::pointwise::*;
use self::resampling::*;
use super::backend::Kernels;
use super::outputs::{Demodulation, GroupNormTrace, LstmTrace, NoiseOperands, Tensors};
use super::spec::{Activation, Affine, Conv, Fir, Groups, LinearLayers, Sequences, Warp};
use crate::draws::Sequence;

/// The adjoint of a filter of planes of this shape, if there is one.
fn adjoint_of(fir: &Option<Fir>, shape: &Shape) -> Option<Fir> {
    let [_, _, h, w] = shape.dims::<4>();
    fir.as_ref().map(|fir| fir.adjoint([h, w]))
}

impl<B: Kernels, C: CheckpointStrategy> Kernels for Autodiff<B, C> {
    fn k_lstm(
        gates: FloatTensor<Self>,
        w: FloatTensor<Self>,
        sequences: Sequences,
    ) -> FloatTensor<Self> {
        match LstmStep.prepare::<C>([gates.node(), w.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let w = w.into_primitive();
                let LstmTrace { states, cells, gates } =
                    B::k_lstm_trace(gates.into_primitive(), w.clone(), sequences.clone());
                prep.finish(([states.clone(), cells, gates], w, sequences), states)
            }
            OpsKind::UnTracked(prep) => {
                prep.finish(B::k_lstm(gates.into_primitive(), w.into_primitive(), sequences))
            }
        }
    }

    fn k_minibatch_std(x: FloatTensor<Self>, group: usize) -> FloatTensor<Self> {
        match MinibatchStdStep.prepare::<C>([x.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let x = x.into_primitive();
                prep.finish((x.clone(), group), B::k_minibatch_std(x, group))
            }
            OpsKind::UnTracked(prep) => prep.finish(B::k_minibatch_std(x.into_primitive(), group)),
        }
    }

    fn k_group_norm(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        groups: Groups,
    ) -> FloatTensor<Self> {
        let nodes = [x.node(), weight.node(), bias.node()];
        let step = GroupNormStep.prepare::<C>(nodes).compute_bound().stateful();
        let [x, weight, bias] = [x, weight, bias].map(|t| t.into_primitive());
        match step {
            OpsKind::Tracked(prep) => {
                let GroupNormTrace { y, moments } =
                    B::k_group_norm_trace(x.clone(), weight.clone(), bias, groups);
                prep.finish(([x, weight, y.clone(), moments], groups), y)
            }
            OpsKind::UnTracked(prep) => prep.finish(B::k_group_norm(x, weight, bias, groups)),
        }
    }

    fn k_conv2d(x: FloatTensor<Self>, w: FloatTensor<Self>, conv: Conv) -> FloatTensor<Self> {
        let keep = (w.is_tracked(), x.is_tracked());
        match Conv2dStep.prepare::<C>([x.node(), w.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let (x, w) = (x.into_primitive(), w.into_primitive());
                let state = (keep.0.then(|| x.clone()), keep.1.then(|| w.clone()), conv);
                prep.finish(state, B::k_conv2d(x, w, conv))
            }
            OpsKind::UnTracked(prep) => {
                prep.finish(B::k_conv2d(x.into_primitive(), w.into_primitive(), conv))
            }
        }
    }

    fn k_conv2d_act(
        x: FloatTensor<Self>,
        w: FloatTensor<Self>,
        b: FloatTensor<Self>,
        conv: Conv,
        act: Activation,
    ) -> FloatTensor<Self> {
        let keep = (w.is_tracked(), x.is_tracked());
        let nodes = [x.node(), w.node(), b.node()];
        let step = Conv2dActStep.prepare::<C>(nodes).compute_bound().stateful();
        let [x, w, b] = [x, w, b].map(|t| t.into_primitive());
        match step {
            OpsKind::Tracked(prep) => {
                let pair = (keep.0.then(|| x.clone()), keep.1.then(|| w.clone()), conv);
                let y = B::k_conv2d_act(x, w, b, conv, act);
                prep.finish((pair, y.clone(), act), y)
            }
            OpsKind::UnTracked(prep) => prep.finish(B::k_conv2d_act(x, w, b, conv, act)),
        }
    }

    fn k_conv2d_act_beside(
        x: FloatTensor<Self>,
        w: FloatTensor<Self>,
        b: FloatTensor<Self>,
        conv: Conv,
        act: Activation,
        fir: Fir,
    ) -> Tensors<Self> {
        many::conv2d_act_beside([x, w, b], conv, act, fir)
    }

    fn k_conv2d_add(
        x: FloatTensor<Self>,
        w: FloatTensor<Self>,
        other: FloatTensor<Self>,
        conv: Conv,
        resample: Option<Fir>,
    ) -> FloatTensor<Self> {
        let keep = (w.is_tracked(), x.is_tracked());
        let nodes = [x.node(), w.node(), other.node()];
        let step = Conv2dAddStep.prepare::<C>(nodes).compute_bound().stateful();
        let [x, w, other] = [x, w, other].map(|t| t.into_primitive());
        match step {
            OpsKind::Tracked(prep) => {
                let pair = (keep.0.then(|| x.clone()), keep.1.then(|| w.clone()), conv);
                let adjoint = adjoint_of(&resample, &other.shape());
                let state = (pair, adjoint, x.dtype());
                prep.finish(state, B::k_conv2d_add(x, w, other, conv, resample))
            }
            OpsKind::UnTracked(prep) => prep.finish(B::k_conv2d_add(x, w, other, conv, resample)),
        }
    }

    fn k_modulated_conv2d_add(
        x: FloatTensor<Self>,
        s: FloatTensor<Self>,
        w: FloatTensor<Self>,
        b: FloatTensor<Self>,
        other: FloatTensor<Self>,
        conv: Conv,
        resample: Option<Fir>,
    ) -> FloatTensor<Self> {
        let [of_x, of_s, of_w] = [x.is_tracked(), s.is_tracked(), w.is_tracked()];
        let nodes = [x.node(), s.node(), w.node(), b.node(), other.node()];
        let step = ModulatedConv2dAddStep.prepare::<C>(nodes).compute_bound().stateful();
        let [x, s, w, b, other] = [x, s, w, b, other].map(|t| t.into_primitive());
        match step {
            OpsKind::Tracked(prep) => {
                let keep_x = (of_s || of_w).then(|| x.clone());
                let keep_w = (of_x || of_s).then(|| w.clone());
                let adjoint = adjoint_of(&resample, &other.shape());
                let state = ((keep_x, s.clone(), keep_w, conv, false), adjoint, x.dtype());
                prep.finish(state, B::k_modulated_conv2d_add(x, s, w, b, other, conv, resample))
            }
            OpsKind::UnTracked(prep) => {
                prep.finish(B::k_modulated_conv2d_add(x, s, w, b, other, conv, resample))
            }
        }
    }

    fn k_linear(
        x: FloatTensor<Self>,
        w: FloatTensor<Self>,
        b: FloatTensor<Self>,
        affine: Affine,
    ) -> FloatTensor<Self> {
        let keep = (w.is_tracked(), x.is_tracked());
        let nodes = [x.node(), w.node(), b.node()];
        let step = LinearStep.prepare::<C>(nodes).compute_bound().stateful();
        let [x, w, b] = [x, w, b].map(|t| t.into_primitive());
        match step {
            OpsKind::Tracked(prep) => {
                let pair = (keep.0.then(|| x.clone()), keep.1.then(|| w.clone()));
                let y = B::k_linear(x, w, b, affine);
                prep.finish((pair, y.clone(), affine), y)
            }
            OpsKind::UnTracked(prep) => prep.finish(B::k_linear(x, w, b, affine)),
        }
    }

    fn k_product(x: FloatTensor<Self>, w: FloatTensor<Self>, gain: f32) -> FloatTensor<Self> {
        let keep = (w.is_tracked(), x.is_tracked());
        let step = ProductStep.prepare::<C>([x.node(), w.node()]).compute_bound().stateful();
        let [x, w] = [x, w].map(|t| t.into_primitive());
        match step {
            OpsKind::Tracked(prep) => {
                let pair = (keep.0.then(|| x.clone()), keep.1.then(|| w.clone()));
                prep.finish((pair, gain), B::k_product(x, w, gain))
            }
            OpsKind::UnTracked(prep) => prep.finish(B::k_product(x, w, gain)),
        }
    }

    fn k_linear_layers(
        x: FloatTensor<Self>,
        w: Tensors<Self>,
        b: Tensors<Self>,
        layers: LinearLayers,
    ) -> Tensors<Self> {
        many::linear_layers(x, w, b, layers)
    }

    fn k_demodulation(w: Tensors<Self>, s: Tensors<Self>, t: Tensors<Self>) -> Demodulation<Self> {
        many::demodulation(w, s, t)
    }

    fn k_normals(
        out: FloatTensor<Self>,
        sequence: Sequence,
        first: usize,
        std: f32,
    ) -> FloatTensor<Self> {
        <Self as AutodiffBackend>::from_inner(B::k_normals(
            out.into_primitive(),
            sequence,
            first,
            std,
        ))
    }

    fn k_softplus(x: FloatTensor<Self>) -> FloatTensor<Self> {
        match SoftplusStep.prepare::<C>([x.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let x = x.into_primitive();
                prep.finish(x.clone(), B::k_softplus(x))
            }
            OpsKind::UnTracked(prep) => prep.finish(B::k_softplus(x.into_primitive())),
        }
    }

    fn k_mean_softplus(x: FloatTensor<Self>, negative: bool) -> FloatTensor<Self> {
        match MeanSoftplusStep.prepare::<C>([x.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let x = x.into_primitive();
                prep.finish((x.clone(), negative), B::k_mean_softplus(x, negative))
            }
            OpsKind::UnTracked(prep) => {
                prep.finish(B::k_mean_softplus(x.into_primitive(), negative))
            }
        }
    }

    fn k_conv2d_transposed(
        x: FloatTensor<Self>,
        w: FloatTensor<Self>,
        conv: Conv,
    ) -> FloatTensor<Self> {
        let keep = (w.is_tracked(), x.is_tracked());
        match Conv2dTransposedStep.prepare::<C>([x.node(), w.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let (x, w) = (x.into_primitive(), w.into_primitive());
                let state = (keep.0.then(|| x.clone()), keep.1.then(|| w.clone()), conv);
                prep.finish(state, B::k_conv2d_transposed(x, w, conv))
            }
            OpsKind::UnTracked(prep) => {
                prep.finish(B::k_conv2d_transposed(x.into_primitive(), w.into_primitive(), conv))
            }
        }
    }

    fn k_upfirdn2d(x: FloatTensor<Self>, fir: Fir) -> FloatTensor<Self> {
        match UpFirDnStep.prepare::<C>([x.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let [_, _, h, w] = x.shape().dims::<4>();
                let adjoint = fir.adjoint([h, w]);
                prep.finish(adjoint, B::k_upfirdn2d(x.into_primitive(), fir))
            }
            OpsKind::UnTracked(prep) => prep.finish(B::k_upfirdn2d(x.into_primitive(), fir)),
        }
    }

    fn k_warp(x: FloatTensor<Self>, warp: Warp) -> FloatTensor<Self> {
        match WarpStep.prepare::<C>([x.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                prep.finish(warp.clone(), B::k_warp(x.into_primitive(), warp))
            }
            OpsKind::UnTracked(prep) => prep.finish(B::k_warp(x.into_primitive(), warp)),
        }
    }

    fn k_warp_adjoint(g: FloatTensor<Self>, warp: Warp) -> FloatTensor<Self> {
        match WarpAdjointStep.prepare::<C>([g.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                prep.finish(warp.clone(), B::k_warp_adjoint(g.into_primitive(), warp))
            }
            OpsKind::UnTracked(prep) => prep.finish(B::k_warp_adjoint(g.into_primitive(), warp)),
        }
    }

    fn k_bias_act(
        x: FloatTensor<Self>,
        b: FloatTensor<Self>,
        act: Activation,
    ) -> FloatTensor<Self> {
        match BiasActStep.prepare::<C>([x.node(), b.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let y = B::k_bias_act(x.into_primitive(), b.into_primitive(), act);
                prep.finish((y.clone(), act), y)
            }
            OpsKind::UnTracked(prep) => {
                prep.finish(B::k_bias_act(x.into_primitive(), b.into_primitive(), act))
            }
        }
    }

    fn k_act_slope(
        g: FloatTensor<Self>,
        y: FloatTensor<Self>,
        act: Activation,
    ) -> FloatTensor<Self> {
        // The slope is piecewise constant in y, so y has no gradient.
        let y = y.into_primitive();
        match ActSlopeStep.prepare::<C>([g.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                prep.finish((y.clone(), act), B::k_act_slope(g.into_primitive(), y, act))
            }
            OpsKind::UnTracked(prep) => prep.finish(B::k_act_slope(g.into_primitive(), y, act)),
        }
    }

    fn k_scale_planes(x: FloatTensor<Self>, s: FloatTensor<Self>) -> FloatTensor<Self> {
        let keep = (s.is_tracked(), x.is_tracked());
        match ScalePlanesStep.prepare::<C>([x.node(), s.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let (x, s) = (x.into_primitive(), s.into_primitive());
                let state = (keep.0.then(|| x.clone()), keep.1.then(|| s.clone()));
                prep.finish(state, B::k_scale_planes(x, s))
            }
            OpsKind::UnTracked(prep) => {
                prep.finish(B::k_scale_planes(x.into_primitive(), s.into_primitive()))
            }
        }
    }

    fn k_scale_planes_tangent(
        x: FloatTensor<Self>,
        t: FloatTensor<Self>,
        s: FloatTensor<Self>,
        u: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let nodes = [x.node(), t.node(), s.node(), u.node()];
        let step = ScalePlanesTangentStep.prepare::<C>(nodes).compute_bound().stateful();
        let [x, t, s, u] = [x, t, s, u].map(|t| t.into_primitive());
        match step {
            OpsKind::Tracked(prep) => {
                let state = [&x, &t, &s, &u].map(|t| t.clone());
                prep.finish(state, B::k_scale_planes_tangent(x, t, s, u))
            }
            OpsKind::UnTracked(prep) => prep.finish(B::k_scale_planes_tangent(x, t, s, u)),
        }
    }

    fn k_modulated_conv2d(
        x: FloatTensor<Self>,
        s: FloatTensor<Self>,
        w: FloatTensor<Self>,
        conv: Conv,
        transposed: bool,
    ) -> FloatTensor<Self> {
        let [of_x, of_s, of_w] = [x.is_tracked(), s.is_tracked(), w.is_tracked()];
        let nodes = [x.node(), s.node(), w.node()];
        let step = ModulatedConv2dStep.prepare::<C>(nodes).compute_bound().stateful();
        let [x, s, w] = [x, s, w].map(|t| t.into_primitive());
        match step {
            OpsKind::Tracked(prep) => {
                let keep_x = (of_s || of_w).then(|| x.clone());
                let keep_w = (of_x || of_s).then(|| w.clone());
                let y = B::k_modulated_conv2d(x, s.clone(), w, conv, transposed);
                prep.finish((keep_x, s, keep_w, conv, transposed), y)
            }
            OpsKind::UnTracked(prep) => {
                prep.finish(B::k_modulated_conv2d(x, s, w, conv, transposed))
            }
        }
    }

    fn k_modulated_noise_act(
        x: FloatTensor<Self>,
        s: FloatTensor<Self>,
        w: FloatTensor<Self>,
        operands: NoiseOperands<Self>,
        conv: Conv,
        transposed: bool,
        act: Activation,
    ) -> FloatTensor<Self> {
        let [of_x, of_s, of_w] = [x.is_tracked(), s.is_tracked(), w.is_tracked()];
        let NoiseOperands { scale, noise, strength, bias } = operands;
        let nodes = [&x, &s, &w, &scale, &noise, &strength, &bias].map(|t| t.node());
        let step = ModulatedNoiseActStep.prepare::<C>(nodes).compute_bound().stateful();
        let [x, s, w] = [x, s, w].map(|t| t.into_primitive());
        let kept = [scale, noise, strength, bias].map(|t| t.into_primitive());
        let [scale, noise, strength, bias] = kept.clone();
        let operands = NoiseOperands { scale, noise, strength, bias };
        match step {
            OpsKind::Tracked(prep) => {
                let keep_x = (of_s || of_w).then(|| x.clone());
                let keep_w = (of_x || of_s).then(|| w.clone());
                let modulated = (keep_x, s.clone(), keep_w, conv, transposed);
                let y = B::k_modulated_noise_act(x, s, w, operands, conv, transposed, act);
                prep.finish((modulated, (y.clone(), kept, act)), y)
            }
            OpsKind::UnTracked(prep) => {
                prep.finish(B::k_modulated_noise_act(x, s, w, operands, conv, transposed, act))
            }
        }
    }

    fn k_together(tensors: Tensors<Self>) -> Tensors<Self> {
        many::together(tensors)
    }

    fn k_noise_act(
        x: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        noise: FloatTensor<Self>,
        strength: FloatTensor<Self>,
        b: FloatTensor<Self>,
        act: Activation,
    ) -> FloatTensor<Self> {
        let nodes = [x.node(), scale.node(), noise.node(), strength.node(), b.node()];
        let step = NoiseActStep.prepare::<C>(nodes).compute_bound().stateful();
        let [x, scale, noise, strength, b] =
            [x, scale, noise, strength, b].map(|t| t.into_primitive());
        match step {
            OpsKind::Tracked(prep) => {
                let parameters = [scale.clone(), noise.clone(), strength.clone(), b.clone()];
                let y = B::k_noise_act(x, scale, noise, strength, b, act);
                prep.finish((y.clone(), parameters, act), y)
            }
            OpsKind::UnTracked(prep) => {
                prep.finish(B::k_noise_act(x, scale, noise, strength, b, act))
            }
        }
    }
}
