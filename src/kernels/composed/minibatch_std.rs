//! The standard deviation over groups of images, as an additional channel.

use burn::backend::{Backend, TensorMetadata, tensor::FloatTensor};
use burn::tensor::{Shape, Slice};

use super::dims::dims;

/// Differences from the mean of a group and the standard deviation, `[G, M, C·H·W]` and
/// `[1, M, C·H·W]`.
fn deviations<B: Backend>(x: FloatTensor<B>, group: usize) -> [FloatTensor<B>; 2] {
    let [n, c, h, w] = dims(x.shape());
    let x = B::float_reshape(x, Shape::from([group, n / group, c * h * w]));
    let centred = B::float_sub(x.clone(), B::float_mean_dim(x, 0));
    let variance = B::float_mean_dim(B::float_mul(centred.clone(), centred.clone()), 0);
    [centred, B::float_sqrt(B::float_add_scalar(variance, 1e-8f32.into()))]
}

/// See [`Kernels::k_minibatch_std`](crate::kernels::Kernels::k_minibatch_std).
pub fn minibatch_std<B: Backend>(x: FloatTensor<B>, group: usize) -> FloatTensor<B> {
    let [n, _, h, w] = dims(x.shape());
    let [_, std] = deviations::<B>(x.clone(), group);
    let groups = n / group;
    // Each group gives one number, which fills a plane of each of its images.
    let number = B::float_reshape(B::float_mean_dim(std, 2), Shape::from([1, groups, 1, 1, 1]));
    let planes = B::float_expand(number, Shape::from([group, groups, 1, h, w]));
    B::float_cat(vec![x, B::float_reshape(planes, Shape::from([n, 1, h, w]))], 1)
}

/// See [`Kernels::k_minibatch_std_gradient`](crate::kernels::Kernels::k_minibatch_std_gradient).
pub fn minibatch_std_gradient<B: Backend>(
    x: FloatTensor<B>,
    g: FloatTensor<B>,
    group: usize,
) -> FloatTensor<B> {
    let [n, c, h, w] = dims(x.shape());
    let channels = |from: usize, to: usize| {
        let all = |n: usize| Slice::new(0, Some(n as isize), 1);
        let some = Slice::new(from as isize, Some(to as isize), 1);
        B::float_slice(g.clone(), &[all(n), some, all(h), all(w)])
    };
    let [centred, std] = deviations::<B>(x, group);
    let planes = B::float_reshape(channels(c, c + 1), Shape::from([group, n / group, h * w]));
    let of_number = B::float_sum_dim(B::float_sum_dim(planes, 2), 0);
    let share = B::float_mul_scalar(of_number, (1.0 / (c * h * w * group) as f32).into());
    let through = B::float_div(B::float_mul(centred, share), std);
    B::float_add(channels(0, c), B::float_reshape(through, Shape::from([n, c, h, w])))
}
