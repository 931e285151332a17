//! The factors of demodulation and their gradients.

use burn_cubecl::CubeBackend;
use cubecl::prelude::*;

use super::launch::{Floats, contiguous, dims, element, empty, empty_f32, grid, line};
use super::sums::cube_sum;
use crate::kernels::outputs::{
    DemodulationGradients, DemodulationTangentGradients, DemodulationTrace,
};

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

/// One cube for each image and output channel. `tangent` computes the tangent along t of what it
/// otherwise computes; only then are t and `before`, the factors, read.
#[cube(launch_unchecked)]
fn demodulation_kernel<E: Float>(
    energy: &[f32],
    s: &[E],
    t: &[E],
    before: &[E],
    y: &mut [E],
    outputs: usize,
    inputs: usize,
    factors: usize,
    #[comptime] tangent: bool,
    #[define(E)] _element: ElemType,
) {
    let factor = line();
    let known = select(factor < factors, factor, 0usize.runtime());
    let (image, output) = (known / outputs, known % outputs);
    let mut sum = 0.0f32.runtime();
    let mut at = UNIT_POS as usize;
    while at < inputs {
        let other = f32::cast_from(t[image * inputs + at]);
        sum += energy[output * inputs + at] * f32::cast_from(s[image * inputs + at]) * other;
        at += comptime!(UNITS);
    }
    let sum = cube_sum(sum, comptime!(UNITS));
    if UNIT_POS == 0 && factor < factors {
        let value = if comptime!(tangent) {
            let factor = f32::cast_from(before[factor]);
            0.0f32 - factor * factor * factor * sum
        } else {
            1.0f32 / (sum + 1e-8f32).sqrt()
        };
        y[factor] = E::cast_from(value);
    }
}

/// See [`Kernels::k_demodulation_trace`](crate::kernels::Kernels::k_demodulation_trace).
pub fn forward(w: Floats, s: Floats) -> DemodulationTrace<CubeBackend> {
    let (w, s) = (contiguous(w), contiguous(s));
    let energy = energy(&w);
    DemodulationTrace { y: factors(&energy, s, None), energy }
}

/// See [`Kernels::k_demodulation_tangent`](crate::kernels::Kernels::k_demodulation_tangent).
pub fn tangent(w: Floats, s: Floats, y: Floats, t: Floats) -> Floats {
    factors(&energy(&contiguous(w)), contiguous(s), Some((contiguous(y), contiguous(t))))
}

fn factors(energy: &Floats, s: Floats, along: Option<(Floats, Floats)>) -> Floats {
    let [o, i] = dims(energy);
    let [n, _] = dims(&s);
    let y = empty(&s, [n, o]);
    let tangent = along.is_some();
    let (before, t) = along.unwrap_or_else(|| (s.clone(), s.clone()));
    let (client, element) = (s.client.clone(), element(&s));
    // SAFETY: each cube adds up one row of energies and styles.
    unsafe {
        demodulation_kernel::launch_unchecked(
            &client,
            grid(1, n * o),
            CubeDim::new_1d(UNITS as u32),
            energy.clone().into_buffer_arg(),
            s.into_buffer_arg(),
            t.into_buffer_arg(),
            before.into_buffer_arg(),
            y.clone().into_buffer_arg(),
            o,
            i,
            n * o,
            tangent,
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

/// The gradients of styles s and their tangents t: one unit for each image and input channel. Without
/// tangents, t is s, and `of_t` is not written.
#[cube(launch_unchecked)]
fn style_kernel<E: Float>(
    energy: &[f32],
    s: &[E],
    t: &[E],
    y: &[E],
    g: &[E],
    of_s: &mut [E],
    of_t: &mut [E],
    outputs: usize,
    inputs: usize,
    styles: usize,
    #[comptime] tangent: bool,
    #[define(E)] _element: ElemType,
) {
    let at = line() * comptime!(UNITS) + UNIT_POS as usize;
    if at < styles {
        let (image, input) = (at / inputs, at % inputs);
        let mut sum = 0.0f32.runtime();
        for output in 0..outputs {
            sum += by_square::<E>(y, g, image * outputs + output) * energy[output * inputs + input];
        }
        of_s[at] = E::cast_from(sum * f32::cast_from(t[at]));
        if comptime!(tangent) {
            of_t[at] = E::cast_from(sum * f32::cast_from(s[at]));
        }
    }
}

/// One unit for each pair of channels.
#[cube(launch_unchecked)]
fn weight_kernel<E: Float>(
    w: &[E],
    s: &[E],
    t: &[E],
    y: &[E],
    g: &[E],
    of_w: &mut [E],
    outputs: usize,
    inputs: usize,
    batch: usize,
    gain: f32,
    #[comptime] taps: usize,
    #[define(E)] _element: ElemType,
) {
    let pair = line() * comptime!(UNITS) + UNIT_POS as usize;
    if pair < outputs * inputs {
        let (output, input) = (pair / inputs, pair % inputs);
        let mut sum = 0.0f32.runtime();
        for image in 0..batch {
            let at = image * inputs + input;
            let product = f32::cast_from(s[at]) * f32::cast_from(t[at]);
            sum += by_square::<E>(y, g, image * outputs + output) * product;
        }
        #[unroll]
        for k in 0..taps {
            let at = pair * taps + k;
            of_w[at] = E::cast_from(f32::cast_from(w[at]) * sum * gain);
        }
    }
}

/// See [`Kernels::k_demodulation_gradients`](crate::kernels::Kernels::k_demodulation_gradients).
pub fn gradients(
    w: Floats,
    s: Floats,
    DemodulationTrace { y, energy }: DemodulationTrace<CubeBackend>,
    g: Floats,
) -> DemodulationGradients<CubeBackend> {
    let [w, s, y, g] = [w, s, y, g].map(contiguous);
    let [o, i, k, l] = dims(&w);
    let [n, _] = dims(&s);
    let (of_w, of_s) = (empty(&w, [o, i, k, l]), empty(&s, [n, i]));
    let unused = empty(&s, [1]);
    let (client, element) = (w.client.clone(), element(&w));
    let units = CubeDim::new_1d(UNITS as u32);
    // SAFETY: each unit writes one style, or the taps of one pair of channels.
    unsafe {
        style_kernel::launch_unchecked(
            &client,
            grid(1, (n * i).div_ceil(UNITS)),
            units,
            energy.into_buffer_arg(),
            s.clone().into_buffer_arg(),
            s.clone().into_buffer_arg(),
            y.clone().into_buffer_arg(),
            g.clone().into_buffer_arg(),
            of_s.clone().into_buffer_arg(),
            unused.into_buffer_arg(),
            o,
            i,
            n * i,
            false,
            element,
        );
        weight_kernel::launch_unchecked(
            &client,
            grid(1, (o * i).div_ceil(UNITS)),
            units,
            w.into_buffer_arg(),
            s.clone().into_buffer_arg(),
            s.into_buffer_arg(),
            y.into_buffer_arg(),
            g.into_buffer_arg(),
            of_w.clone().into_buffer_arg(),
            o,
            i,
            n,
            1.0,
            k * l,
            element,
        );
    }
    DemodulationGradients { w: of_w, s: of_s }
}

/// The gradient of the factors: one cube for each image and output channel.
#[cube(launch_unchecked)]
fn tangent_factor_kernel<E: Float>(
    energy: &[f32],
    s: &[E],
    t: &[E],
    y: &[E],
    g: &[E],
    of_y: &mut [E],
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
        sum += energy[output * inputs + at] * style * f32::cast_from(t[image * inputs + at]);
        at += comptime!(UNITS);
    }
    let sum = cube_sum(sum, comptime!(UNITS));
    if UNIT_POS == 0 && factor < factors {
        let y = f32::cast_from(y[factor]);
        of_y[factor] = E::cast_from(-3.0f32 * y * y * sum * f32::cast_from(g[factor]));
    }
}

/// See
/// [`Kernels::k_demodulation_tangent_gradients`](crate::kernels::Kernels::k_demodulation_tangent_gradients).
pub fn tangent_gradients(
    tensors: [Floats; 4],
    g: Floats,
) -> DemodulationTangentGradients<CubeBackend> {
    let [w, s, y, t] = tensors.map(contiguous);
    let g = contiguous(g);
    let [o, i, k, l] = dims(&w);
    let [n, _] = dims(&s);
    let of_w = empty(&w, [o, i, k, l]);
    let [of_s, of_t] = [(); 2].map(|()| empty(&s, [n, i]));
    let of_y = empty(&y, [n, o]);
    let energy = energy(&w);
    let (client, element) = (w.client.clone(), element(&w));
    let units = CubeDim::new_1d(UNITS as u32);
    // SAFETY: each unit writes a style and its tangent, a factor, or the taps of a pair of channels.
    unsafe {
        style_kernel::launch_unchecked(
            &client,
            grid(1, (n * i).div_ceil(UNITS)),
            units,
            energy.clone().into_buffer_arg(),
            s.clone().into_buffer_arg(),
            t.clone().into_buffer_arg(),
            y.clone().into_buffer_arg(),
            g.clone().into_buffer_arg(),
            of_s.clone().into_buffer_arg(),
            of_t.clone().into_buffer_arg(),
            o,
            i,
            n * i,
            true,
            element,
        );
        tangent_factor_kernel::launch_unchecked(
            &client,
            grid(1, n * o),
            units,
            energy.into_buffer_arg(),
            s.clone().into_buffer_arg(),
            t.clone().into_buffer_arg(),
            y.clone().into_buffer_arg(),
            g.clone().into_buffer_arg(),
            of_y.clone().into_buffer_arg(),
            o,
            i,
            n * o,
            element,
        );
        weight_kernel::launch_unchecked(
            &client,
            grid(1, (o * i).div_ceil(UNITS)),
            units,
            w.into_buffer_arg(),
            s.into_buffer_arg(),
            t.into_buffer_arg(),
            y.into_buffer_arg(),
            g.into_buffer_arg(),
            of_w.clone().into_buffer_arg(),
            o,
            i,
            n,
            2.0,
            k * l,
            element,
        );
    }
    DemodulationTangentGradients { w: of_w, s: of_s, y: of_y, t: of_t }
}
