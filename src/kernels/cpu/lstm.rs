//! A layer of an LSTM over sequences of different lengths, and its gradient through time.
//!
//! The `gemm` crate computes the recurrent products. A step covers only the rows up to the last
//! sequence that still has tokens, so sequences should be sorted by length, longest first.

use gemm::Parallelism;
use rayon::prelude::*;

/// Sequences `[T, N]`, time first.
#[derive(Clone, Copy, Debug)]
pub struct Sequences<'a> {
    /// Tokens of each of the N sequences, at most T.
    pub lengths: &'a [usize],
    /// T.
    pub steps: usize,
    /// H, the size of the state.
    pub hidden: usize,
    /// Read from the last token to the first.
    pub backward: bool,
}

impl Sequences<'_> {
    /// Position in time of the `step`-th step.
    fn at(&self, step: usize) -> usize {
        if self.backward { self.steps - 1 - step } else { step }
    }

    /// The number of rows up to the last sequence that has a token at time `at`.
    fn rows(&self, at: usize) -> usize {
        self.lengths.iter().rposition(|&length| length > at).map_or(0, |last| last + 1)
    }
}

/// The results of the forward pass, time first. The gates (input, forget, cell, output) are stored
/// after their activations.
pub struct Trace<'a> {
    /// `[T, N, H]`.
    pub states: &'a mut [f32],
    /// `[T, N, H]`.
    pub cells: &'a mut [f32],
    /// `[T, N, 4H]`; on entry, the inputs' contribution before activation.
    pub gates: &'a mut [f32],
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

/// Runs the layer and fills `trace`; w `[4H, H]`. A sequence keeps its state where it has no token.
pub fn forward(s: &Sequences, w: &[f32], trace: Trace) {
    let (n, h) = (s.lengths.len(), s.hidden);
    let zeros = vec![0.0; n * h];
    let Trace { states, cells, gates } = trace;
    for step in 0..s.steps {
        let at = s.at(step);
        let rows = s.rows(at);
        let gates = &mut gates[at * n * 4 * h..][..n * 4 * h];
        let (state, before) = around(states, step.checked_sub(1).map(|p| s.at(p)), at, n * h);
        let (cell, cell_before) = around(cells, step.checked_sub(1).map(|p| s.at(p)), at, n * h);
        let (before, cell_before) =
            (before.unwrap_or(zeros.as_slice()), cell_before.unwrap_or(zeros.as_slice()));
        if step > 0 {
            // gates += before · wᵀ.
            product(
                [rows, 4 * h, h],
                (&mut gates[..rows * 4 * h], 4 * h),
                (before, h, 1),
                (w, 1, h),
                true,
            );
        }
        gates
            .par_chunks_exact_mut(4 * h)
            .zip(state.par_chunks_exact_mut(h))
            .zip(cell.par_chunks_exact_mut(h))
            .zip(before.par_chunks_exact(h).zip(cell_before.par_chunks_exact(h)))
            .zip(s.lengths)
            .for_each(|((((gates, state), cell), (before, cell_before)), &length)| {
                if at >= length {
                    state.copy_from_slice(before);
                    cell.copy_from_slice(cell_before);
                    return;
                }
                let (input, rest) = gates.split_at_mut(h);
                let (forget, rest) = rest.split_at_mut(h);
                let (candidate, output) = rest.split_at_mut(h);
                for k in 0..h {
                    input[k] = sigmoid(input[k]);
                    forget[k] = sigmoid(forget[k]);
                    candidate[k] = candidate[k].tanh();
                    output[k] = sigmoid(output[k]);
                    cell[k] = forget[k] * cell_before[k] + input[k] * candidate[k];
                    state[k] = output[k] * cell[k].tanh();
                }
            });
    }
}

/// Computes the gradients with respect to the gates before activation (`d_gates` `[T, N, 4H]`, zeroed on
/// entry) and to w (`d_w` `[4H, H]`), given those with respect to the states (`g` `[T, N, H]`) and the
/// results of [`forward`].
pub fn backward(
    s: &Sequences,
    w: &[f32],
    [states, cells, gates]: [&[f32]; 3],
    g: &[f32],
    d_gates: &mut [f32],
    d_w: &mut [f32],
) {
    let (n, h) = (s.lengths.len(), s.hidden);
    let zeros = vec![0.0; n * h];
    let mut d_state = vec![0.0; n * h];
    let mut d_cell = vec![0.0; n * h];
    for step in (0..s.steps).rev() {
        let at = s.at(step);
        let rows = s.rows(at);
        let cell_before = match step {
            0 => zeros.as_slice(),
            _ => &cells[s.at(step - 1) * n * h..][..n * h],
        };
        let d_gates = &mut d_gates[at * n * 4 * h..][..n * 4 * h];
        d_state.iter_mut().zip(&g[at * n * h..]).for_each(|(d, g)| *d += g);
        d_gates
            .par_chunks_exact_mut(4 * h)
            .zip(d_state.par_chunks_exact_mut(h))
            .zip(d_cell.par_chunks_exact_mut(h))
            .zip(gates[at * n * 4 * h..].par_chunks_exact(4 * h))
            .zip(cells[at * n * h..].par_chunks_exact(h).zip(cell_before.par_chunks_exact(h)))
            .zip(s.lengths)
            .for_each(|(((((d_gates, d_state), d_cell), gates), (cell, before)), &length)| {
                if at >= length {
                    return;
                }
                for k in 0..h {
                    let [i, f, c, o] = [0, 1, 2, 3].map(|gate| gates[gate * h + k]);
                    let squashed = cell[k].tanh();
                    let d = d_cell[k] + d_state[k] * o * (1.0 - squashed * squashed);
                    d_gates[k] = d * c * i * (1.0 - i);
                    d_gates[h + k] = d * before[k] * f * (1.0 - f);
                    d_gates[2 * h + k] = d * i * (1.0 - c * c);
                    d_gates[3 * h + k] = d_state[k] * squashed * o * (1.0 - o);
                    d_cell[k] = d * f;
                    // The previous state gets its gradient through the gates alone.
                    d_state[k] = 0.0;
                }
            });
        if step > 0 {
            // d_state += d_gates · w; rows without a token have zeros there.
            product(
                [rows, h, 4 * h],
                (&mut d_state[..rows * h], h),
                (d_gates, 4 * h, 1),
                (w, h, 1),
                true,
            );
        }
    }
    // d_w = Σ over time of d_gatesᵀ · previous states, as one product of arrays one step apart.
    let (later, earlier) = match s.backward {
        false => (d_gates.get(n * 4 * h..), Some(states)),
        true => (Some(&*d_gates), states.get(n * h..)),
    };
    let (later, earlier) = (later.unwrap_or_default(), earlier.unwrap_or_default());
    product([4 * h, h, (s.steps - 1) * n], (d_w, h), (later, 1, 4 * h), (earlier, h, 1), false);
}

/// The block at time `at` to write, and the one at time `before` to read.
fn around(
    blocks: &mut [f32],
    before: Option<usize>,
    at: usize,
    size: usize,
) -> (&mut [f32], Option<&[f32]>) {
    match before {
        None => (&mut blocks[at * size..][..size], None),
        Some(before) if before < at => {
            let (head, tail) = blocks.split_at_mut(at * size);
            (&mut tail[..size], Some(&head[before * size..][..size]))
        }
        Some(before) => {
            let (head, tail) = blocks.split_at_mut(before * size);
            (&mut head[at * size..][..size], Some(&tail[..size]))
        }
    }
}

/// C = A·B or C += A·B for `[m, n, k]`. A matrix is given by its values, the stride of rows and the stride
/// of columns (1 in C).
fn product(
    [m, n, k]: [usize; 3],
    (c, c_row): (&mut [f32], usize),
    (a, a_row, a_col): (&[f32], usize, usize),
    (b, b_row, b_col): (&[f32], usize, usize),
    accumulate: bool,
) {
    let end = |rows: usize, cols: usize, row: usize, col: usize| match rows.min(cols) {
        0 => 0,
        _ => (rows - 1) * row + (cols - 1) * col + 1,
    };
    assert!(c.len() >= end(m, n, c_row, 1), "the result is as large as the product");
    assert!(a.len() >= end(m, k, a_row, a_col), "the left matrix has m×k values");
    assert!(b.len() >= end(k, n, b_row, b_col), "the right matrix has k×n values");
    // SAFETY: every element lies within its slice (above), and C is borrowed alone.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            c.as_mut_ptr(),
            1,
            c_row as isize,
            accumulate,
            a.as_ptr(),
            a_col as isize,
            a_row as isize,
            b.as_ptr(),
            b_col as isize,
            b_row as isize,
            1.0,
            1.0,
            false,
            false,
            false,
            Parallelism::Rayon(0),
        );
    }
}
