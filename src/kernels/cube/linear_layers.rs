//! Linear layers of a network with few launches, as [`many`](super::many) explains.

use burn_cubecl::CubeBackend;
use cubecl::prelude::*;

use super::launch::{Floats, all_contiguous, dims, empty, empty_f32, grid, line};
use super::many::chunks;
use super::sums::{SHARES, SHARING, cube_sum, share_sum};
use crate::kernels::outputs::{LinearLayersGradients, Tensors};
use crate::kernels::spec::LinearLayers;

/// Units of a cube that computes one output of every image.
const ROW: usize = 64;
/// Units of a cube that computes gradients.
const UNITS: usize = SHARING;

#[derive(CubeType, CubeLaunch)]
struct Layer {
    w: Box<[f32]>,
    b: Box<[f32]>,
    y: Box<[f32]>,
    /// The first element of its input.
    first: usize,
    inputs: usize,
    outputs: usize,
    gain: f32,
    bias_gain: f32,
    /// The first of its cubes.
    cube: usize,
}

/// One cube for each output of a layer.
#[cube(launch_unchecked)]
fn forward_kernel(layers: &mut Sequence<Layer>, x: &[f32], batch: usize) {
    let cube = line();
    for image in 0..batch {
        let mut sum = 0.0f32.runtime();
        #[unroll]
        for k in 0..layers.len() {
            let layer = layers.index_mut(k);
            if cube >= layer.cube && cube - layer.cube < layer.outputs {
                let row = (cube - layer.cube) * layer.inputs;
                let mut at = UNIT_POS as usize;
                while at < layer.inputs {
                    let input = x[layer.first + image * layer.inputs + at];
                    sum += input * layer.w[row + at];
                    at += comptime!(ROW);
                }
            }
        }
        let sum = cube_sum(sum, comptime!(ROW));
        #[unroll]
        for k in 0..layers.len() {
            let layer = layers.index_mut(k);
            if UNIT_POS == 0 && cube >= layer.cube && cube - layer.cube < layer.outputs {
                let output = cube - layer.cube;
                let value = sum * layer.gain + layer.b[output] * layer.bias_gain;
                layer.y[image * layer.outputs + output] = value;
            }
        }
        // The sum's memory is used again for the next image.
        sync_cube();
    }
}

/// See [`Kernels::k_linear_layers`](crate::kernels::Kernels::k_linear_layers); all tensors are f32.
pub fn forward(
    x: Vec<Floats>,
    w: Vec<Floats>,
    b: Vec<Floats>,
    layers: &LinearLayers,
) -> Vec<Floats> {
    let [x, w, b] = [x, w, b].map(all_contiguous);
    let n = dims::<2>(&x[0])[0] / layers.inputs;
    let y: Vec<Floats> = w.iter().map(|w| empty(w, [n, dims::<2>(w)[0]])).collect();
    for chunk in chunks(&w[0], w.len(), 3, 1) {
        let mut cubes = 0;
        let arguments = chunk
            .map(|l| {
                let [outputs, inputs] = dims(&w[l]);
                let [gain, bias_gain] = layers.gains(l);
                let cube = cubes;
                cubes += outputs;
                LayerLaunch::new(
                    w[l].clone().into_buffer_arg(),
                    b[l].clone().into_buffer_arg(),
                    y[l].clone().into_buffer_arg(),
                    layers.layers[l].0 * n * inputs,
                    inputs,
                    outputs,
                    gain,
                    bias_gain,
                    cube,
                )
            })
            .collect();
        // SAFETY: each cube computes one output of one layer for every image.
        unsafe {
            forward_kernel::launch_unchecked(
                &w[0].client,
                grid(1, cubes),
                CubeDim::new_1d(ROW as u32),
                arguments,
                x[0].clone().into_buffer_arg(),
                n,
            );
        }
    }
    y
}

#[derive(CubeType, CubeLaunch)]
struct Back {
    g: Box<[f32]>,
    w: Box<[f32]>,
    inputs: usize,
    outputs: usize,
    gain: f32,
    /// The first of its numbers in the result.
    first: usize,
    /// The first of its cubes.
    cube: usize,
}

/// Writes what each layer adds to the gradient of its input, `[N, I]` one after the other. A cube
/// computes [`UNITS`]/[`SHARES`] neighbouring numbers.
#[cube(launch_unchecked)]
fn back_kernel(layers: &mut Sequence<Back>, parts: &mut [f32], batch: usize) {
    let cube = line();
    let wide = comptime!(UNITS / SHARES);
    let share = UNIT_POS as usize / wide;
    let lane = UNIT_POS as usize % wide;
    let mut sum = 0.0f32.runtime();
    #[unroll]
    for k in 0..layers.len() {
        let layer = layers.index_mut(k);
        let at = (cube - layer.cube) * wide + lane;
        if cube >= layer.cube && at < batch * layer.inputs {
            let (image, input) = (at / layer.inputs, at % layer.inputs);
            let mut output = share;
            while output < layer.outputs {
                let gradient = layer.g[image * layer.outputs + output];
                sum += gradient * layer.w[output * layer.inputs + input];
                output += comptime!(SHARES);
            }
        }
    }
    let sum = share_sum(sum);
    #[unroll]
    for k in 0..layers.len() {
        let layer = layers.index_mut(k);
        let at = (cube - layer.cube) * wide + lane;
        if share == 0 && cube >= layer.cube && at < batch * layer.inputs {
            parts[layer.first + at] = sum * layer.gain;
        }
    }
}

#[derive(CubeType, CubeLaunch, Clone, Copy)]
struct Input {
    /// The first of its numbers in the parts.
    first: usize,
    /// Number of layers that have this input.
    layers: usize,
}

/// Adds up what the layers of each input have left. Inputs have `length` elements.
#[cube(launch_unchecked)]
fn input_kernel(inputs: &Sequence<Input>, parts: &[f32], of_x: &mut [f32], length: usize) {
    let at = line() * comptime!(UNITS) + UNIT_POS as usize;
    #[unroll]
    for k in 0..inputs.len() {
        let input = inputs.index(k);
        if at < length {
            let mut sum = 0.0f32.runtime();
            for layer in 0..input.layers {
                sum += parts[input.first + layer * length + at];
            }
            of_x[k * length + at] = sum;
        }
    }
}

#[derive(CubeType, CubeLaunch)]
struct Parameters {
    g: Box<[f32]>,
    of_w: Box<[f32]>,
    of_b: Box<[f32]>,
    /// The first element of its input.
    first: usize,
    inputs: usize,
    outputs: usize,
    gain: f32,
    bias_gain: f32,
    /// The first of its cubes.
    cube: usize,
}

/// One unit for each weight; those of the first input also compute the bias.
#[cube(launch_unchecked)]
fn parameter_kernel(
    layers: &mut Sequence<Parameters>,
    x: &[f32],
    batch: usize,
    #[comptime] biased: bool,
) {
    let cube = line();
    #[unroll]
    for k in 0..layers.len() {
        let layer = layers.index_mut(k);
        let at = (cube - layer.cube) * comptime!(UNITS) + UNIT_POS as usize;
        if cube >= layer.cube && at < layer.outputs * layer.inputs {
            let (output, input) = (at / layer.inputs, at % layer.inputs);
            let mut sum = 0.0f32.runtime();
            let mut of_b = 0.0f32.runtime();
            for image in 0..batch {
                let gradient = layer.g[image * layer.outputs + output];
                sum += gradient * x[layer.first + image * layer.inputs + input];
                of_b += gradient;
            }
            layer.of_w[at] = sum * layer.gain;
            if comptime!(biased) && input == 0 {
                layer.of_b[output] = of_b * layer.bias_gain;
            }
        }
    }
}

/// See [`Kernels::k_linear_layers_gradients`](crate::kernels::Kernels::k_linear_layers_gradients); all
/// tensors are f32.
pub fn gradients(
    [x, w, g]: [Vec<Floats>; 3],
    layers: &LinearLayers,
    inputs: bool,
    parameters: bool,
) -> LinearLayersGradients<CubeBackend> {
    let [x, w, g] = [x, w, g].map(all_contiguous);
    let of_x = inputs.then(|| input_gradients(&x[0], &w, &g, layers));
    let (of_w, of_b) = match parameters {
        true => parameter_gradients(&x[0], &w, &g, layers),
        false => (Vec::new(), Vec::new()),
    };
    LinearLayersGradients {
        x: Tensors(of_x.into_iter().collect()),
        w: Tensors(of_w),
        b: Tensors(of_b),
    }
}

fn input_gradients(x: &Floats, w: &[Floats], g: &[Floats], layers: &LinearLayers) -> Floats {
    let [n, _] = dims(&g[0]);
    let sizes: Vec<usize> = w.iter().map(|w| n * dims::<2>(w)[1]).collect();
    let firsts: Vec<usize> = sizes
        .iter()
        .scan(0, |next, size| {
            *next += size;
            Some(*next - size)
        })
        .collect();
    let parts = empty_f32(&w[0], [sizes.iter().sum::<usize>()]);
    for chunk in chunks(&w[0], w.len(), 2, 1) {
        let mut cubes = 0;
        let arguments = chunk
            .map(|l| {
                let [outputs, inputs] = dims(&w[l]);
                let cube = cubes;
                cubes += sizes[l].div_ceil(UNITS / SHARES);
                BackLaunch::new(
                    g[l].clone().into_buffer_arg(),
                    w[l].clone().into_buffer_arg(),
                    inputs,
                    outputs,
                    layers.gains(l)[0],
                    firsts[l],
                    cube,
                )
            })
            .collect();
        // SAFETY: each cube writes some of the numbers of one layer.
        unsafe {
            back_kernel::launch_unchecked(
                &w[0].client,
                grid(1, cubes),
                CubeDim::new_1d(UNITS as u32),
                arguments,
                parts.clone().into_buffer_arg(),
                n,
            );
        }
    }
    let found = empty(x, dims::<2>(x));
    let length = n * dims::<2>(x)[1];
    let inputs = (0..layers.inputs)
        .map(|input| {
            let own = layers.of(input);
            let first = firsts.get(own.start).copied().unwrap_or(0);
            InputLaunch::new(first, own.len())
        })
        .collect();
    // SAFETY: the layers of an input follow each other, and their parts have its length.
    unsafe {
        input_kernel::launch_unchecked(
            &w[0].client,
            grid(1, length.div_ceil(UNITS)),
            CubeDim::new_1d(UNITS as u32),
            inputs,
            parts.into_buffer_arg(),
            found.clone().into_buffer_arg(),
            length,
        );
    }
    found
}

fn parameter_gradients(
    x: &Floats,
    w: &[Floats],
    g: &[Floats],
    layers: &LinearLayers,
) -> (Vec<Floats>, Vec<Floats>) {
    let [n, _] = dims(&g[0]);
    let of_w: Vec<Floats> = w.iter().map(|w| empty(w, dims::<2>(w))).collect();
    // Without biases, there is one number that nothing writes.
    let bias = |w: &Floats| empty(w, [if layers.biased { dims::<2>(w)[0] } else { 1 }]);
    let of_b: Vec<Floats> = w.iter().map(bias).collect();
    for chunk in chunks(&w[0], w.len(), 3, 1) {
        let mut cubes = 0;
        let arguments = chunk
            .map(|l| {
                let [outputs, inputs] = dims(&w[l]);
                let [gain, bias_gain] = layers.gains(l);
                let cube = cubes;
                cubes += (outputs * inputs).div_ceil(UNITS);
                ParametersLaunch::new(
                    g[l].clone().into_buffer_arg(),
                    of_w[l].clone().into_buffer_arg(),
                    of_b[l].clone().into_buffer_arg(),
                    layers.layers[l].0 * n * inputs,
                    inputs,
                    outputs,
                    gain,
                    bias_gain,
                    cube,
                )
            })
            .collect();
        // SAFETY: each unit writes one weight, and the first of a row its bias.
        unsafe {
            parameter_kernel::launch_unchecked(
                &w[0].client,
                grid(1, cubes),
                CubeDim::new_1d(UNITS as u32),
                arguments,
                x.clone().into_buffer_arg(),
                n,
                layers.biased,
            );
        }
    }
    (of_w, if layers.biased { of_b } else { Vec::new() })
}
