//! Minibatch standard deviation (Karras et al. 2018, §3).

use burn::tensor::Tensor;

use super::Dual;
use crate::kernels;

/// Appends the standard deviation over a group of images as an additional channel:
/// `[N, C, H, W]` → `[N, C+1, H, W]`.
///
/// The groups are strided: with N/G groups of G images each, image n belongs to group n mod (N/G).
/// G is the smaller one of `group` and N, and must divide N.
pub fn minibatch_std(x: Dual<4>, group: usize) -> Dual<4> {
    let [n, c, h, w] = x.value.dims();
    let g = group.min(n);
    let value = kernels::minibatch_std(x.value.clone(), g);
    let tangent = x.tangent.map(|t| {
        let std = group_std_tangent(x.value, t.clone(), g);
        let planes = std.reshape([1, n / g, 1, 1, 1]).expand([g, n / g, 1, h, w]);
        Tensor::cat(vec![t, planes.reshape([n, 1, h, w])], 1)
    });
    debug_assert_eq!(value.dims(), [n, c + 1, h, w]);
    Dual { value, tangent }
}

/// The tangent of the mean over channels and pixels of √(variance over the group + 1e-8), for x and
/// its tangent t: `[N, C, H, W]` → `[M]`.
fn group_std_tangent(x: Tensor<4>, t: Tensor<4>, g: usize) -> Tensor<1> {
    let [n, c, h, w] = x.dims();
    let m = n / g;
    let centred = |x: Tensor<4>| {
        let x = x.reshape([g, m, c * h * w]);
        x.clone() - x.mean_dim(0)
    };
    let (x, t) = (centred(x), centred(t));
    let std = ((x.clone() * x.clone()).mean_dim(0) + 1e-8).sqrt();
    // Half the tangent of the variance, divided by the root.
    ((x * t).mean_dim(0) / std).mean_dim(2).reshape([m])
}
