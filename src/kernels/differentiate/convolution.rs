//! Convolutions.

use burn::backend::TensorMetadata;
use burn::backend::autodiff::{NodeId, grads::Gradients};
use burn::backend::tensor::FloatTensor;
use burn::tensor::DType;

use super::pointwise::{WithNoise, bias_act_backward, noise_act_backward, scale_planes_backward};
use super::step::{cast, register, step};
use crate::kernels::backend::Kernels;
use crate::kernels::composed::resampled;
use crate::kernels::spec::{Activation, Conv, Fir};

/// The operands x and w, each kept only if the other one needs a gradient.
type Pair<B> = (Option<FloatTensor<B>>, Option<FloatTensor<B>>, Conv);

/// x (for the gradients of s and w), s, w (for those of x and s).
type Modulated<B> = (Option<FloatTensor<B>>, FloatTensor<B>, Option<FloatTensor<B>>, Conv, bool);

step!(Conv2dStep(2): Pair<B>, |nodes, pair, g, grads| {
    conv2d_backward::<B>(nodes, pair, g, grads);
});

step!(Conv2dTransposedStep(2): Pair<B>, |[node_x, node_w], (x, w, conv), g, grads| {
    if let Some(w) = w {
        register::<B>(grads, node_x, || B::k_conv2d(g.clone(), w, conv));
    }
    if let Some(x) = x {
        // The roles are swapped: x is on the side of the convolution's output.
        register::<B>(grads, node_w, || B::k_conv2d_weight_gradient(g, x, conv));
    }
});

step!(
    /// Keeps the adjoint of the other tensor's filter and the type of x as well.
    Conv2dAddStep(3): (Pair<B>, Option<Fir>, DType),
    |[node_x, node_w, node_other], (pair, adjoint, dtype), g, grads| {
        conv2d_backward::<B>([node_x, node_w], pair, cast::<B>(g.clone(), dtype), grads);
        register::<B>(grads, node_other, || resampled::<B>(g, adjoint));
    }
);

step!(
    /// Keeps the output as well.
    Conv2dActStep(3): (Pair<B>, FloatTensor<B>, Activation),
    |[node_x, node_w, node_b], (pair, y, act), g, grads| {
        let (.., conv) = &pair;
        let g = bias_act_backward::<B>(node_b, g, y, act, 1.0, conv.parts, grads);
        conv2d_backward::<B>([node_x, node_w], pair, g, grads);
    }
);

step!(ModulatedConv2dStep(3): Modulated<B>, |nodes, kept, g, grads| {
    modulated_backward::<B>(nodes, kept, g, grads);
});

step!(ModulatedConv2dAddStep(5): (Modulated<B>, Option<Fir>, DType),
      |[x, s, w, b, other], (kept, adjoint, dtype), g, grads| {
    let (.., conv, _) = &kept;
    register::<B>(grads, b, || match conv.parts {
        true => B::k_channel_sums_in_parts(g.clone()),
        false => B::k_channel_sums(g.clone()),
    });
    modulated_backward::<B>([x, s, w], kept, cast::<B>(g.clone(), dtype), grads);
    register::<B>(grads, other, || resampled::<B>(g, adjoint));
});

step!(
    ModulatedNoiseActStep(7): (Modulated<B>, WithNoise<B>),
    |[x, s, w, nodes @ ..], ((kept_x, kept_s, kept_w, conv, transposed), with_noise), g, grads| {
        // Factors of demodulation are so small that gradients times them might vanish in f16.
        let [_, inputs] = kept_s.shape().dims::<2>();
        let safe = match g.dtype() == DType::F16 && conv.parts {
            true => Conv::safe_gain([1, inputs, conv.kernel, conv.kernel]),
            false => 1.0,
        };
        let parts = conv.parts.then_some(1.0 / safe);
        let g = noise_act_backward::<B>(nodes, with_noise, g, parts, grads);
        let kept = (kept_x, kept_s, kept_w, conv.gained(safe), transposed);
        modulated_backward::<B>([x, s, w], kept, g, grads);
    }
);

/// Registers the gradients of a convolution's operands where they are tracked.
fn conv2d_backward<B: Kernels>(
    [node_x, node_w]: [Option<NodeId>; 2],
    (x, w, conv): Pair<B>,
    g: FloatTensor<B>,
    grads: &mut Gradients,
) {
    if let Some(w) = w {
        register::<B>(grads, node_x, || B::k_conv2d_transposed(g.clone(), w, conv));
    }
    if let Some(x) = x {
        register::<B>(grads, node_w, || B::k_conv2d_weight_gradient(x, g, conv));
    }
}

/// Registers the gradients of a modulated convolution's operands where they are tracked.
fn modulated_backward<B: Kernels>(
    [node_x, node_s, node_w]: [Option<NodeId>; 3],
    (x, s, w, conv, transposed): Modulated<B>,
    g: FloatTensor<B>,
    grads: &mut Gradients,
) {
    let adjoint = match (node_w.zip(x.clone()), w) {
        (Some((node, x)), Some(w)) if transposed => {
            let found = B::k_modulated_gradients(x, s.clone(), w, g, conv);
            grads.register::<B>(node, found.w);
            Some(found.adjoint)
        }
        (of_w, w) => {
            if let Some((node, x)) = of_w {
                let own = B::k_modulated_weight_gradient(x, s.clone(), g.clone(), conv, transposed);
                grads.register::<B>(node, own);
            }
            w.map(|w| match transposed {
                true => B::k_conv2d(g, w, conv),
                false => B::k_conv2d_transposed(g, w, conv),
            })
        }
    };
    if let Some(adjoint) = adjoint {
        scale_planes_backward::<B>([node_x, node_s], (x, Some(s)), adjoint, grads);
    }
}
