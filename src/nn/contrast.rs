//! Distances and classifications of pairs, which contrastive losses share.

use burn::tensor::{Tensor, activation::log_softmax};

/// Mean over rows of −log softmax at the diagonal: `[B, B]` → `[1]`. Row i is to be assigned to
/// column i.
pub fn among_columns(scores: Tensor<2>) -> Tensor<1> {
    let [b, _] = scores.dims();
    let identity: Tensor<2> = Tensor::eye(b, &scores.device());
    -(log_softmax(scores, 1) * identity).sum_dim(1).mean()
}

/// The sum of [`among_columns`] in both directions: `[B, B]` → `[1]`.
pub fn both_ways(scores: Tensor<2>) -> Tensor<1> {
    among_columns(scores.clone()) + among_columns(scores.transpose())
}

/// Rows divided by their lengths: `[N, D]` → `[N, D]`.
pub fn unit(x: Tensor<2>) -> Tensor<2> {
    let length = (x.clone() * x.clone()).sum_dim(1).clamp_min(1e-16).sqrt();
    x / length
}

/// ‖a_i − b_j‖²: `[N, D]`, `[M, D]` → `[N, M]`, never negative.
///
/// Computed as |a|² + |b|² − 2a·b, which avoids a tensor `[N, M, D]`. Distances do not depend on
/// the origin; placing it at the mean of a keeps cancellation small.
pub fn squared_distances(a: Tensor<2>, b: Tensor<2>) -> Tensor<2> {
    let ([n, _], [m, _]) = (a.dims(), b.dims());
    let origin = a.clone().detach().mean_dim(0);
    let (a, b) = (a - origin.clone(), b - origin);
    let length = |x: &Tensor<2>| (x.clone() * x.clone()).sum_dim(1);
    let lengths = length(&a).reshape([n, 1]) + length(&b).reshape([1, m]);
    (lengths - a.matmul(b.transpose()) * 2.0).clamp_min(0.0)
}
