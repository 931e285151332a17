//! Factor, noise, bias and activation in one pass, and all its gradients in another.

use burn_cubecl::CubeBackend;
use cubecl::prelude::*;

use super::launch::{Floats, contiguous, dims, element, empty, empty_f32, grid, line, part};
use super::planes::{Act, Division, Sides, act_arg, activate, leave_sum, place, sloped};
use super::sums::cube_sum;
use crate::kernels::outputs::NoiseActGradients;
use crate::kernels::spec::Activation;

/// Units of a cube that adds up sums.
const SUMMING: usize = 64;

#[cube(launch_unchecked)]
fn noise_act_kernel<E: Float, N: Size>(
    x: &[Vector<E, N>],
    scale: &[f32],
    noise: &[Vector<f32, N>],
    strength: &[f32],
    b: &[f32],
    y: &mut [Vector<E, N>],
    sides: &Sides,
    act: &Act,
    #[comptime] shared: bool,
    #[define(E)] _element: ElemType,
) {
    let here = place(sides);
    let factor = Vector::<f32, N>::new(scale[here.plane]);
    let bias = Vector::<f32, N>::new(b[here.plane % sides.channels]);
    let strength = Vector::<f32, N>::new(strength[0]);
    let image = if comptime!(shared) { 0usize.runtime() } else { here.plane / sides.channels };
    let noises = image * sides.vectors;
    let mut at = here.start;
    while at < here.end {
        let i = here.offset + at;
        let scaled = Vector::<f32, N>::cast_from(x[i]) * factor;
        let noise = noise[noises + at] * strength;
        y[i] = Vector::cast_from(activate::<N>(scaled + noise + bias, act));
        at += CUBE_DIM_X as usize;
    }
}

/// See [`Kernels::k_noise_act`](crate::kernels::Kernels::k_noise_act). The parameters are the factors
/// of the planes, the noise, its strength and the bias.
pub fn noise_act(x: Floats, parameters: [Floats; 4], act: Activation) -> Floats {
    let x = contiguous(x);
    let [scale, noise, strength, b] = parameters.map(contiguous);
    let y = empty(&x, dims::<4>(&x));
    let division = Division::shared(dims(&x));
    let shared = dims::<4>(&noise)[0] == 1;
    let (client, element) = (x.client.clone(), element(&x));
    // SAFETY: `place` stays within the planes; there is one factor for each of them, one bias for
    // each channel, and one plane of noise for each image or for all.
    unsafe {
        noise_act_kernel::launch_unchecked(
            &client,
            division.count(),
            division.units(),
            division.vector,
            x.into_buffer_arg(),
            scale.into_buffer_arg(),
            noise.into_buffer_arg(),
            strength.into_buffer_arg(),
            b.into_buffer_arg(),
            y.clone().into_buffer_arg(),
            division.sides(),
            act_arg(act),
            shared,
            element,
        );
    }
    y
}

#[cube(launch_unchecked)]
fn noise_act_gradients_kernel<E: Float, N: Size>(
    y: &[Vector<E, N>],
    g: &[Vector<E, N>],
    scale: &[f32],
    noise: &[Vector<f32, N>],
    strength: &[f32],
    b: &[f32],
    of_x: &mut [Vector<E, N>],
    sums: &mut [f32],
    sides: &Sides,
    act: &Act,
    gain: f32,
    #[comptime] shared: bool,
    #[comptime] units: usize,
    #[define(E)] _element: ElemType,
) {
    let here = place(sides);
    let factor = scale[here.plane];
    let factors = Vector::<f32, N>::new(factor * gain);
    let bias = Vector::<f32, N>::new(b[here.plane % sides.channels]);
    let strength = Vector::<f32, N>::new(strength[0]);
    let image = if comptime!(shared) { 0usize.runtime() } else { here.plane / sides.channels };
    let noises = image * sides.vectors;
    let zero = Vector::<f32, N>::new(0.0f32);
    let (mut by_scale, mut by_noise, mut all) = (zero, zero, zero);
    let mut at = here.start;
    while at < here.end {
        let i = here.offset + at;
        let output = Vector::<f32, N>::cast_from(y[i]);
        let h = sloped::<N>(Vector::cast_from(g[i]), output, act);
        // The argument of the activation; without noise and bias it is the scaled input.
        let plain = output * Vector::new(1.0f32 / act.gain);
        let argument =
            select_many(plain.greater_than(&zero), plain, plain * Vector::new(1.0f32 / act.slope));
        let noise = noise[noises + at];
        of_x[i] = Vector::cast_from(h * factors);
        by_scale += h * (argument - (noise * strength + bias));
        by_noise += h * noise;
        all += h;
        at += CUBE_DIM_X as usize;
    }
    // Of factors, strength and bias in this order: few devices bind more than eight buffers for sure.
    let kind = sides.planes * CUBE_COUNT_X as usize;
    let by_scale = by_scale * Vector::new(1.0f32 / factor);
    leave_sum::<N>(sums, &here, 0usize.runtime(), by_scale, units);
    leave_sum::<N>(sums, &here, kind, by_noise, units);
    leave_sum::<N>(sums, &here, 2 * kind, all, units);
}

/// Adds up what [`noise_act_gradients_kernel`] leaves: one cube for each plane, then one for each
/// channel, then one for the strength.
#[cube(launch_unchecked)]
fn noise_sums_kernel(
    sums: &[f32],
    of_scale: &mut [f32],
    of_strength: &mut [f32],
    of_bias: &mut [f32],
    batch: usize,
    channels: usize,
    parts: usize,
) {
    let cube = line();
    let planes = batch * channels;
    let kind = planes * parts;
    let is_plane = cube < planes;
    let is_channel = cube >= planes && cube < planes + channels;
    let runs = select(is_channel, batch, 1usize.runtime());
    let run = select(is_plane || is_channel, parts, kind);
    let distance = channels * parts;
    let first = select(
        is_plane,
        cube * parts,
        select(is_channel, 2 * kind + (cube - planes) * parts, kind),
    );
    let known = cube <= planes + channels;
    let count = select(known, runs * run, 0usize.runtime());
    let mut sum = 0.0f32.runtime();
    let mut at = UNIT_POS as usize;
    while at < count {
        sum += sums[first + at / run * distance + at % run];
        at += comptime!(SUMMING);
    }
    let sum = cube_sum(sum, comptime!(SUMMING));
    if UNIT_POS == 0 && known {
        if is_plane {
            of_scale[cube] = sum;
        } else if is_channel {
            of_bias[cube - planes] = sum;
        } else {
            of_strength[0] = sum;
        }
    }
}

/// The gradient with respect to the input times `gain`, and what [`noise_act_gradients_kernel`] leaves of the
/// others, in planes that are divided so. The parameters are as in [`noise_act`].
fn gradients(
    y: Floats,
    g: Floats,
    parameters: [Floats; 4],
    act: Activation,
    gain: f32,
) -> (Floats, Floats, Division) {
    let (y, g) = (contiguous(y), contiguous(g));
    let [scale, noise, strength, b] = parameters.map(contiguous);
    let of_x = empty(&y, dims::<4>(&y));
    let division = Division::own(dims(&y));
    let sums = empty_f32(&y, [3 * division.sums()]);
    let shared = dims::<4>(&noise)[0] == 1;
    let (client, element) = (y.client.clone(), element(&y));
    // SAFETY: as above; there is one sum of each kind for each part of a plane.
    unsafe {
        noise_act_gradients_kernel::launch_unchecked(
            &client,
            division.count(),
            division.units(),
            division.vector,
            y.into_buffer_arg(),
            g.into_buffer_arg(),
            scale.into_buffer_arg(),
            noise.into_buffer_arg(),
            strength.into_buffer_arg(),
            b.into_buffer_arg(),
            of_x.clone().into_buffer_arg(),
            sums.clone().into_buffer_arg(),
            division.sides(),
            act_arg(act),
            gain,
            shared,
            division.wide,
            element,
        );
    }
    (of_x, sums, division)
}

/// See [`Kernels::k_noise_act_gradients`](crate::kernels::Kernels::k_noise_act_gradients).
pub fn noise_act_gradients(
    y: Floats,
    g: Floats,
    parameters: [Floats; 4],
    act: Activation,
) -> NoiseActGradients<CubeBackend> {
    let [n, c, _, _] = dims(&y);
    let (x, sums, division) = gradients(y, g, parameters, act, 1.0);
    let scale = empty_f32(&x, [n, c]);
    let [strength, bias] = [1, c].map(|length| empty_f32(&x, [length]));
    // SAFETY: each cube adds up the numbers of one result.
    unsafe {
        noise_sums_kernel::launch_unchecked(
            &x.client,
            grid(1, n * c + c + 1),
            CubeDim::new_1d(SUMMING as u32),
            sums.into_buffer_arg(),
            scale.clone().into_buffer_arg(),
            strength.clone().into_buffer_arg(),
            bias.clone().into_buffer_arg(),
            n,
            c,
            division.sums() / (n * c),
        );
    }
    NoiseActGradients { x, scale, strength, bias }
}

/// See [`Kernels::k_noise_act_gradients_in_parts`](crate::kernels::Kernels::k_noise_act_gradients_in_parts).
pub fn noise_act_gradients_in_parts(
    y: Floats,
    g: Floats,
    parameters: [Floats; 4],
    act: Activation,
    gain: f32,
) -> NoiseActGradients<CubeBackend> {
    let [n, c, _, _] = dims(&y);
    let (x, sums, division) = gradients(y, g, parameters, act, gain);
    let count = division.sums();
    let parts = count / (n * c);
    let kind = |number: usize, shape: [usize; 3]| part(&sums, number * count, shape);
    NoiseActGradients {
        scale: kind(0, [1, n * c, parts]),
        strength: kind(1, [1, 1, count]),
        bias: kind(2, [n, c, parts]),
        x,
    }
}
