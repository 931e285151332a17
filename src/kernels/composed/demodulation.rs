//! The factors of demodulation.

use burn::backend::{Backend, tensor::FloatTensor};

use crate::kernels::backend::Kernels;
use crate::kernels::outputs::{Demodulation, DemodulationGradients, DemodulationTrace, Tensors};

/// Σ_k w²: w `[O, I, k, k]` → `[O, I]`.
fn energy<B: Kernels>(w: FloatTensor<B>) -> FloatTensor<B> {
    B::k_plane_dots(w.clone(), w)
}

/// y³.
fn cube<B: Backend>(y: FloatTensor<B>) -> FloatTensor<B> {
    B::float_mul(B::float_mul(y.clone(), y.clone()), y)
}

/// See [`Kernels::k_demodulation_trace`](crate::kernels::Kernels::k_demodulation_trace).
pub fn demodulation_trace<B: Kernels>(
    w: Tensors<B>,
    s: Tensors<B>,
    t: Tensors<B>,
) -> DemodulationTrace<B> {
    let energy: Vec<_> = w.0.into_iter().map(energy::<B>).collect();
    let by_energy = |styles: FloatTensor<B>, energy: &FloatTensor<B>| {
        B::float_matmul(styles, B::float_swap_dims(energy.clone(), 0, 1))
    };
    let factors = s.0.iter().zip(&energy).map(|(s, energy)| {
        let sums = by_energy(B::float_mul(s.clone(), s.clone()), energy);
        B::float_recip(B::float_sqrt(B::float_add_scalar(sums, 1e-8f32.into())))
    });
    let y: Vec<_> = factors.collect();
    let tangents = t.0.into_iter().zip(&s.0).zip(&energy).zip(&y);
    let along = tangents.map(|(((t, s), energy), y)| {
        let sums = by_energy(B::float_mul(s.clone(), t), energy);
        B::float_neg(B::float_mul(cube::<B>(y.clone()), sums))
    });
    let along = along.collect();
    DemodulationTrace { y: Tensors(y), along: Tensors(along), energy: Tensors(energy) }
}

/// See [`Kernels::k_demodulation_gradients`](crate::kernels::Kernels::k_demodulation_gradients).
pub fn demodulation_gradients<B: Kernels>(
    w: Tensors<B>,
    s: Tensors<B>,
    t: Tensors<B>,
    trace: DemodulationTrace<B>,
    given: Demodulation<B>,
) -> DemodulationGradients<B> {
    let (mut of_w, mut of_s, mut of_t) = (Vec::new(), Vec::new(), Vec::new());
    for (layer, (w, s)) in w.0.into_iter().zip(s.0).enumerate() {
        let at = |list: &Tensors<B>| list.0.get(layer).cloned();
        let (y, energy) = (trace.y.0[layer].clone(), trace.energy.0[layer].clone());
        let mut of_y = given.y.0[layer].clone();
        let tangent = at(&t).zip(at(&trace.along)).zip(at(&given.along));
        // The gradient with respect to Σ W²·s·t, of which the tangent is −y³ times.
        let mut by_tangent = None;
        if let Some(((t, along), of_along)) = tangent {
            let ratio = B::float_div(along, y.clone());
            let through_y = B::float_mul(B::float_mul_scalar(ratio, 3f32.into()), of_along.clone());
            of_y = B::float_add(of_y, through_y);
            by_tangent = Some((t, B::float_neg(B::float_mul(cube::<B>(y.clone()), of_along))));
        }
        // Twice the gradient with respect to the sum of squares: a square's slope is twice its root.
        let c = B::float_neg(B::float_mul(cube::<B>(y), of_y));
        if let Some(plus) = at(&given.s) {
            let by_style = B::float_matmul(c.clone(), energy.clone());
            let mut own = B::float_mul(s.clone(), by_style);
            if let Some((t, c)) = &by_tangent {
                let back = B::float_matmul(c.clone(), energy.clone());
                own = B::float_add(own, B::float_mul(t.clone(), back));
            }
            of_s.push(B::float_add(own, plus));
        }
        if let (Some(plus), Some((_, c))) = (at(&given.t), &by_tangent) {
            let back = B::float_matmul(c.clone(), energy);
            of_t.push(B::float_add(B::float_mul(s.clone(), back), plus));
        }
        if let Some(plus) = at(&given.w) {
            let squares = B::float_mul(s.clone(), s.clone());
            let mut sums = B::float_matmul(B::float_swap_dims(c, 0, 1), squares);
            if let Some((t, c)) = by_tangent {
                let products = B::float_mul_scalar(B::float_mul(s, t), 2f32.into());
                sums = B::float_add(sums, B::float_matmul(B::float_swap_dims(c, 0, 1), products));
            }
            of_w.push(B::float_add(B::k_scale_planes(w, sums), plus));
        }
    }
    DemodulationGradients { w: Tensors(of_w), s: Tensors(of_s), t: Tensors(of_t) }
}
