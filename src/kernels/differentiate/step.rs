//! Code that all steps of the backward pass share.

use burn::backend::TensorMetadata;
use burn::backend::autodiff::{NodeId, grads::Gradients};
use burn::backend::tensor::FloatTensor;
use burn::tensor::DType;

use crate::kernels::backend::Kernels;

/// Declares the step of an operation in the backward pass:
///
/// `Step(n): State, |nodes, state, g, grads| body`
///
/// `nodes` are those of the `n` operands, `None` where no gradient is wanted. `state` is what the
/// forward pass kept, and `g` the gradient of the result. The body registers the gradients of the
/// operands in `grads`. `B` is the backend.
macro_rules! step {
    ($(#[$doc:meta])* $name:ident($n:literal): $state:ty,
     |$nodes:pat_param, $kept:pat_param, $g:ident, $grads:ident| $body:expr) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name;

        impl<B: $crate::kernels::backend::Kernels>
            burn::backend::autodiff::ops::Backward<B, $n> for $name
        {
            type State = $state;

            fn backward(
                self,
                ops: burn::backend::autodiff::ops::Ops<Self::State, $n>,
                $grads: &mut burn::backend::autodiff::grads::Gradients,
                _: &mut burn::backend::autodiff::checkpoint::base::Checkpointer,
            ) {
                let $nodes = ops.parents.map(|node| node.map(|node| node.id));
                let $g = $grads.consume::<B>(&ops.node);
                let $kept = ops.state;
                $body
            }
        }
    };
}

pub(super) use step;

/// Registers a gradient, which is computed only if it is wanted.
pub fn register<B: Kernels>(
    grads: &mut Gradients,
    node: Option<NodeId>,
    gradient: impl FnOnce() -> FloatTensor<B>,
) {
    if let Some(node) = node {
        grads.register::<B>(node, gradient());
    }
}

/// Registers the gradients that are wanted of several that were computed together.
pub fn register_all<B: Kernels, const N: usize>(
    grads: &mut Gradients,
    gradients: [(Option<NodeId>, FloatTensor<B>); N],
) {
    for (node, gradient) in gradients {
        register::<B>(grads, node, || gradient);
    }
}

/// A gradient in the type of the tensor that it belongs to.
pub fn cast<B: Kernels>(g: FloatTensor<B>, dtype: DType) -> FloatTensor<B> {
    if g.dtype() == dtype { g } else { B::float_cast(g, dtype.into()) }
}
