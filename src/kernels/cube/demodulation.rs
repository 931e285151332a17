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

/// The result of a row of energies for every image, from Σ_i energy_i·s_i·t_i.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Of {
    /// The factors y; t is s.
    Factor,
    /// The tangent of the factors y along t.
    Tangent,
    /// The gradient of the factors, given the one with respect to their tangent.
    Gradient,
}

/// One cube for each output channel: its energies Σ_k w² of w `[O, I, k, k]` → `[O, I]`, and what they
/// give for every image → `[N, O]`. `y` and `g` are read only where [`Of`] needs them.
///
/// A unit reads the energies that it has written itself, so no barrier is needed between the two steps.
#[cube(launch_unchecked)]
fn row_kernel<E: Float>(
    w: &[E],
    s: &[E],
    t: &[E],
    y: &[E],
    g: &[E],
    energy: &mut [f32],
    found: &mut [E],
    outputs: usize,
    inputs: usize,
    batch: usize,
    #[comptime] taps: usize,
    #[comptime] of: Of,
    #[define(E)] _element: ElemType,
) {
    let row = line();
    let exists = row < outputs;
    let output = select(exists, row, 0usize.runtime());
    let mut at = UNIT_POS as usize;
    while at < inputs && exists {
        let pair = output * inputs + at;
        let mut sum = 0.0f32.runtime();
        #[unroll]
        for k in 0..taps {
            let value = f32::cast_from(w[pair * taps + k]);
            sum += value * value;
        }
        energy[pair] = sum;
        at += comptime!(UNITS);
    }
    for image in 0..batch {
        let mut sum = 0.0f32.runtime();
        let mut at = UNIT_POS as usize;
        while at < inputs && exists {
            let style = image * inputs + at;
            let product = f32::cast_from(s[style]) * f32::cast_from(t[style]);
            sum += energy[output * inputs + at] * product;
            at += comptime!(UNITS);
        }
        let sum = cube_sum(sum, comptime!(UNITS));
        if UNIT_POS == 0 && exists {
            let factor = image * outputs + output;
            let value = if comptime!(of == Of::Factor) {
                1.0f32 / (sum + 1e-8f32).sqrt()
            } else {
                let y = f32::cast_from(y[factor]);
                if comptime!(of == Of::Tangent) {
                    0.0f32 - y * y * y * sum
                } else {
                    -3.0f32 * y * y * sum * f32::cast_from(g[factor])
                }
            };
            found[factor] = E::cast_from(value);
        }
    }
}

/// Energies `[O, I]`, and what they give for every image `[N, O]`, for contiguous tensors.
fn rows(w: &Floats, [s, t]: [&Floats; 2], [y, g]: [&Floats; 2], of: Of) -> (Floats, Floats) {
    let [o, i, k, l] = dims(w);
    let [n, _] = dims(s);
    let (energy, found) = (empty_f32(w, [o, i]), empty(s, [n, o]));
    // SAFETY: each cube reads one row of the weight and writes its energies and results.
    unsafe {
        row_kernel::launch_unchecked(
            &w.client,
            grid(1, o),
            CubeDim::new_1d(UNITS as u32),
            w.clone().into_buffer_arg(),
            s.clone().into_buffer_arg(),
            t.clone().into_buffer_arg(),
            y.clone().into_buffer_arg(),
            g.clone().into_buffer_arg(),
            energy.clone().into_buffer_arg(),
            found.clone().into_buffer_arg(),
            o,
            i,
            n,
            k * l,
            of,
            element(w),
        );
    }
    (energy, found)
}

/// See [`Kernels::k_demodulation_trace`](crate::kernels::Kernels::k_demodulation_trace).
pub fn forward(w: Floats, s: Floats) -> DemodulationTrace<CubeBackend> {
    let (w, s) = (contiguous(w), contiguous(s));
    let (energy, y) = rows(&w, [&s, &s], [&s, &s], Of::Factor);
    DemodulationTrace { y, energy }
}

/// See [`Kernels::k_demodulation_tangent`](crate::kernels::Kernels::k_demodulation_tangent).
pub fn tangent(w: Floats, s: Floats, y: Floats, t: Floats) -> Floats {
    let [w, s, y, t] = [w, s, y, t].map(contiguous);
    rows(&w, [&s, &t], [&y, &y], Of::Tangent).1
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
    let (energy, of_y) = rows(&w, [&s, &t], [&y, &g], Of::Gradient);
    let (client, element) = (w.client.clone(), element(&w));
    let units = CubeDim::new_1d(UNITS as u32);
    // SAFETY: each unit writes a style and its tangent, or the taps of a pair of channels.
    unsafe {
        style_kernel::launch_unchecked(
            &client,
            grid(1, (n * i).div_ceil(UNITS)),
            units,
            energy.into_buffer_arg(),
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
