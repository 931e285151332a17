//! First-order gradients of the kernels, for any backend under Burn's autodiff.

use burn::backend::TensorMetadata;
use burn::backend::autodiff::{
    Autodiff, NodeId,
    checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
    grads::Gradients,
    ops::{Backward, Ops, OpsKind},
};
use burn::backend::tensor::FloatTensor;
use burn::tensor::Shape;

use super::backend::Kernels;
use super::outputs::{DemodulationTrace, GroupNormTrace, LstmTrace};
use super::spec::{Activation, Affine, Conv, Fir, Groups, Sequences, Warp};

#[derive(Debug)]
struct Conv2dStep;

/// The operands x and w, each kept only if the other one needs a gradient.
type Pair<B> = (Option<FloatTensor<B>>, Option<FloatTensor<B>>, Conv);

impl<B: Kernels> Backward<B, 2> for Conv2dStep {
    type State = Pair<B>;

    fn backward(
        self,
        ops: Ops<Self::State, 2>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let nodes = ops.parents.map(|node| node.map(|node| node.id));
        let g = grads.consume::<B>(&ops.node);
        conv2d_backward::<B>(nodes, ops.state, g, grads);
    }
}

#[derive(Debug)]
struct Conv2dTransposedStep;

impl<B: Kernels> Backward<B, 2> for Conv2dTransposedStep {
    type State = Pair<B>;

    fn backward(
        self,
        ops: Ops<Self::State, 2>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let [node_x, node_w] = ops.parents;
        let g = grads.consume::<B>(&ops.node);
        let (x, w, conv) = ops.state;
        if let (Some(node), Some(w)) = (node_x, w) {
            grads.register::<B>(node.id, B::k_conv2d(g.clone(), w, conv));
        }
        if let (Some(node), Some(x)) = (node_w, x) {
            // The roles are swapped: x is on the side of the convolution's output.
            grads.register::<B>(node.id, B::k_conv2d_weight_gradient(g, x, conv));
        }
    }
}

#[derive(Debug)]
struct Conv2dAddStep;

impl<B: Kernels> Backward<B, 3> for Conv2dAddStep {
    type State = Pair<B>;

    fn backward(
        self,
        ops: Ops<Self::State, 3>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let [node_x, node_w, node_other] = ops.parents.map(|node| node.map(|node| node.id));
        let g = grads.consume::<B>(&ops.node);
        conv2d_backward::<B>([node_x, node_w], ops.state, g.clone(), grads);
        if let Some(node) = node_other {
            grads.register::<B>(node, g);
        }
    }
}

/// Registers the gradients of a convolution's operands where they are tracked.
fn conv2d_backward<B: Kernels>(
    [node_x, node_w]: [Option<NodeId>; 2],
    (x, w, conv): Pair<B>,
    g: FloatTensor<B>,
    grads: &mut Gradients,
) {
    if let (Some(node), Some(w)) = (node_x, w) {
        grads.register::<B>(node, B::k_conv2d_transposed(g.clone(), w, conv));
    }
    if let (Some(node), Some(x)) = (node_w, x) {
        grads.register::<B>(node, B::k_conv2d_weight_gradient(x, g, conv));
    }
}

#[derive(Debug)]
struct Conv2dActStep;

impl<B: Kernels> Backward<B, 3> for Conv2dActStep {
    /// The operands, each kept only if the other one needs a gradient; the output.
    type State = (Pair<B>, FloatTensor<B>, Activation);

    fn backward(
        self,
        ops: Ops<Self::State, 3>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let [node_x, node_w, node_b] = ops.parents.map(|node| node.map(|node| node.id));
        let g = grads.consume::<B>(&ops.node);
        let (pair, y, act) = ops.state;
        let g = bias_act_backward::<B>(node_b, g, y, act, 1.0, grads);
        conv2d_backward::<B>([node_x, node_w], pair, g, grads);
    }
}

/// Registers the gradient of a bias that was multiplied by `gain`, if it is tracked. Returns the
/// gradient with respect to the argument of the activation, given the one `g` with respect to its
/// output y.
fn bias_act_backward<B: Kernels>(
    node: Option<NodeId>,
    g: FloatTensor<B>,
    y: FloatTensor<B>,
    act: Activation,
    gain: f32,
    grads: &mut Gradients,
) -> FloatTensor<B> {
    let Some(node) = node else {
        return if act.is_identity() { g } else { B::k_act_slope(g, y, act) };
    };
    let found = B::k_bias_act_gradients(g, y, act);
    let bias = match gain {
        1.0 => found.bias,
        gain => B::float_mul_scalar(found.bias, gain.into()),
    };
    grads.register::<B>(node, bias);
    found.x
}

#[derive(Debug)]
struct ProductStep;

impl<B: Kernels> Backward<B, 2> for ProductStep {
    /// The operands, each kept only if the other one needs a gradient; the factor.
    type State = (Option<FloatTensor<B>>, Option<FloatTensor<B>>, f32);

    fn backward(
        self,
        ops: Ops<Self::State, 2>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let nodes = ops.parents.map(|node| node.map(|node| node.id));
        let g = grads.consume::<B>(&ops.node);
        let (x, w, gain) = ops.state;
        product_backward::<B>(nodes, (x, w), gain, g, grads);
    }
}

/// Registers the gradients of x and w in x·Wᵀ·gain where they are tracked.
fn product_backward<B: Kernels>(
    [node_x, node_w]: [Option<NodeId>; 2],
    (x, w): (Option<FloatTensor<B>>, Option<FloatTensor<B>>),
    gain: f32,
    g: FloatTensor<B>,
    grads: &mut Gradients,
) {
    if let (Some(node), Some(w)) = (node_x, w) {
        grads.register::<B>(node, B::k_product_back(g.clone(), w, gain));
    }
    if let (Some(node), Some(x)) = (node_w, x) {
        grads.register::<B>(node, B::k_product_weight_gradient(g, x, gain));
    }
}

#[derive(Debug)]
struct LinearStep;

impl<B: Kernels> Backward<B, 3> for LinearStep {
    /// The operands, each kept only if the other one needs a gradient; the output.
    type State = (Option<FloatTensor<B>>, Option<FloatTensor<B>>, FloatTensor<B>, Affine);

    fn backward(
        self,
        ops: Ops<Self::State, 3>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let [node_x, node_w, node_b] = ops.parents.map(|node| node.map(|node| node.id));
        let g = grads.consume::<B>(&ops.node);
        let (x, w, y, affine) = ops.state;
        let shape = g.shape();
        let [n, o] = shape.dims::<2>();
        let planes = |t| B::float_reshape(t, Shape::from([n, o, 1, 1]));
        let Affine { gain, bias_gain, act } = affine;
        let g = bias_act_backward::<B>(node_b, planes(g), planes(y), act, bias_gain, grads);
        let g = B::float_reshape(g, shape);
        product_backward::<B>([node_x, node_w], (x, w), gain, g, grads);
    }
}

#[derive(Debug)]
struct DemodulationStep;

impl<B: Kernels> Backward<B, 2> for DemodulationStep {
    /// Weight, styles, factors, energy.
    type State = [FloatTensor<B>; 4];

    fn backward(
        self,
        ops: Ops<Self::State, 2>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let [node_w, node_s] = ops.parents;
        let g = grads.consume::<B>(&ops.node);
        let [w, s, y, energy] = ops.state;
        let found = B::k_demodulation_gradients(w, s, y, energy, g);
        for (node, gradient) in [(node_w, found.w), (node_s, found.s)] {
            if let Some(node) = node {
                grads.register::<B>(node.id, gradient);
            }
        }
    }
}

#[derive(Debug)]
struct DemodulationTangentStep;

impl<B: Kernels> Backward<B, 4> for DemodulationTangentStep {
    /// Weight, styles, factors, tangent of the styles.
    type State = [FloatTensor<B>; 4];

    fn backward(
        self,
        ops: Ops<Self::State, 4>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let [node_w, node_s, node_y, node_t] = ops.parents;
        let g = grads.consume::<B>(&ops.node);
        let [w, s, y, t] = ops.state;
        let found = B::k_demodulation_tangent_gradients(w, s, y, t, g);
        let gradients =
            [(node_w, found.w), (node_s, found.s), (node_y, found.y), (node_t, found.t)];
        for (node, gradient) in gradients {
            if let Some(node) = node {
                grads.register::<B>(node.id, gradient);
            }
        }
    }
}

#[derive(Debug)]
struct SoftplusStep;

impl<B: Kernels> Backward<B, 1> for SoftplusStep {
    type State = FloatTensor<B>;

    fn backward(
        self,
        ops: Ops<Self::State, 1>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let [node] = ops.parents;
        let g = grads.consume::<B>(&ops.node);
        if let Some(node) = node {
            grads.register::<B>(node.id, B::k_softplus_gradient(ops.state, g));
        }
    }
}

#[derive(Debug)]
struct UpFirDnStep;

impl<B: Kernels> Backward<B, 1> for UpFirDnStep {
    type State = Fir;

    fn backward(
        self,
        ops: Ops<Self::State, 1>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let [node] = ops.parents;
        let g = grads.consume::<B>(&ops.node);
        if let Some(node) = node {
            grads.register::<B>(node.id, B::k_upfirdn2d(g, ops.state));
        }
    }
}

#[derive(Debug)]
struct WarpStep;

impl<B: Kernels> Backward<B, 1> for WarpStep {
    type State = Warp;

    fn backward(
        self,
        ops: Ops<Self::State, 1>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let [node] = ops.parents;
        let g = grads.consume::<B>(&ops.node);
        if let Some(node) = node {
            grads.register::<B>(node.id, B::k_warp_adjoint(g, ops.state));
        }
    }
}

#[derive(Debug)]
struct WarpAdjointStep;

impl<B: Kernels> Backward<B, 1> for WarpAdjointStep {
    type State = Warp;

    fn backward(
        self,
        ops: Ops<Self::State, 1>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let [node] = ops.parents;
        let g = grads.consume::<B>(&ops.node);
        if let Some(node) = node {
            grads.register::<B>(node.id, B::k_warp(g, ops.state));
        }
    }
}

#[derive(Debug)]
struct BiasActStep;

impl<B: Kernels> Backward<B, 2> for BiasActStep {
    type State = (FloatTensor<B>, Activation);

    fn backward(
        self,
        ops: Ops<Self::State, 2>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let [node_x, node_b] = ops.parents;
        let g = grads.consume::<B>(&ops.node);
        let (y, act) = ops.state;
        let g = bias_act_backward::<B>(node_b.map(|node| node.id), g, y, act, 1.0, grads);
        if let Some(node) = node_x {
            grads.register::<B>(node.id, g);
        }
    }
}

#[derive(Debug)]
struct ActSlopeStep;

impl<B: Kernels> Backward<B, 1> for ActSlopeStep {
    type State = (FloatTensor<B>, Activation);

    fn backward(
        self,
        ops: Ops<Self::State, 1>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let [node] = ops.parents;
        let g = grads.consume::<B>(&ops.node);
        let (y, act) = ops.state;
        if let Some(node) = node {
            grads.register::<B>(node.id, B::k_act_slope(g, y, act));
        }
    }
}

#[derive(Debug)]
struct ScalePlanesStep;

impl<B: Kernels> Backward<B, 2> for ScalePlanesStep {
    type State = (Option<FloatTensor<B>>, Option<FloatTensor<B>>);

    fn backward(
        self,
        ops: Ops<Self::State, 2>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let nodes = ops.parents.map(|node| node.map(|node| node.id));
        let g = grads.consume::<B>(&ops.node);
        scale_planes_backward::<B>(nodes, ops.state, g, grads);
    }
}

/// Registers the gradients of planes x and of their factors s where they are tracked. That of s
/// takes x, and that of x takes s.
fn scale_planes_backward<B: Kernels>(
    [node_x, node_s]: [Option<NodeId>; 2],
    (x, s): (Option<FloatTensor<B>>, Option<FloatTensor<B>>),
    g: FloatTensor<B>,
    grads: &mut Gradients,
) {
    match (node_x.zip(s), node_s.zip(x)) {
        (Some((node_x, s)), Some((node_s, x))) => {
            let found = B::k_scale_planes_gradients(x, s, g);
            grads.register::<B>(node_x, found.x);
            grads.register::<B>(node_s, found.s);
        }
        (Some((node, s)), None) => grads.register::<B>(node, B::k_scale_planes(g, s)),
        (None, Some((node, x))) => grads.register::<B>(node, B::k_plane_dots(g, x)),
        (None, None) => {}
    }
}

#[derive(Debug)]
struct ModulatedConv2dStep;

/// x (for the gradients of s and w), s, w (for those of x and s).
type Modulated<B> = (Option<FloatTensor<B>>, FloatTensor<B>, Option<FloatTensor<B>>, Conv, bool);

impl<B: Kernels> Backward<B, 3> for ModulatedConv2dStep {
    type State = Modulated<B>;

    fn backward(
        self,
        ops: Ops<Self::State, 3>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let nodes = ops.parents.map(|node| node.map(|node| node.id));
        let g = grads.consume::<B>(&ops.node);
        modulated_backward::<B>(nodes, ops.state, g, grads);
    }
}

/// Registers the gradients of a modulated convolution's operands where they are tracked.
fn modulated_backward<B: Kernels>(
    [node_x, node_s, node_w]: [Option<NodeId>; 3],
    (x, s, w, conv, transposed): Modulated<B>,
    g: FloatTensor<B>,
    grads: &mut Gradients,
) {
    if let (Some(node), Some(x)) = (node_w, x.clone()) {
        let gradient = B::k_modulated_weight_gradient(x, s.clone(), g.clone(), conv, transposed);
        grads.register::<B>(node, gradient);
    }
    if let Some(w) = w {
        let adjoint =
            if transposed { B::k_conv2d(g, w, conv) } else { B::k_conv2d_transposed(g, w, conv) };
        scale_planes_backward::<B>([node_x, node_s], (x, Some(s)), adjoint, grads);
    }
}

#[derive(Debug)]
struct ModulatedConv2dAddStep;

impl<B: Kernels> Backward<B, 5> for ModulatedConv2dAddStep {
    type State = Modulated<B>;

    fn backward(
        self,
        ops: Ops<Self::State, 5>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let [x, s, w, b, other] = ops.parents.map(|node| node.map(|node| node.id));
        let g = grads.consume::<B>(&ops.node);
        if let Some(node) = b {
            grads.register::<B>(node, B::k_channel_sums(g.clone()));
        }
        modulated_backward::<B>([x, s, w], ops.state, g.clone(), grads);
        if let Some(node) = other {
            grads.register::<B>(node, g);
        }
    }
}

#[derive(Debug)]
struct NoiseActStep;

impl<B: Kernels> Backward<B, 5> for NoiseActStep {
    /// The output; the factors, the noise, its strength, the bias.
    type State = (FloatTensor<B>, [FloatTensor<B>; 4], Activation);

    fn backward(
        self,
        ops: Ops<Self::State, 5>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let [node_x, node_scale, node_noise, node_strength, node_b] = ops.parents;
        let g = grads.consume::<B>(&ops.node);
        let (y, [scale, noise, strength, b], act) = ops.state;
        let found =
            B::k_noise_act_gradients(y, g, scale.clone(), noise.clone(), strength.clone(), b, act);
        if let Some(node) = node_noise {
            // Training never asks for it, so it may take more passes than a kernel would.
            let h = B::k_scale_planes(found.x.clone(), B::float_recip(scale));
            let sum = B::float_sum_dim(h, 1);
            let shared = noise.shape().dims::<4>()[0] == 1;
            let sum = if shared { B::float_sum_dim(sum, 0) } else { sum };
            let strength = B::float_reshape(strength, Shape::from([1, 1, 1, 1]));
            grads.register::<B>(node.id, B::float_mul(sum, strength));
        }
        let gradients = [
            (node_x, found.x),
            (node_scale, found.scale),
            (node_strength, found.strength),
            (node_b, found.bias),
        ];
        for (node, gradient) in gradients {
            if let Some(node) = node {
                grads.register::<B>(node.id, gradient);
            }
        }
    }
}

#[derive(Debug)]
struct MinibatchStdStep;

impl<B: Kernels> Backward<B, 1> for MinibatchStdStep {
    type State = (FloatTensor<B>, usize);

    fn backward(
        self,
        ops: Ops<Self::State, 1>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let [node] = ops.parents;
        let g = grads.consume::<B>(&ops.node);
        let (x, group) = ops.state;
        if let Some(node) = node {
            grads.register::<B>(node.id, B::k_minibatch_std_gradient(x, g, group));
        }
    }
}

#[derive(Debug)]
struct GroupNormStep;

impl<B: Kernels> Backward<B, 3> for GroupNormStep {
    /// Input, weight, output, moments.
    type State = ([FloatTensor<B>; 4], Groups);

    fn backward(
        self,
        ops: Ops<Self::State, 3>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let [node_x, node_weight, node_bias] = ops.parents;
        let g = grads.consume::<B>(&ops.node);
        let ([x, weight, y, moments], groups) = ops.state;
        let found = B::k_group_norm_gradients(x, weight, y, moments, g, groups);
        for (node, gradient) in
            [(node_x, found.x), (node_weight, found.weight), (node_bias, found.bias)]
        {
            if let Some(node) = node {
                grads.register::<B>(node.id, gradient);
            }
        }
    }
}

#[derive(Debug)]
struct LstmStep;

impl<B: Kernels> Backward<B, 2> for LstmStep {
    /// States, cells, gates; the recurrent weight.
    type State = ([FloatTensor<B>; 3], FloatTensor<B>, Sequences);

    fn backward(
        self,
        ops: Ops<Self::State, 2>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let [node_gates, node_w] = ops.parents;
        let g = grads.consume::<B>(&ops.node);
        let ([states, cells, gates], w, sequences) = ops.state;
        let found = B::k_lstm_gradients(states, cells, gates, w, g, sequences);
        if let Some(node) = node_gates {
            grads.register::<B>(node.id, found.gates);
        }
        if let Some(node) = node_w {
            grads.register::<B>(node.id, found.w);
        }
    }
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

    fn k_conv2d_add(
        x: FloatTensor<Self>,
        w: FloatTensor<Self>,
        other: FloatTensor<Self>,
        conv: Conv,
    ) -> FloatTensor<Self> {
        let keep = (w.is_tracked(), x.is_tracked());
        let nodes = [x.node(), w.node(), other.node()];
        let step = Conv2dAddStep.prepare::<C>(nodes).compute_bound().stateful();
        let [x, w, other] = [x, w, other].map(|t| t.into_primitive());
        match step {
            OpsKind::Tracked(prep) => {
                let pair = (keep.0.then(|| x.clone()), keep.1.then(|| w.clone()), conv);
                prep.finish(pair, B::k_conv2d_add(x, w, other, conv))
            }
            OpsKind::UnTracked(prep) => prep.finish(B::k_conv2d_add(x, w, other, conv)),
        }
    }

    fn k_modulated_conv2d_add(
        x: FloatTensor<Self>,
        s: FloatTensor<Self>,
        w: FloatTensor<Self>,
        b: FloatTensor<Self>,
        other: FloatTensor<Self>,
        conv: Conv,
    ) -> FloatTensor<Self> {
        let [of_x, of_s, of_w] = [x.is_tracked(), s.is_tracked(), w.is_tracked()];
        let nodes = [x.node(), s.node(), w.node(), b.node(), other.node()];
        let step = ModulatedConv2dAddStep.prepare::<C>(nodes).compute_bound().stateful();
        let [x, s, w, b, other] = [x, s, w, b, other].map(|t| t.into_primitive());
        match step {
            OpsKind::Tracked(prep) => {
                let keep_x = (of_s || of_w).then(|| x.clone());
                let keep_w = (of_x || of_s).then(|| w.clone());
                let state = (keep_x, s.clone(), keep_w, conv, false);
                prep.finish(state, B::k_modulated_conv2d_add(x, s, w, b, other, conv))
            }
            OpsKind::UnTracked(prep) => {
                prep.finish(B::k_modulated_conv2d_add(x, s, w, b, other, conv))
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
                let (kept_x, kept_w) = (keep.0.then(|| x.clone()), keep.1.then(|| w.clone()));
                let y = B::k_linear(x, w, b, affine);
                prep.finish((kept_x, kept_w, y.clone(), affine), y)
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
                let state = (keep.0.then(|| x.clone()), keep.1.then(|| w.clone()), gain);
                prep.finish(state, B::k_product(x, w, gain))
            }
            OpsKind::UnTracked(prep) => prep.finish(B::k_product(x, w, gain)),
        }
    }

    fn k_demodulation(w: FloatTensor<Self>, s: FloatTensor<Self>) -> FloatTensor<Self> {
        let step = DemodulationStep.prepare::<C>([w.node(), s.node()]).compute_bound().stateful();
        let [w, s] = [w, s].map(|t| t.into_primitive());
        match step {
            OpsKind::Tracked(prep) => {
                let DemodulationTrace { y, energy } = B::k_demodulation_trace(w.clone(), s.clone());
                prep.finish([w, s, y.clone(), energy], y)
            }
            OpsKind::UnTracked(prep) => prep.finish(B::k_demodulation(w, s)),
        }
    }

    fn k_demodulation_tangent(
        w: FloatTensor<Self>,
        s: FloatTensor<Self>,
        y: FloatTensor<Self>,
        t: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let nodes = [w.node(), s.node(), y.node(), t.node()];
        let step = DemodulationTangentStep.prepare::<C>(nodes).compute_bound().stateful();
        let [w, s, y, t] = [w, s, y, t].map(|t| t.into_primitive());
        match step {
            OpsKind::Tracked(prep) => {
                let state = [&w, &s, &y, &t].map(|t| t.clone());
                prep.finish(state, B::k_demodulation_tangent(w, s, y, t))
            }
            OpsKind::UnTracked(prep) => prep.finish(B::k_demodulation_tangent(w, s, y, t)),
        }
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
