//! Linear layers and the factors of demodulation.

use burn::backend::{Backend, TensorMetadata, tensor::FloatTensor};
use burn::tensor::Shape;

use super::dims::dims;
use crate::kernels::outputs::{
    DemodulationGradients, DemodulationTangentGradients, DemodulationTrace,
};

/// See [`Kernels::k_product`](crate::kernels::Kernels::k_product).
pub fn product<B: Backend>(x: FloatTensor<B>, w: FloatTensor<B>, gain: f32) -> FloatTensor<B> {
    B::float_matmul(x, B::float_swap_dims(scaled::<B>(w, gain), 0, 1))
}

/// See [`Kernels::k_product_back`](crate::kernels::Kernels::k_product_back).
pub fn product_back<B: Backend>(g: FloatTensor<B>, w: FloatTensor<B>, gain: f32) -> FloatTensor<B> {
    B::float_matmul(g, scaled::<B>(w, gain))
}

/// See [`Kernels::k_product_weight_gradient`](crate::kernels::Kernels::k_product_weight_gradient).
pub fn product_weight_gradient<B: Backend>(
    g: FloatTensor<B>,
    x: FloatTensor<B>,
    gain: f32,
) -> FloatTensor<B> {
    let w = B::float_matmul(B::float_swap_dims(x, 0, 1), g);
    scaled::<B>(B::float_swap_dims(w, 0, 1), gain)
}

fn scaled<B: Backend>(x: FloatTensor<B>, factor: f32) -> FloatTensor<B> {
    if factor == 1.0 { x } else { B::float_mul_scalar(x, factor.into()) }
}

/// Σ_k w²: w `[O, I, k, k]` → `[O, I]`.
fn energy<B: Backend>(w: FloatTensor<B>) -> FloatTensor<B> {
    let [o, i, k, l] = dims(w.shape());
    let squares = B::float_reshape(B::float_mul(w.clone(), w), Shape::from([o, i, k * l]));
    B::float_reshape(B::float_sum_dim(squares, 2), Shape::from([o, i]))
}

/// See [`Kernels::k_demodulation_trace`](crate::kernels::Kernels::k_demodulation_trace).
pub fn demodulation<B: Backend>(w: FloatTensor<B>, s: FloatTensor<B>) -> DemodulationTrace<B> {
    let energy = energy::<B>(w);
    let squares = B::float_mul(s.clone(), s);
    let sums = B::float_matmul(squares, B::float_swap_dims(energy.clone(), 0, 1));
    let y = B::float_recip(B::float_sqrt(B::float_add_scalar(sums, 1e-8f32.into())));
    DemodulationTrace { y, energy }
}

/// See [`Kernels::k_demodulation_gradients`](crate::kernels::Kernels::k_demodulation_gradients).
pub fn demodulation_gradients<B: Backend>(
    w: FloatTensor<B>,
    s: FloatTensor<B>,
    DemodulationTrace { y, energy }: DemodulationTrace<B>,
    g: FloatTensor<B>,
) -> DemodulationGradients<B> {
    let [o, i, _, _] = dims(w.shape());
    // Twice the gradient with respect to the sum of squares: a square's slope is twice its root.
    let cubes = B::float_mul(B::float_mul(y.clone(), y.clone()), y);
    let c = B::float_neg(B::float_mul(cubes, g));
    let by_style = B::float_matmul(c.clone(), energy);
    let squares = B::float_mul(s.clone(), s.clone());
    let by_weight = B::float_matmul(B::float_swap_dims(c, 0, 1), squares);
    let by_weight = B::float_reshape(by_weight, Shape::from([o, i, 1, 1]));
    DemodulationGradients { w: B::float_mul(w, by_weight), s: B::float_mul(s, by_style) }
}

/// See [`Kernels::k_demodulation_tangent`](crate::kernels::Kernels::k_demodulation_tangent).
pub fn demodulation_tangent<B: Backend>(
    w: FloatTensor<B>,
    s: FloatTensor<B>,
    y: FloatTensor<B>,
    t: FloatTensor<B>,
) -> FloatTensor<B> {
    let along = B::float_matmul(B::float_mul(s, t), B::float_swap_dims(energy::<B>(w), 0, 1));
    let cubes = B::float_mul(B::float_mul(y.clone(), y.clone()), y);
    B::float_neg(B::float_mul(cubes, along))
}

/// See
/// [`Kernels::k_demodulation_tangent_gradients`](crate::kernels::Kernels::k_demodulation_tangent_gradients).
pub fn demodulation_tangent_gradients<B: Backend>(
    [w, s, y, t]: [FloatTensor<B>; 4],
    g: FloatTensor<B>,
) -> DemodulationTangentGradients<B> {
    let [o, i, _, _] = dims(w.shape());
    let along = B::float_mul(s.clone(), t.clone());
    let energy = energy::<B>(w.clone());
    let squares = B::float_mul(y.clone(), y.clone());
    let sums = B::float_matmul(along.clone(), B::float_swap_dims(energy.clone(), 0, 1));
    let of_y = B::float_mul(B::float_mul(squares.clone(), sums), g.clone());
    let c = B::float_neg(B::float_mul(B::float_mul(squares, y), g));
    let back = B::float_matmul(c.clone(), energy);
    let by_weight = B::float_matmul(B::float_swap_dims(c, 0, 1), along);
    let by_weight = B::float_reshape(by_weight, Shape::from([o, i, 1, 1]));
    DemodulationTangentGradients {
        w: B::float_mul_scalar(B::float_mul(w, by_weight), 2f32.into()),
        s: B::float_mul(t, back.clone()),
        y: B::float_mul_scalar(of_y, (-3f32).into()),
        t: B::float_mul(s, back),
    }
}
