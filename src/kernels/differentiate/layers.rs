//! Layers: matrix products, minibatch standard deviation, group normalisation, LSTM.

use burn::backend::TensorMetadata;
use burn::backend::autodiff::{NodeId, grads::Gradients};
use burn::backend::tensor::FloatTensor;
use burn::tensor::Shape;

use super::pointwise::bias_act_backward;
use super::step::{register, register_all, step};
use crate::kernels::backend::Kernels;
use crate::kernels::spec::{Affine, Groups, Sequences};

/// The operands x and w, each kept only if the other one needs a gradient.
type Pair<B> = (Option<FloatTensor<B>>, Option<FloatTensor<B>>);

step!(ProductStep(2): (Pair<B>, f32), |nodes, (pair, gain), g, grads| {
    product_backward::<B>(nodes, pair, gain, g, grads);
});

step!(
    /// Keeps the output as well.
    LinearStep(3): (Pair<B>, FloatTensor<B>, Affine),
    |[node_x, node_w, node_b], (pair, y, affine), g, grads| {
        let shape = g.shape();
        let [n, o] = shape.dims::<2>();
        let planes = |t| B::float_reshape(t, Shape::from([n, o, 1, 1]));
        let Affine { gain, bias_gain, act } = affine;
        let g = bias_act_backward::<B>(node_b, planes(g), planes(y), act, bias_gain, false, grads);
        let g = B::float_reshape(g, shape);
        product_backward::<B>([node_x, node_w], pair, gain, g, grads);
    }
);

step!(MinibatchStdStep(1): (FloatTensor<B>, usize), |[node], (x, group), g, grads| {
    register::<B>(grads, node, || B::k_minibatch_std_gradient(x, g, group));
});

step!(
    /// Keeps input, weight, output, moments.
    GroupNormStep(3): ([FloatTensor<B>; 4], Groups),
    |[node_x, node_weight, node_bias], ([x, weight, y, moments], groups), g, grads| {
        let found = B::k_group_norm_gradients(x, weight, y, moments, g, groups);
        let gradients =
            [(node_x, found.x), (node_weight, found.weight), (node_bias, found.bias)];
        register_all::<B, 3>(grads, gradients);
    }
);

step!(
    /// Keeps states, cells, gates; the recurrent weight.
    LstmStep(2): ([FloatTensor<B>; 3], FloatTensor<B>, Sequences),
    |[node_gates, node_w], ([states, cells, gates], w, sequences), g, grads| {
        let found = B::k_lstm_gradients(states, cells, gates, w, g, sequences);
        register_all::<B, 2>(grads, [(node_gates, found.gates), (node_w, found.w)]);
    }
);

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
