//! An LSTM, with two launches for each step and direction: the product of states and weights, and the
//! cells.

use burn::backend::ops::FloatTensorOps;
use burn::tensor::{Shape, TensorData};
use burn_cubecl::CubeBackend;
use cubecl::prelude::*;

use super::epilogue::Epilogue;
use super::launch::{Floats, contiguous, cover, covered, dims, empty, part, reshaped};
use super::linear;
use crate::kernels::outputs::{LstmGradients, LstmTrace};
use crate::kernels::spec::Sequences;

/// Units of a cube.
const UNITS: usize = 128;

/// The sizes of a step: one unit for each number of the state of each sequence.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
struct Step {
    /// N and H.
    batch: usize,
    hidden: usize,
    /// Index of this time step, and of the one before.
    at: usize,
    before: usize,
    /// Whether this is the first step, whose state before is 0.
    #[cube(comptime)]
    first: bool,
}

#[cube]
fn sigmoid(x: f32) -> f32 {
    1.0f32 / (1.0f32 + (-x).exp())
}

/// The gates of a step lie in `z` from number `from` on.
#[cube(launch_unchecked)]
fn forward_kernel(
    z: &[f32],
    lengths: &[f32],
    states: &mut [f32],
    cells: &mut [f32],
    gates: &mut [f32],
    from: usize,
    step: &Step,
) {
    let unit = covered(UNITS);
    let (plane, hidden) = (step.batch * step.hidden, step.hidden);
    if unit < plane {
        let row = unit / hidden;
        let gate = row * hidden * 4 + unit % hidden;
        let input = sigmoid(z[from + gate]);
        let forget = sigmoid(z[from + gate + hidden]);
        let candidate = z[from + gate + 2 * hidden].tanh();
        let output = sigmoid(z[from + gate + 3 * hidden]);
        let earlier = step.before * plane + unit;
        let zero = 0.0f32.runtime();
        let cell_before = if comptime!(step.first) { zero } else { cells[earlier] };
        let state_before = if comptime!(step.first) { zero } else { states[earlier] };
        let cell = forget * cell_before + input * candidate;
        let state = output * cell.tanh();
        // A sequence without a token keeps its state.
        let on = f32::cast_from(step.at) < lengths[row];
        cells[step.at * plane + unit] = select(on, cell, cell_before);
        states[step.at * plane + unit] = select(on, state, state_before);
        let to = step.at * plane * 4 + gate;
        gates[to] = input;
        gates[to + hidden] = forget;
        gates[to + 2 * hidden] = candidate;
        gates[to + 3 * hidden] = output;
    }
}

/// Replaces the gradients with respect to state and cell after a step by what reaches those before it
/// other than through the product.
#[cube(launch_unchecked)]
fn backward_kernel(
    g: &[f32],
    gates: &[f32],
    cells: &[f32],
    lengths: &[f32],
    of_state: &mut [f32],
    of_cell: &mut [f32],
    of_gates: &mut [f32],
    step: &Step,
) {
    let unit = covered(UNITS);
    let (plane, hidden) = (step.batch * step.hidden, step.hidden);
    if unit < plane {
        let row = unit / hidden;
        let zero = 0.0f32.runtime();
        let on = f32::cast_from(step.at) < lengths[row];
        let from = step.at * plane * 4 + row * hidden * 4 + unit % hidden;
        let input = gates[from];
        let forget = gates[from + hidden];
        let candidate = gates[from + 2 * hidden];
        let output = gates[from + 3 * hidden];
        let squashed = cells[step.at * plane + unit].tanh();
        let state = of_state[unit] + g[step.at * plane + unit];
        let here = select(on, state, zero);
        let cell = select(on, of_cell[unit], zero) + here * output * (1.0f32 - squashed * squashed);
        let earlier = step.before * plane + unit;
        let cell_before = if comptime!(step.first) { zero } else { cells[earlier] };
        of_gates[from] = cell * candidate * input * (1.0f32 - input);
        of_gates[from + hidden] = cell * cell_before * forget * (1.0f32 - forget);
        of_gates[from + 2 * hidden] = cell * input * (1.0f32 - candidate * candidate);
        of_gates[from + 3 * hidden] = here * squashed * output * (1.0f32 - output);
        of_cell[unit] = select(on, cell * forget, of_cell[unit]);
        of_state[unit] = select(on, zero, state);
    }
}

/// The lengths of the sequences `[N]`.
fn lengths(sequences: &Sequences, like: &Floats) -> Floats {
    let lengths: Vec<f32> = sequences.lengths.iter().map(|&length| length as f32).collect();
    let count = lengths.len();
    CubeBackend::float_from_data(TensorData::new(lengths, [count]), &like.device)
}

/// The steps of `[T, N, H]` in the order in which the sequences are read.
fn steps(sequences: &Sequences, [t, n, h]: [usize; 3]) -> Vec<([usize; 2], StepLaunch)> {
    let mut earlier = None;
    let step = |at: usize| {
        let before = earlier.replace(at);
        let launch = StepLaunch::new(n, h, at, before.unwrap_or(0), before.is_none());
        ([at, before.unwrap_or(at)], launch)
    };
    sequences.order(t).map(step).collect()
}

/// Consecutive time steps of `[T, N, D]`, from number `first` on → `[count·N, D]`.
fn time_steps(x: &Floats, first: usize, count: usize) -> Floats {
    let [t, n, d] = dims(x);
    part(&reshaped(x.clone(), [t * n * d]), first * n * d, [count * n, d])
}

/// See [`Kernels::k_lstm_trace`](crate::kernels::Kernels::k_lstm_trace); all tensors are f32, and T is at
/// least 1.
pub fn trace(gates: Floats, w: Floats, sequences: &Sequences) -> LstmTrace<CubeBackend> {
    let (gates, w) = (contiguous(gates), contiguous(w));
    let [t, n, d] = dims(&gates);
    let h = d / 4;
    let [states, cells] = [(); 2].map(|()| empty(&gates, [t, n, h]));
    let activated = empty(&gates, [t, n, d]);
    let lengths = lengths(sequences, &gates);
    for ([at, before], step) in steps(sequences, [t, n, h]) {
        let (z, from) = if at == before {
            // The state is 0.
            (gates.clone(), at * n * d)
        } else {
            let other = Some(time_steps(&gates, at, 1));
            let epilogue = Epilogue { other, ..Epilogue::gain(1.0) };
            (linear::product(time_steps(&states, before, 1), w.clone(), &epilogue), 0)
        };
        // SAFETY: each unit reads and writes one number of a state, and its gates.
        unsafe {
            forward_kernel::launch_unchecked(
                &gates.client,
                cover(n * h, UNITS),
                CubeDim::new_1d(UNITS as u32),
                z.into_buffer_arg(),
                lengths.clone().into_buffer_arg(),
                states.clone().into_buffer_arg(),
                cells.clone().into_buffer_arg(),
                activated.clone().into_buffer_arg(),
                from,
                step,
            );
        }
    }
    LstmTrace { states, cells, gates: activated }
}

/// See [`Kernels::k_lstm_gradients`](crate::kernels::Kernels::k_lstm_gradients).
pub fn gradients(
    trace: LstmTrace<CubeBackend>,
    w: Floats,
    g: Floats,
    sequences: &Sequences,
) -> LstmGradients<CubeBackend> {
    let LstmTrace { states, cells, gates } = trace;
    let [states, cells, gates, w, g] = [states, cells, gates, w, g].map(contiguous);
    let [t, n, h] = dims(&g);
    let d = 4 * h;
    let zeros =
        |shape: [usize; 2]| CubeBackend::float_zeros(Shape::from(shape), &g.device, g.dtype.into());
    let (mut of_state, of_cell) = (zeros([n, h]), zeros([n, h]));
    let of_gates = empty(&g, [t, n, d]);
    let lengths = lengths(sequences, &g);
    for ([at, before], step) in steps(sequences, [t, n, h]).into_iter().rev() {
        // SAFETY: as above; the gradients of state and cell belong to this function alone.
        unsafe {
            backward_kernel::launch_unchecked(
                &g.client,
                cover(n * h, UNITS),
                CubeDim::new_1d(UNITS as u32),
                g.clone().into_buffer_arg(),
                gates.clone().into_buffer_arg(),
                cells.clone().into_buffer_arg(),
                lengths.clone().into_buffer_arg(),
                of_state.clone().into_buffer_arg(),
                of_cell.clone().into_buffer_arg(),
                of_gates.clone().into_buffer_arg(),
                step,
            );
        }
        if at != before {
            let epilogue = Epilogue { other: Some(of_state), ..Epilogue::gain(1.0) };
            let here = time_steps(&of_gates, at, 1);
            of_state = linear::product_back_then(here, w.clone(), &epilogue);
        }
    }
    // Gates belong to the state of the step before.
    let of_w = if t == 1 {
        zeros([d, h])
    } else {
        let (later, earlier) = if sequences.backward { (0, 1) } else { (1, 0) };
        let (of_gates, states) =
            (time_steps(&of_gates, later, t - 1), time_steps(&states, earlier, t - 1));
        linear::product_weight_gradient(of_gates, states, 1.0)
    };
    LstmGradients { gates: of_gates, w: of_w }
}
