//! Resampling, each of whose operations is the gradient of another one.

use super::step::{register, step};
use crate::kernels::spec::{Fir, Warp};

step!(
    /// Keeps the adjoint filter.
    UpFirDnStep(1): Fir, |[node], fir, g, grads| {
        register::<B>(grads, node, || B::k_upfirdn2d(g, fir));
    }
);

step!(WarpStep(1): Warp, |[node], warp, g, grads| {
    register::<B>(grads, node, || B::k_warp_adjoint(g, warp));
});

step!(WarpAdjointStep(1): Warp, |[node], warp, g, grads| {
    register::<B>(grads, node, || B::k_warp(g, warp));
});
