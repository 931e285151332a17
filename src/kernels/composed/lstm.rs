//! An LSTM step by step; see [`Kernels::k_lstm_trace`](crate::kernels::Kernels::k_lstm_trace).

use burn::backend::{Backend, TensorMetadata, tensor::FloatTensor};
use burn::tensor::{Shape, Slice, TensorData};

use super::dims::dims;
use crate::kernels::outputs::{LstmGradients, LstmTrace};
use crate::kernels::spec::Sequences;

/// Index `at` of the first axis of `[T, N, D]` → `[N, D]`.
fn moment<B: Backend>(x: &FloatTensor<B>, at: usize) -> FloatTensor<B> {
    let [_, n, d] = dims(x.shape());
    let all = |n: usize| Slice::new(0, Some(n as isize), 1);
    let one = Slice::new(at as isize, Some(at as isize + 1), 1);
    let x = B::float_slice(x.clone(), &[one, all(n), all(d)]);
    B::float_reshape(x, Shape::from([n, d]))
}

/// `[N, 4H]` → the four gates `[N, H]`.
fn quarters<B: Backend>(x: FloatTensor<B>) -> [FloatTensor<B>; 4] {
    let [n, d] = dims(x.shape());
    let h = d / 4;
    let all = Slice::new(0, Some(n as isize), 1);
    [0, 1, 2, 3].map(|gate| {
        let part = Slice::new((gate * h) as isize, Some(((gate + 1) * h) as isize), 1);
        B::float_slice(x.clone(), &[all, part])
    })
}

/// Moments `[N, D]` in the order of time → `[T, N, D]`.
fn stacked<B: Backend>(moments: Vec<FloatTensor<B>>) -> FloatTensor<B> {
    let moments = moments
        .into_iter()
        .map(|x| {
            let [n, d] = dims(x.shape());
            B::float_reshape(x, Shape::from([1, n, d]))
        })
        .collect();
    B::float_cat(moments, 0)
}

/// `[N, 1]` for each time: 1 where the sequence has a token.
fn masks<B: Backend>(like: &FloatTensor<B>, sequences: &Sequences) -> Vec<FloatTensor<B>> {
    let [t, n, _] = dims(like.shape());
    (0..t)
        .map(|at| {
            let on: Vec<f32> =
                sequences.lengths.iter().map(|&length| f32::from(u8::from(at < length))).collect();
            let data = TensorData::new(on, [n, 1]).convert_dtype(like.dtype());
            B::float_from_data(data, &like.device())
        })
        .collect()
}

/// a + on·(b − a).
fn choose<B: Backend>(a: FloatTensor<B>, b: FloatTensor<B>, on: FloatTensor<B>) -> FloatTensor<B> {
    B::float_add(a.clone(), B::float_mul(B::float_sub(b, a), on))
}

/// a·(1 − a), the slope of a sigmoid whose value is a.
fn sigmoid_slope<B: Backend>(a: FloatTensor<B>) -> FloatTensor<B> {
    B::float_sub(a.clone(), B::float_mul(a.clone(), a))
}

/// 1 − a², the slope of a hyperbolic tangent whose value is a.
fn tanh_slope<B: Backend>(a: FloatTensor<B>) -> FloatTensor<B> {
    B::float_add_scalar(B::float_neg(B::float_mul(a.clone(), a)), 1f32.into())
}

/// gates `[T, N, 4H]`, w `[4H, H]`.
pub fn trace<B: Backend>(
    gates: FloatTensor<B>,
    w: FloatTensor<B>,
    sequences: &Sequences,
) -> LstmTrace<B> {
    let [t, n, d] = dims(gates.shape());
    let (device, dtype) = (gates.device(), gates.dtype());
    let zeros = || B::float_zeros(Shape::from([n, d / 4]), &device, dtype.into());
    let transposed = B::float_swap_dims(w, 0, 1);
    let on = masks::<B>(&gates, sequences);
    let (mut state, mut cell) = (zeros(), zeros());
    let mut moments = Vec::with_capacity(t);
    for at in sequences.order(t) {
        let all = B::float_add(
            moment::<B>(&gates, at),
            B::float_matmul(state.clone(), transposed.clone()),
        );
        let [i, f, c, o] = quarters::<B>(all);
        let [i, f, o] = [i, f, o].map(B::sigmoid);
        let c = B::float_tanh(c);
        let next =
            B::float_add(B::float_mul(f.clone(), cell.clone()), B::float_mul(i.clone(), c.clone()));
        let out = B::float_mul(o.clone(), B::float_tanh(next.clone()));
        cell = choose::<B>(cell, next, on[at].clone());
        state = choose::<B>(state, out, on[at].clone());
        moments.push([state.clone(), cell.clone(), B::float_cat(vec![i, f, c, o], 1)]);
    }
    if sequences.backward {
        moments.reverse();
    }
    let [states, cells, gates] =
        [0, 1, 2].map(|k| stacked::<B>(moments.iter().map(|m| m[k].clone()).collect()));
    LstmTrace { states, cells, gates }
}

/// See [`Kernels::k_lstm_gradients`](crate::kernels::Kernels::k_lstm_gradients).
pub fn gradients<B: Backend>(
    trace: LstmTrace<B>,
    w: FloatTensor<B>,
    g: FloatTensor<B>,
    sequences: &Sequences,
) -> LstmGradients<B> {
    let [t, n, h] = dims(g.shape());
    let (device, dtype) = (g.device(), g.dtype());
    let zeros = || B::float_zeros(Shape::from([n, h]), &device, dtype.into());
    let on = masks::<B>(&g, sequences);
    let order: Vec<usize> = sequences.order(t).collect();
    let (mut d_state, mut d_cell) = (zeros(), zeros());
    let mut moments = Vec::with_capacity(t);
    for (step, &at) in order.iter().enumerate().rev() {
        let [state_before, cell_before] = match step.checked_sub(1) {
            None => [zeros(), zeros()],
            Some(before) => [&trace.states, &trace.cells].map(|x| moment::<B>(x, order[before])),
        };
        d_state = B::float_add(d_state, moment::<B>(&g, at));
        let here = B::float_mul(d_state.clone(), on[at].clone());
        let [i, f, c, o] = quarters::<B>(moment::<B>(&trace.gates, at));
        let squashed = B::float_tanh(moment::<B>(&trace.cells, at));
        let through =
            B::float_mul(B::float_mul(here.clone(), o.clone()), tanh_slope::<B>(squashed.clone()));
        let d = B::float_add(B::float_mul(d_cell.clone(), on[at].clone()), through);
        let d_gates = B::float_cat(
            vec![
                B::float_mul(B::float_mul(d.clone(), c.clone()), sigmoid_slope::<B>(i.clone())),
                B::float_mul(B::float_mul(d.clone(), cell_before), sigmoid_slope::<B>(f.clone())),
                B::float_mul(B::float_mul(d.clone(), i), tanh_slope::<B>(c)),
                B::float_mul(B::float_mul(here, squashed), sigmoid_slope::<B>(o)),
            ],
            1,
        );
        // Without a token both pass by unchanged.
        d_cell = choose::<B>(d_cell, B::float_mul(d, f), on[at].clone());
        d_state = choose::<B>(d_state, zeros(), on[at].clone());
        d_state = B::float_add(d_state, B::float_matmul(d_gates.clone(), w.clone()));
        moments.push([d_gates, state_before]);
    }
    if !sequences.backward {
        moments.reverse();
    }
    let [d_gates, before] =
        [0, 1].map(|k| stacked::<B>(moments.iter().map(|m| m[k].clone()).collect()));
    let tall = |x: FloatTensor<B>, d: usize| B::float_reshape(x, Shape::from([t * n, d]));
    let d_w =
        B::float_matmul(B::float_swap_dims(tall(d_gates.clone(), 4 * h), 0, 1), tall(before, h));
    LstmGradients { gates: d_gates, w: d_w }
}
