//! Activations and factors of planes.

use burn::backend::TensorMetadata;
use burn::backend::autodiff::{NodeId, grads::Gradients};
use burn::backend::tensor::FloatTensor;
use burn::tensor::Shape;

use super::step::{cast, register, register_all, step};
use crate::kernels::backend::Kernels;
use crate::kernels::outputs::NoiseOperands;
use crate::kernels::spec::Activation;

step!(SoftplusStep(1): FloatTensor<B>, |[node], x, g, grads| {
    register::<B>(grads, node, || B::k_softplus_gradient(x, g));
});

step!(MeanSoftplusStep(1): (FloatTensor<B>, bool), |[node], (x, negative), g, grads| {
    register::<B>(grads, node, || B::k_mean_softplus_gradient(x, g, negative));
});

step!(
    /// Keeps the output.
    BiasActStep(2): (FloatTensor<B>, Activation), |[node_x, node_b], (y, act), g, grads| {
        let g = bias_act_backward::<B>(node_b, g, y, act, 1.0, false, grads);
        register::<B>(grads, node_x, || g);
    }
);

step!(
    /// Keeps the output.
    ActSlopeStep(1): (FloatTensor<B>, Activation), |[node], (y, act), g, grads| {
        register::<B>(grads, node, || B::k_act_slope(g, y, act));
    }
);

step!(
    ScalePlanesStep(2): (Option<FloatTensor<B>>, Option<FloatTensor<B>>),
    |nodes, pair, g, grads| scale_planes_backward::<B>(nodes, pair, g, grads)
);

step!(
    /// Keeps the planes, their tangents, the factors and their tangents.
    ScalePlanesTangentStep(4): [FloatTensor<B>; 4],
    |[node_x, node_t, node_s, node_u], [x, t, s, u], g, grads| {
        let found = B::k_scale_planes_tangent_gradients(x, t, s, u, g);
        let gradients =
            [(node_x, found.x), (node_t, found.t), (node_s, found.s), (node_u, found.u)];
        register_all::<B, 4>(grads, gradients);
    }
);

step!(
    /// Keeps the output; the factors, the noise, its strength, the bias.
    NoiseActStep(5): WithNoise<B>,
    |[node_x, nodes @ ..], kept, g, grads| {
        let g = noise_act_backward::<B>(nodes, kept, g, None, grads);
        register::<B>(grads, node_x, || g);
    }
);

/// The output; the factors, the noise, its strength, the bias.
pub type WithNoise<B> = (FloatTensor<B>, [FloatTensor<B>; 4], Activation);

/// Registers the gradients of factors, noise, strength and bias where they are tracked, in parts if there is
/// a factor `parts`. Returns the gradient with respect to the input, times this factor, given the one `g`
/// with respect to the output.
pub fn noise_act_backward<B: Kernels>(
    [node_scale, node_noise, node_strength, node_b]: [Option<NodeId>; 4],
    (y, operands, act): WithNoise<B>,
    g: FloatTensor<B>,
    parts: Option<f32>,
    grads: &mut Gradients,
) -> FloatTensor<B> {
    let [scale, noise, strength, bias] = operands.clone();
    let found = match parts {
        Some(gain) => {
            let operands = NoiseOperands { scale, noise, strength, bias };
            B::k_noise_act_gradients_in_parts(y, g, operands, act, gain)
        }
        None => B::k_noise_act_gradients(y, g, scale, noise, strength, bias, act),
    };
    register::<B>(grads, node_noise, || {
        // Training never asks for it, so it may take more passes than a kernel would.
        let [scale, noise, strength, _] = operands;
        let x = cast::<B>(found.x.clone(), noise.dtype());
        let h = B::k_scale_planes(x, B::float_recip(scale));
        let h = match parts {
            None | Some(1.0) => h,
            Some(gain) => B::float_div_scalar(h, gain.into()),
        };
        let sum = B::float_sum_dim(h, 1);
        let shared = noise.shape().dims::<4>()[0] == 1;
        let sum = if shared { B::float_sum_dim(sum, 0) } else { sum };
        B::float_mul(sum, B::float_reshape(strength, Shape::from([1, 1, 1, 1])))
    });
    let gradients =
        [(node_scale, found.scale), (node_strength, found.strength), (node_b, found.bias)];
    register_all::<B, 3>(grads, gradients);
    found.x
}

/// Registers the gradient of a bias that was multiplied by `gain`, if it is tracked, in parts if `parts`;
/// then the gain is 1. Returns the gradient with respect to the argument of the activation, given the one
/// `g` with respect to its output y.
pub fn bias_act_backward<B: Kernels>(
    node: Option<NodeId>,
    g: FloatTensor<B>,
    y: FloatTensor<B>,
    act: Activation,
    gain: f32,
    parts: bool,
    grads: &mut Gradients,
) -> FloatTensor<B> {
    let (x, bias) = bias_act_gradients::<B>(node.is_some(), g, y, act, gain, parts);
    if let Some((node, bias)) = node.zip(bias) {
        grads.register::<B>(node, bias);
    }
    x
}

/// The gradient with respect to the argument of an activation, and that of the bias if it is `wanted`; see
/// [`bias_act_backward`].
pub fn bias_act_gradients<B: Kernels>(
    wanted: bool,
    g: FloatTensor<B>,
    y: FloatTensor<B>,
    act: Activation,
    gain: f32,
    parts: bool,
) -> (FloatTensor<B>, Option<FloatTensor<B>>) {
    if !wanted {
        return (if act.is_identity() { g } else { B::k_act_slope(g, y, act) }, None);
    }
    let found = match parts {
        true => B::k_bias_act_gradients_in_parts(g, y, act),
        false => B::k_bias_act_gradients(g, y, act, gain),
    };
    (found.x, Some(found.bias))
}

/// Registers the gradients of planes x and of their factors s where they are tracked. That of s
/// takes x, and that of x takes s.
pub fn scale_planes_backward<B: Kernels>(
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
