//! The factors of demodulation and their gradients.

use cubecl::prelude::*;

use super::launch::{Floats, contiguous, dims, element, empty, empty_f32, grid, line};
use super::sums::cube_sum;
use crate::kernels::outputs::DemodulationGradients;

/// Units of a cube.
const UNITS: usize = 64;

/// Σ_k w²: w `[O·I, k·k]` → `[O·I]`.
#[cube(launch_unchecked)]
fn energy_kernel<E: Float>(
    w: &[E],
    energy: &mut [f32],
    pairs: usize,
    #[comptime] taps: usize,
    #[define(E)] _element: ElemType,
) {
    let pair = line() * comptime!(UNITS) + UNIT_POS as usize;
    if pair < pairs {
        let mut sum = 0.0f32.runtime();
        #[unroll]
        for k in 0..taps {
            let value = f32::cast_from(w[pair * taps + k]);
            sum += value * value;
        }
        energy[pair] = sum;
    }
}

fn energy(w: &Floats) -> Floats {
    let [o, i, k, l] = dims(w);
    let energy = empty_f32(w, [o, i]);
    // SAFETY: each unit adds up one pair of channels.
    unsafe {
        energy_kernel::launch_unchecked(
            &w.client,
            grid(1, (o * i).div_ceil(UNITS)),
            CubeDim::new_1d(UNITS as u32),
            w.clone().into_buffer_arg(),
            energy.clone().into_buffer_arg(),
            o * i,
            k * l,
            element(w),
        );
    }
    energy
}

/// One cube for each image and output channel.
#[cube(launch_unchecked)]
fn demodulation_kernel<E: Float>(
    energy: &[f32],
    s: &[E],
    y: &mut [E],
    outputs: usize,
    inputs: usize,
    factors: usize,
    #[define(E)] _element: ElemType,
) {
    let factor = line();
    let known = select(factor < factors, factor, 0usize.runtime());
    let (image, output) = (known / outputs, known % outputs);
    let mut sum = 0.0f32.runtime();
    let mut at = UNIT_POS as usize;
    while at < inputs {
        let style = f32::cast_from(s[image * inputs + at]);
        sum += energy[output * inputs + at] * style * style;
        at += comptime!(UNITS);
    }
    let sum = cube_sum(sum, comptime!(UNITS));
    if UNIT_POS == 0 && factor < factors {
        y[factor] = E::cast_from(1.0f32 / (sum + 1e-8f32).sqrt());
    }
}

/// See [`Kernels::k_demodulation`](crate::kernels::Kernels::k_demodulation).
pub fn forward(w: Floats, s: Floats) -> Floats {
    let (w, s) = (contiguous(w), contiguous(s));
    let [o, i, _, _] = dims(&w);
    let [n, _] = dims(&s);
    let y = empty(&s, [n, o]);
    let (client, element) = (s.client.clone(), element(&s));
    // SAFETY: each cube adds up one row of energies and styles.
    unsafe {
        demodulation_kernel::launch_unchecked(
            &client,
            grid(1, n * o),
            CubeDim::new_1d(UNITS as u32),
            energy(&w).into_buffer_arg(),
            s.into_buffer_arg(),
            y.clone().into_buffer_arg(),
            o,
            i,
            n * o,
            element,
        );
    }
    y
}

/// Twice the gradient with respect to the sum of squares: a square's slope is twice its root.
#[cube]
fn by_square<E: Float>(y: &[E], g: &[E], at: usize) -> f32 {
    let y = f32::cast_from(y[at]);
    0.0f32 - y * y * y * f32::cast_from(g[at])
}

/// One unit for each image and input channel.
#[cube(launch_unchecked)]
fn style_kernel<E: Float>(
    energy: &[f32],
    s: &[E],
    y: &[E],
    g: &[E],
    of_s: &mut [E],
    outputs: usize,
    inputs: usize,
    styles: usize,
    #[define(E)] _element: ElemType,
) {
    let at = line() * comptime!(UNITS) + UNIT_POS as usize;
    if at < styles {
        let (image, input) = (at / inputs, at % inputs);
        let mut sum = 0.0f32.runtime();
        for output in 0..outputs {
            sum += by_square::<E>(y, g, image * outputs + output) * energy[output * inputs + input];
        }
        of_s[at] = E::cast_from(sum * f32::cast_from(s[at]));
    }
}

/// One unit for each pair of channels.
#[cube(launch_unchecked)]
fn weight_kernel<E: Float>(
    w: &[E],
    s: &[E],
    y: &[E],
    g: &[E],
    of_w: &mut [E],
    outputs: usize,
    inputs: usize,
    batch: usize,
    #[comptime] taps: usize,
    #[define(E)] _element: ElemType,
) {
    let pair = line() * comptime!(UNITS) + UNIT_POS as usize;
    if pair < outputs * inputs {
        let (output, input) = (pair / inputs, pair % inputs);
        let mut sum = 0.0f32.runtime();
        for image in 0..batch {
            let style = f32::cast_from(s[image * inputs + input]);
            sum += by_square::<E>(y, g, image * outputs + output) * style * style;
        }
        #[unroll]
        for k in 0..taps {
            let at = pair * taps + k;
            of_w[at] = E::cast_from(f32::cast_from(w[at]) * sum);
        }
    }
}

/// See [`Kernels::k_demodulation_gradients`](crate::kernels::Kernels::k_demodulation_gradients).
pub fn gradients(
    w: Floats,
    s: Floats,
    y: Floats,
    g: Floats,
) -> DemodulationGradients<burn_cubecl::CubeBackend> {
    let [w, s, y, g] = [w, s, y, g].map(contiguous);
    let [o, i, k, l] = dims(&w);
    let [n, _] = dims(&s);
    let (of_w, of_s) = (empty(&w, [o, i, k, l]), empty(&s, [n, i]));
    let (client, element) = (w.client.clone(), element(&w));
    let units = CubeDim::new_1d(UNITS as u32);
    // SAFETY: each unit writes one style, or the taps of one pair of channels.
    unsafe {
        style_kernel::launch_unchecked(
            &client,
            grid(1, (n * i).div_ceil(UNITS)),
            units,
            energy(&w).into_buffer_arg(),
            s.clone().into_buffer_arg(),
            y.clone().into_buffer_arg(),
            g.clone().into_buffer_arg(),
            of_s.clone().into_buffer_arg(),
            o,
            i,
            n * i,
            element,
        );
        weight_kernel::launch_unchecked(
            &client,
            grid(1, (o * i).div_ceil(UNITS)),
            units,
            w.into_buffer_arg(),
            s.into_buffer_arg(),
            y.into_buffer_arg(),
            g.into_buffer_arg(),
            of_w.clone().into_buffer_arg(),
            o,
            i,
            n,
            k * l,
            element,
        );
    }
    DemodulationGradients { w: of_w, s: of_s }
}
