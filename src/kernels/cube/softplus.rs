//! ln(1 + eˣ), the loss on logits, and its mean.

use burn::backend::TensorMetadata;
use cubecl::prelude::*;

use super::launch::{Floats, contiguous, element, empty, grid, line};
use super::sums::cube_sum;

/// Units of a cube.
const UNITS: usize = 64;

/// ln(1 + eˣ).
#[cube]
fn softplus_of(x: f32) -> f32 {
    // e⁻|ˣ| never overflows.
    let small = (0.0f32 - x.abs()).exp();
    select(x > 0.0f32, x, 0.0f32.runtime()) + small.log1p()
}

/// Its slope, 1/(1 + e⁻ˣ).
#[cube]
fn slope_of(x: f32) -> f32 {
    let small = (0.0f32 - x.abs()).exp();
    select(x >= 0.0f32, 1.0f32.runtime(), small) / (1.0f32 + small)
}

/// Softplus of `sign`·x, or with `gradient` its gradient: the slope at `sign`·x times `factor` and g.
/// `factor` includes `sign`. With `mean`, g has one element.
#[cube(launch_unchecked)]
fn softplus_kernel<E: Float>(
    x: &[E],
    g: &[E],
    out: &mut [E],
    length: usize,
    sign: f32,
    factor: f32,
    #[comptime] gradient: bool,
    #[comptime] mean: bool,
    #[define(E)] _element: ElemType,
) {
    let at = line() * comptime!(UNITS) + UNIT_POS as usize;
    if at < length {
        let x = sign * f32::cast_from(x[at]);
        let value = if comptime!(gradient) {
            let g = if comptime!(mean) { g[0] } else { g[at] };
            slope_of(x) * factor * f32::cast_from(g)
        } else {
            softplus_of(x)
        };
        out[at] = E::cast_from(value);
    }
}

/// The mean of softplus of ±x, by one cube.
#[cube(launch_unchecked)]
fn mean_softplus_kernel<E: Float>(
    x: &[E],
    out: &mut [E],
    length: usize,
    sign: f32,
    #[define(E)] _element: ElemType,
) {
    let mut sum = 0.0f32.runtime();
    let mut at = UNIT_POS as usize;
    while at < length {
        sum += softplus_of(sign * f32::cast_from(x[at]));
        at += comptime!(UNITS);
    }
    let sum = cube_sum(sum, UNITS);
    if UNIT_POS == 0 {
        out[0] = E::cast_from(sum / length as f32);
    }
}

/// See [`Kernels::k_softplus`](crate::kernels::Kernels::k_softplus).
pub fn softplus(x: Floats) -> Floats {
    launch(x, None, 1.0, 1.0)
}

/// See [`Kernels::k_softplus_gradient`](crate::kernels::Kernels::k_softplus_gradient).
pub fn softplus_gradient(x: Floats, g: Floats) -> Floats {
    launch(x, Some(g), 1.0, 1.0)
}

fn launch(x: Floats, g: Option<Floats>, sign: f32, factor: f32) -> Floats {
    let x = contiguous(x);
    let gradient = g.is_some();
    let g = g.map_or_else(|| x.clone(), contiguous);
    let length = x.shape().num_elements();
    let mean = g.shape().num_elements() < length;
    let out = empty(&x, x.shape());
    let (client, element) = (x.client.clone(), element(&x));
    // SAFETY: each unit reads and writes one element; g has as many elements as x, or one.
    unsafe {
        softplus_kernel::launch_unchecked(
            &client,
            grid(1, length.div_ceil(UNITS)),
            CubeDim::new_1d(UNITS as u32),
            x.into_buffer_arg(),
            g.into_buffer_arg(),
            out.clone().into_buffer_arg(),
            length,
            sign,
            factor,
            gradient,
            mean,
            element,
        );
    }
    out
}

/// See [`Kernels::k_mean_softplus`](crate::kernels::Kernels::k_mean_softplus).
pub fn mean_softplus(x: Floats, negative: bool) -> Floats {
    let x = contiguous(x);
    let length = x.shape().num_elements();
    let out = empty(&x, [1]);
    let (client, element) = (x.client.clone(), element(&x));
    // SAFETY: the cube reads all elements and writes one.
    unsafe {
        mean_softplus_kernel::launch_unchecked(
            &client,
            grid(1, 1),
            CubeDim::new_1d(UNITS as u32),
            x.into_buffer_arg(),
            out.clone().into_buffer_arg(),
            length,
            sign(negative),
            element,
        );
    }
    out
}

/// See [`Kernels::k_mean_softplus_gradient`](crate::kernels::Kernels::k_mean_softplus_gradient).
pub fn mean_softplus_gradient(x: Floats, g: Floats, negative: bool) -> Floats {
    let sign = sign(negative);
    let factor = sign / x.shape().num_elements() as f32;
    launch(x, Some(g), sign, factor)
}

fn sign(negative: bool) -> f32 {
    if negative { -1.0 } else { 1.0 }
}
