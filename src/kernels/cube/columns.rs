//! Activations of linear layers: images of one pixel, whose sums over the batch are so short that one
//! unit adds them up.

use cubecl::prelude::*;

use super::launch::{Floats, contiguous, dims, element, empty, empty_f32, grid, line};
use super::planes::{Act, act_arg, sloped};
use crate::kernels::spec::Activation;

/// Units of a cube.
const UNITS: usize = 64;

/// One unit for each channel.
#[cube(launch_unchecked)]
fn slope_columns_kernel<E: Float>(
    g: &[E],
    y: &[E],
    h: &mut [E],
    sums: &mut [f32],
    batch: usize,
    channels: usize,
    bias_gain: f32,
    act: &Act,
    #[define(E)] _element: ElemType,
) {
    let channel = line() * comptime!(UNITS) + UNIT_POS as usize;
    if channel < channels {
        let mut sum = 0.0f32.runtime();
        for image in 0..batch {
            let at = image * channels + channel;
            let gradient = Vector::<f32, Const<1>>::new(f32::cast_from(g[at]));
            let output = Vector::<f32, Const<1>>::new(f32::cast_from(y[at]));
            let found = sloped::<Const<1>>(gradient, output, act).extract(0usize);
            h[at] = E::cast_from(found);
            sum += found;
        }
        sums[channel] = sum * bias_gain;
    }
}

/// g times the slope where the output is y, and its sums over the batch times `bias_gain`:
/// `[N, C, 1, 1]` → the same and `[C]`.
pub fn slope_columns(g: Floats, y: Floats, act: Activation, bias_gain: f32) -> (Floats, Floats) {
    let (g, y) = (contiguous(g), contiguous(y));
    let [n, c, _, _] = dims(&g);
    let (h, sums) = (empty(&g, [n, c, 1, 1]), empty_f32(&g, [c]));
    let (client, element) = (g.client.clone(), element(&g));
    // SAFETY: each unit reads and writes one channel.
    unsafe {
        slope_columns_kernel::launch_unchecked(
            &client,
            grid(1, c.div_ceil(UNITS)),
            CubeDim::new_1d(UNITS as u32),
            g.into_buffer_arg(),
            y.into_buffer_arg(),
            h.clone().into_buffer_arg(),
            sums.clone().into_buffer_arg(),
            n,
            c,
            bias_gain,
            act_arg(act),
            element,
        );
    }
    (h, sums)
}
