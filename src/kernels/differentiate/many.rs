//! Operations on all layers of a network at once.

use burn::backend::TensorMetadata;
use burn::backend::autodiff::{Autodiff, checkpoint::strategy::CheckpointStrategy};
use burn::backend::tensor::FloatTensor;

use super::joint::{Optional, joint};
use super::pointwise::bias_act_gradients;
use crate::kernels::backend::Kernels;
use crate::kernels::outputs::{Demodulation, Tensors};
use crate::kernels::spec::{Activation, Conv, Fir, LinearLayers};

/// Dimensions of a sum in parts, which tell it from a finished one.
const PARTS_DIMS: usize = 3;

type Tracked<B, C> = Tensors<Autodiff<B, C>>;

/// The tensors without automatic differentiation.
fn primitives<B: Kernels, C: CheckpointStrategy>(list: &Tracked<B, C>) -> Tensors<B> {
    Tensors(list.0.iter().map(|tensor| tensor.primitive().clone()).collect())
}

fn any_tracked<B: Kernels, C: CheckpointStrategy>(list: &Tracked<B, C>) -> bool {
    list.0.iter().any(|tensor| tensor.is_tracked())
}

/// The gradients, 0 where nothing depends on the tensor.
fn filled<B: Kernels>(gradients: Optional<B>, like: &[FloatTensor<B>]) -> Tensors<B> {
    let zeros = |tensor: &FloatTensor<B>| {
        B::float_zeros(tensor.shape(), &tensor.device(), tensor.dtype().into())
    };
    let pairs = gradients.into_iter().zip(like);
    Tensors(pairs.map(|(gradient, like)| gradient.unwrap_or_else(|| zeros(like))).collect())
}

/// The gradients with the parts of each sum added up; see [`Kernels::k_sums_of_parts`].
fn summed<B: Kernels>(mut gradients: Optional<B>, like: &[FloatTensor<B>]) -> Optional<B> {
    let in_parts: Vec<usize> = (0..like.len())
        .filter(|&i| gradients[i].as_ref().is_some_and(|g| g.shape().num_dims() == PARTS_DIMS))
        .collect();
    if !in_parts.is_empty() {
        let parts = in_parts.iter().filter_map(|&i| gradients[i].take()).collect();
        let like = in_parts.iter().map(|&i| like[i].clone()).collect();
        let sums = B::k_sums_of_parts(Tensors(parts), Tensors(like));
        for (i, sum) in in_parts.into_iter().zip(sums.0) {
            gradients[i] = Some(sum);
        }
    }
    gradients
}

/// The gradients of a list, none if it is empty because they were not wanted.
fn optional<B: Kernels>(list: Tensors<B>, count: usize) -> Optional<B> {
    if list.0.is_empty() { vec![None; count] } else { list.0.into_iter().map(Some).collect() }
}

/// See [`Kernels::k_linear_layers`].
pub fn linear_layers<B: Kernels, C: CheckpointStrategy>(
    x: FloatTensor<Autodiff<B, C>>,
    w: Tracked<B, C>,
    b: Tracked<B, C>,
    layers: LinearLayers,
) -> Tracked<B, C> {
    let inputs = x.is_tracked();
    let parameters = any_tracked(&w) || (layers.biased && any_tracked(&b));
    let (count, biased) = (w.0.len(), layers.biased);
    let (kept_x, [kept_w, kept_b]) = (x.primitive().clone(), [&w, &b].map(primitives));
    let clones = |list: &Tensors<B>| Tensors(list.0.clone());
    let outputs = B::k_linear_layers(kept_x.clone(), clones(&kept_w), kept_b, layers.clone());
    let like = clones(&outputs);
    let operands: Vec<_> =
        [x].into_iter().chain(w.0).chain(b.0.into_iter().filter(|_| biased)).collect();
    Tensors(joint::<B, C>(&operands, outputs.0, move |gradients| {
        let g = filled::<B>(gradients, &like.0);
        let found = B::k_linear_layers_gradients(kept_x, kept_w, g, layers, inputs, parameters);
        let of_b = if biased { optional(found.b, count) } else { Vec::new() };
        [optional(found.x, 1), optional(found.w, count), of_b].concat()
    }))
}

/// See [`Kernels::k_conv2d_act_beside`]: the operands x, w and b.
pub fn conv2d_act_beside<B: Kernels, C: CheckpointStrategy>(
    operands: [FloatTensor<Autodiff<B, C>>; 3],
    conv: Conv,
    act: Activation,
    fir: Fir,
) -> Tracked<B, C> {
    let [of_x, of_w, of_b] = [0, 1, 2].map(|i| operands[i].is_tracked());
    let [x, w, b] = [0, 1, 2].map(|i| operands[i].primitive().clone());
    let [_, _, height, width] = x.shape().dims::<4>();
    let adjoint = fir.adjoint([height, width]);
    let results = B::k_conv2d_act_beside(x.clone(), w.clone(), b, conv, act, fir).0;
    let y = results[0].clone();
    // What needs no gradient is not kept.
    let (x, w) = (of_w.then_some(x), of_x.then_some(w));
    Tensors(joint::<B, C>(&operands, results, move |gradients| {
        let [of_y, of_resampled]: [_; 2] = gradients.try_into().expect("two results");
        let back = |g| B::k_upfirdn2d(g, adjoint);
        let beside = of_resampled.filter(|_| of_x).map(back);
        let Some(g) = of_y else { return vec![beside, None, None] };
        let (g, bias) = bias_act_gradients::<B>(of_b, g, y, act, 1.0, conv.parts);
        let weight = x.map(|x| B::k_conv2d_weight_gradient(x, g.clone(), conv));
        let input = w.map(|w| match beside {
            Some(other) => B::k_conv2d_transposed_add(g, w, other, conv),
            None => B::k_conv2d_transposed(g, w, conv),
        });
        vec![input, weight, bias]
    }))
}

/// See [`Kernels::k_together`].
pub fn together<B: Kernels, C: CheckpointStrategy>(tensors: Tracked<B, C>) -> Tracked<B, C> {
    let tracked: Vec<_> = tensors.0.iter().filter(|tensor| tensor.is_tracked()).cloned().collect();
    if tracked.is_empty() {
        return tensors;
    }
    let like: Vec<_> = tracked.iter().map(|tensor| tensor.primitive().clone()).collect();
    debug_assert!(like.iter().all(|tensor| tensor.shape().num_dims() != PARTS_DIMS));
    let mut passed =
        joint::<B, C>(&tracked, like.clone(), move |gradients| summed::<B>(gradients, &like))
            .into_iter();
    // What is not tracked stays so.
    let pass = |tensor: FloatTensor<Autodiff<B, C>>| match tensor.is_tracked() {
        true => passed.next().expect("one for each tracked tensor"),
        false => tensor,
    };
    Tensors(tensors.0.into_iter().map(pass).collect())
}

/// See [`Kernels::k_demodulation`].
pub fn demodulation<B: Kernels, C: CheckpointStrategy>(
    w: Tracked<B, C>,
    s: Tracked<B, C>,
    t: Tracked<B, C>,
) -> Demodulation<Autodiff<B, C>> {
    let count = w.0.len();
    let [kept_w, kept_s, kept_t] = [&w, &s, &t].map(primitives);
    let clones = |list: &Tensors<B>| Tensors(list.0.clone());
    let trace = B::k_demodulation_trace(clones(&kept_w), clones(&kept_s), clones(&kept_t));
    // What is not tracked stays so: a convolution would compute a gradient for it otherwise.
    let through = [&w, &s, &t].map(any_tracked);
    let lists = [&kept_w, &kept_s, &kept_t].into_iter().zip(through);
    let passed: Vec<_> =
        lists.filter(|(_, tracked)| *tracked).flat_map(|(list, _)| list.0.clone()).collect();
    let results = [trace.y.0.clone(), trace.along.0.clone(), passed].concat();
    let (like, along) = (results.clone(), trace.along.0.len());
    let operands: Vec<_> = [&w, &s, &t].into_iter().flat_map(|list| list.0.clone()).collect();
    let results = joint::<B, C>(&operands, results, move |gradients| {
        let gradients = filled::<B>(summed::<B>(gradients, &like), &like);
        let mut rest = gradients.0.into_iter();
        let mut take = |count| Tensors(rest.by_ref().take(count).collect());
        let (y, of_along) = (take(count), take(along));
        let [of_w, of_s, of_t] = through.map(|tracked| take(if tracked { count } else { 0 }));
        let given = Demodulation { w: of_w, s: of_s, t: of_t, y, along: of_along };
        let found = B::k_demodulation_gradients(kept_w, kept_s, kept_t, trace, given);
        let of_t = if along > 0 { optional(found.t, count) } else { Vec::new() };
        [optional(found.w, count), optional(found.s, count), of_t].concat()
    });
    let mut rest = results.into_iter();
    let mut take = |count| Tensors(rest.by_ref().take(count).collect());
    let (y, along) = (take(count), take(along));
    let [w, s, t] = [w, s, t];
    let mut pass = |list: Tracked<B, C>, tracked| if tracked { take(count) } else { list };
    let (w, s, t) = (pass(w, through[0]), pass(s, through[1]), pass(t, through[2]));
    Demodulation { w, s, t, y, along }
}
