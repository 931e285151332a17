//! The factors of demodulation of a network's layers and their gradients, with few launches, as
//! [`many`](super::many) explains.

use burn_cubecl::CubeBackend;
use cubecl::prelude::*;

use super::launch::{Floats, all_contiguous, dims, empty, empty_f32, grid, line};
use super::many::chunks;
use super::sums::{SHARES, SHARING, cube_sum, share_sum};
use crate::kernels::outputs::{Demodulation, DemodulationGradients, DemodulationTrace, Tensors};

/// Buffers that a launch for one layer with tangents binds at most.
pub const BINDINGS: usize = 11;
/// Units of a cube that computes one factor of every image.
const ROW: usize = 64;
/// Units of a cube that computes gradients.
const UNITS: usize = SHARING;

#[derive(CubeType, CubeLaunch)]
struct Layer {
    w: Box<[f32]>,
    s: Box<[f32]>,
    energy: Box<[f32]>,
    y: Box<[f32]>,
    inputs: usize,
    outputs: usize,
    taps: usize,
    /// The first of its cubes.
    cube: usize,
}

/// The tangents of a layer.
#[derive(CubeType, CubeLaunch)]
struct Along {
    t: Box<[f32]>,
    along: Box<[f32]>,
}

/// One cube for each output channel of a layer: its energies Σ_k w², and its factor for every image.
/// `tangents` has one element for each layer, or none.
///
/// A unit reads the energies that it has written itself, so no barrier is needed between the two steps.
#[cube(launch_unchecked)]
fn forward_kernel(
    layers: &mut Sequence<Layer>,
    tangents: &mut Sequence<Along>,
    batch: usize,
    #[comptime] tangent: bool,
) {
    let cube = line();
    #[unroll]
    for k in 0..layers.len() {
        let layer = layers.index_mut(k);
        if cube >= layer.cube && cube - layer.cube < layer.outputs {
            let mut at = UNIT_POS as usize;
            while at < layer.inputs {
                let pair = (cube - layer.cube) * layer.inputs + at;
                let mut sum = 0.0f32.runtime();
                for tap in 0..layer.taps {
                    let value = layer.w[pair * layer.taps + tap];
                    sum += value * value;
                }
                layer.energy[pair] = sum;
                at += comptime!(ROW);
            }
        }
    }
    for image in 0..batch {
        let mut squares = 0.0f32.runtime();
        let mut products = 0.0f32.runtime();
        #[unroll]
        for k in 0..layers.len() {
            let layer = layers.index_mut(k);
            if cube >= layer.cube && cube - layer.cube < layer.outputs {
                let row = (cube - layer.cube) * layer.inputs;
                let mut at = UNIT_POS as usize;
                while at < layer.inputs {
                    let style = layer.s[image * layer.inputs + at];
                    let part = layer.energy[row + at] * style;
                    squares += part * style;
                    if comptime!(tangent) {
                        products += part * tangents.index_mut(k).t[image * layer.inputs + at];
                    }
                    at += comptime!(ROW);
                }
            }
        }
        let squares = cube_sum(squares, comptime!(ROW));
        let products =
            if comptime!(tangent) { cube_sum(products, comptime!(ROW)) } else { products };
        #[unroll]
        for k in 0..layers.len() {
            let layer = layers.index_mut(k);
            if UNIT_POS == 0 && cube >= layer.cube && cube - layer.cube < layer.outputs {
                let at = image * layer.outputs + cube - layer.cube;
                let y = 1.0f32 / (squares + 1e-8f32).sqrt();
                layer.y[at] = y;
                if comptime!(tangent) {
                    tangents.index_mut(k).along[at] = 0.0f32 - y * y * y * products;
                }
            }
        }
        // The memory of the sums is used again for the next image.
        sync_cube();
    }
}

/// See [`Kernels::k_demodulation_trace`](crate::kernels::Kernels::k_demodulation_trace); all tensors are
/// f32.
pub fn forward(w: Vec<Floats>, s: Vec<Floats>, t: Vec<Floats>) -> DemodulationTrace<CubeBackend> {
    let [w, s, t] = [w, s, t].map(all_contiguous);
    let [n, _] = dims(&s[0]);
    let tangent = !t.is_empty();
    let factors = |w: &Floats| empty(w, [n, dims::<4>(w)[0]]);
    let y: Vec<Floats> = w.iter().map(factors).collect();
    let along: Vec<Floats> = w.iter().take(t.len()).map(factors).collect();
    let of_pairs = |w: &Floats| {
        let [o, i, _, _] = dims(w);
        empty_f32(w, [o, i])
    };
    let energy: Vec<Floats> = w.iter().map(of_pairs).collect();
    for chunk in chunks(&w[0], w.len(), if tangent { 6 } else { 4 }, 0) {
        let mut cubes = 0;
        let layers = chunk
            .clone()
            .map(|l| {
                let [outputs, inputs, k, _] = dims(&w[l]);
                let cube = cubes;
                cubes += outputs;
                LayerLaunch::new(
                    w[l].clone().into_buffer_arg(),
                    s[l].clone().into_buffer_arg(),
                    energy[l].clone().into_buffer_arg(),
                    y[l].clone().into_buffer_arg(),
                    inputs,
                    outputs,
                    k * k,
                    cube,
                )
            })
            .collect();
        let tangents = chunk
            .filter(|_| tangent)
            .map(|l| {
                AlongLaunch::new(t[l].clone().into_buffer_arg(), along[l].clone().into_buffer_arg())
            })
            .collect();
        // SAFETY: each cube reads one row of a weight and writes its energies and factors.
        unsafe {
            forward_kernel::launch_unchecked(
                &w[0].client,
                grid(1, cubes),
                CubeDim::new_1d(ROW as u32),
                layers,
                tangents,
                n,
                tangent,
            );
        }
    }
    DemodulationTrace { y: Tensors(y), along: Tensors(along), energy: Tensors(energy) }
}

/// Twice the gradient with respect to Σ W²·s², because a square's slope is twice its root, and the
/// gradient with respect to Σ W²·s·t. `y` is a factor, `g` its gradient, `along` its tangent, and `of_along` the gradient of that.
#[cube]
fn by_sums(y: f32, g: f32, along: f32, of_along: f32) -> (f32, f32) {
    let cube = y * y * y;
    let through_y = g + 3.0f32 * along * of_along / y;
    (0.0f32 - cube * through_y, 0.0f32 - cube * of_along)
}

#[derive(CubeType, CubeLaunch)]
struct Styles {
    energy: Box<[f32]>,
    s: Box<[f32]>,
    y: Box<[f32]>,
    g: Box<[f32]>,
    plus: Box<[f32]>,
    of_s: Box<[f32]>,
    inputs: usize,
    outputs: usize,
    /// The first of its cubes.
    cube: usize,
}

#[derive(CubeType, CubeLaunch)]
struct StylesAlong {
    t: Box<[f32]>,
    along: Box<[f32]>,
    of_along: Box<[f32]>,
    plus: Box<[f32]>,
    of_t: Box<[f32]>,
}

/// The gradients of styles and their tangents. A cube computes [`UNITS`]/[`SHARES`] neighbouring ones.
#[cube(launch_unchecked)]
fn style_kernel(
    layers: &mut Sequence<Styles>,
    tangents: &mut Sequence<StylesAlong>,
    batch: usize,
    #[comptime] tangent: bool,
) {
    let cube = line();
    let wide = comptime!(UNITS / SHARES);
    let share = UNIT_POS as usize / wide;
    let lane = UNIT_POS as usize % wide;
    let mut by_squares = 0.0f32.runtime();
    let mut by_products = 0.0f32.runtime();
    #[unroll]
    for k in 0..layers.len() {
        let layer = layers.index_mut(k);
        let at = (cube - layer.cube) * wide + lane;
        if cube >= layer.cube && at < batch * layer.inputs {
            let (image, input) = (at / layer.inputs, at % layer.inputs);
            let mut output = share;
            while output < layer.outputs {
                let factor = image * layer.outputs + output;
                let energy = layer.energy[output * layer.inputs + input];
                let (y, g) = (layer.y[factor], layer.g[factor]);
                if comptime!(tangent) {
                    let own = tangents.index_mut(k);
                    let (square, product) = by_sums(y, g, own.along[factor], own.of_along[factor]);
                    by_squares += square * energy;
                    by_products += product * energy;
                } else {
                    by_squares -= y * y * y * g * energy;
                }
                output += comptime!(SHARES);
            }
        }
    }
    let by_squares = share_sum(by_squares);
    let by_products = if comptime!(tangent) { share_sum(by_products) } else { by_products };
    #[unroll]
    for k in 0..layers.len() {
        let layer = layers.index_mut(k);
        let at = (cube - layer.cube) * wide + lane;
        if share == 0 && cube >= layer.cube && at < batch * layer.inputs {
            let style = layer.s[at];
            let of_s = by_squares * style + layer.plus[at];
            if comptime!(tangent) {
                let own = tangents.index_mut(k);
                layer.of_s[at] = of_s + by_products * own.t[at];
                own.of_t[at] = by_products * style + own.plus[at];
            } else {
                layer.of_s[at] = of_s;
            }
        }
    }
}

#[derive(CubeType, CubeLaunch)]
struct Weights {
    w: Box<[f32]>,
    s: Box<[f32]>,
    y: Box<[f32]>,
    g: Box<[f32]>,
    plus: Box<[f32]>,
    of_w: Box<[f32]>,
    inputs: usize,
    outputs: usize,
    taps: usize,
    /// The first of its cubes.
    cube: usize,
}

#[derive(CubeType, CubeLaunch)]
struct WeightsAlong {
    t: Box<[f32]>,
    along: Box<[f32]>,
    of_along: Box<[f32]>,
}

/// One unit for each pair of channels.
#[cube(launch_unchecked)]
fn weight_kernel(
    layers: &mut Sequence<Weights>,
    tangents: &mut Sequence<WeightsAlong>,
    batch: usize,
    #[comptime] tangent: bool,
) {
    let cube = line();
    #[unroll]
    for k in 0..layers.len() {
        let layer = layers.index_mut(k);
        let pair = (cube - layer.cube) * comptime!(UNITS) + UNIT_POS as usize;
        if cube >= layer.cube && pair < layer.outputs * layer.inputs {
            let (output, input) = (pair / layer.inputs, pair % layer.inputs);
            let mut sum = 0.0f32.runtime();
            for image in 0..batch {
                let style = layer.s[image * layer.inputs + input];
                let factor = image * layer.outputs + output;
                let (y, g) = (layer.y[factor], layer.g[factor]);
                if comptime!(tangent) {
                    let own = tangents.index_mut(k);
                    let (square, product) = by_sums(y, g, own.along[factor], own.of_along[factor]);
                    let t = own.t[image * layer.inputs + input];
                    sum += (square * style + 2.0f32 * product * t) * style;
                } else {
                    sum -= y * y * y * g * style * style;
                }
            }
            for tap in 0..layer.taps {
                let at = pair * layer.taps + tap;
                layer.of_w[at] = layer.w[at] * sum + layer.plus[at];
            }
        }
    }
}

/// See [`Kernels::k_demodulation_gradients`](crate::kernels::Kernels::k_demodulation_gradients); all
/// tensors are f32.
pub fn gradients(
    [w, s, t]: [Vec<Floats>; 3],
    trace: DemodulationTrace<CubeBackend>,
    given: Demodulation<CubeBackend>,
) -> DemodulationGradients<CubeBackend> {
    let [w, s, t] = [w, s, t].map(all_contiguous);
    let [y, along, energy] = [trace.y.0, trace.along.0, trace.energy.0];
    let [g, of_along] = [given.y.0, given.along.0].map(all_contiguous);
    let [plus_w, plus_s, plus_t] = [given.w.0, given.s.0, given.t.0].map(all_contiguous);
    let [n, _] = dims(&s[0]);
    let tangent = !t.is_empty();
    let arg = |list: &[Floats], layer: usize| list[layer].clone().into_buffer_arg();
    let of_s: Vec<Floats> = plus_s.iter().map(|s| empty(s, dims::<2>(s))).collect();
    let of_t: Vec<Floats> = t.iter().take(of_s.len()).map(|t| empty(t, dims::<2>(t))).collect();
    for chunk in chunks(&w[0], of_s.len(), if tangent { BINDINGS } else { 6 }, 0) {
        let mut cubes = 0;
        let layers = chunk
            .clone()
            .map(|l| {
                let [outputs, inputs, _, _] = dims(&w[l]);
                let cube = cubes;
                cubes += (n * inputs).div_ceil(UNITS / SHARES);
                StylesLaunch::new(
                    arg(&energy, l),
                    arg(&s, l),
                    arg(&y, l),
                    arg(&g, l),
                    arg(&plus_s, l),
                    arg(&of_s, l),
                    inputs,
                    outputs,
                    cube,
                )
            })
            .collect();
        let tangents = chunk
            .filter(|_| tangent)
            .map(|l| {
                StylesAlongLaunch::new(
                    arg(&t, l),
                    arg(&along, l),
                    arg(&of_along, l),
                    arg(&plus_t, l),
                    arg(&of_t, l),
                )
            })
            .collect();
        // SAFETY: each cube writes some of the styles of one layer, and their tangents.
        unsafe {
            style_kernel::launch_unchecked(
                &w[0].client,
                grid(1, cubes),
                CubeDim::new_1d(UNITS as u32),
                layers,
                tangents,
                n,
                tangent,
            );
        }
    }
    let of_w: Vec<Floats> = plus_w.iter().map(|w| empty(w, dims::<4>(w))).collect();
    for chunk in chunks(&w[0], of_w.len(), if tangent { 9 } else { 6 }, 0) {
        let mut cubes = 0;
        let layers = chunk
            .clone()
            .map(|l| {
                let [outputs, inputs, k, _] = dims(&w[l]);
                let cube = cubes;
                cubes += (outputs * inputs).div_ceil(UNITS);
                WeightsLaunch::new(
                    arg(&w, l),
                    arg(&s, l),
                    arg(&y, l),
                    arg(&g, l),
                    arg(&plus_w, l),
                    arg(&of_w, l),
                    inputs,
                    outputs,
                    k * k,
                    cube,
                )
            })
            .collect();
        let tangents = chunk
            .filter(|_| tangent)
            .map(|l| WeightsAlongLaunch::new(arg(&t, l), arg(&along, l), arg(&of_along, l)))
            .collect();
        // SAFETY: each unit writes the taps of one pair of channels of one layer.
        unsafe {
            weight_kernel::launch_unchecked(
                &w[0].client,
                grid(1, cubes),
                CubeDim::new_1d(UNITS as u32),
                layers,
                tangents,
                n,
                tangent,
            );
        }
    }
    DemodulationGradients { w: Tensors(of_w), s: Tensors(of_s), t: Tensors(of_t) }
}
