//! Minibatch standard deviation (Karras et al. 2018, §3).

use burn::tensor::Tensor;

use super::Dual;

/// Appends the standard deviation over a group of images as an additional channel:
/// `[N, C, H, W]` → `[N, C+1, H, W]`.
///
/// The groups are strided: with N/G groups of G images each, image n belongs to group n mod (N/G).
/// G is the smaller one of `group` and N, and must divide N.
pub fn minibatch_std(x: Dual<4>, group: usize) -> Dual<4> {
    let [n, c, h, w] = x.value.dims();
    let g = group.min(n);
    let m = n / g;
    let std = group_std(x.clone(), g);
    // Each of the M groups gives one number, which fills a plane of each of its images.
    let planes = std.linear(|s: Tensor<1>| {
        s.reshape([1, m, 1, 1, 1]).expand([g, m, 1, h, w]).reshape([n, 1, h, w])
    });
    debug_assert_eq!(planes.value.dims(), [n, 1, h, w]);
    let _ = c;
    let tangent = match (x.tangent, planes.tangent) {
        (Some(a), Some(b)) => Some(Tensor::cat(vec![a, b], 1)),
        _ => None,
    };
    Dual { value: Tensor::cat(vec![x.value, planes.value], 1), tangent }
}

/// Mean over channels and pixels of √(variance over the group + 1e-8): `[N, C, H, W]` → `[M]`.
fn group_std(x: Dual<4>, g: usize) -> Dual<1> {
    let [n, c, h, w] = x.value.dims();
    let m = n / g;
    let centred = x.linear(|x| {
        let x = x.reshape([g, m, c * h * w]);
        x.clone() - x.mean_dim(0)
    });
    let variance = centred.square().linear(|v| v.mean_dim(0));
    let value = (variance.value.clone() + 1e-8).sqrt();
    let std = value.clone();
    variance.pointwise(value, || std.recip() * 0.5).linear(|s| s.mean_dim(2).reshape([m]))
}
