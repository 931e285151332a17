//! ln(1 + eˣ), the loss on logits.

use burn::backend::TensorMetadata;
use cubecl::prelude::*;

use super::launch::{Floats, contiguous, element, empty, grid, line};

/// Units of a cube.
const UNITS: usize = 64;

/// Softplus of x, or with `gradient` its slope times g.
#[cube(launch_unchecked)]
fn softplus_kernel<E: Float>(
    x: &[E],
    g: &[E],
    out: &mut [E],
    length: usize,
    #[comptime] gradient: bool,
    #[define(E)] _element: ElemType,
) {
    let at = line() * comptime!(UNITS) + UNIT_POS as usize;
    if at < length {
        let x = f32::cast_from(x[at]);
        // e⁻|ˣ| never overflows.
        let small = (0.0f32 - x.abs()).exp();
        let value = if comptime!(gradient) {
            let slope = select(x >= 0.0f32, 1.0f32.runtime(), small) / (1.0f32 + small);
            slope * f32::cast_from(g[at])
        } else {
            select(x > 0.0f32, x, 0.0f32.runtime()) + small.log1p()
        };
        out[at] = E::cast_from(value);
    }
}

/// See [`Kernels::k_softplus`](crate::kernels::Kernels::k_softplus).
pub fn softplus(x: Floats) -> Floats {
    launch(x, None)
}

/// See [`Kernels::k_softplus_gradient`](crate::kernels::Kernels::k_softplus_gradient).
pub fn softplus_gradient(x: Floats, g: Floats) -> Floats {
    launch(x, Some(g))
}

fn launch(x: Floats, g: Option<Floats>) -> Floats {
    let x = contiguous(x);
    let gradient = g.is_some();
    let g = g.map_or_else(|| x.clone(), contiguous);
    let length = x.shape().num_elements();
    let out = empty(&x, x.shape());
    let (client, element) = (x.client.clone(), element(&x));
    // SAFETY: each unit reads and writes one element.
    unsafe {
        softplus_kernel::launch_unchecked(
            &client,
            grid(1, length.div_ceil(UNITS)),
            CubeDim::new_1d(UNITS as u32),
            x.into_buffer_arg(),
            g.into_buffer_arg(),
            out.clone().into_buffer_arg(),
            length,
            gradient,
            element,
        );
    }
    out
}
