//! The loops of a group normalisation.

use super::pointwise::activate;
use super::simd::Simd;
use super::sums::fold;
use crate::kernels::spec::Activation;

/// y = act(x·scale + shift).
///
/// # Safety
/// Of this and the functions below: the processor has V's instruction set.
#[inline(always)]
pub unsafe fn affine_act<V: Simd>(x: &[f32], scale: f32, shift: f32, a: Activation, y: &mut [f32]) {
    let limit = a.limit();
    for (x, y) in x.iter().zip(y) {
        *y = activate(x * scale + shift, a, limit);
    }
}

/// y = x·of_x + y·of_y + shift.
#[inline(always)]
pub unsafe fn combine<V: Simd>(x: &[f32], of_x: f32, of_y: f32, shift: f32, y: &mut [f32]) {
    for (x, y) in x.iter().zip(y) {
        *y = x * of_x + *y * of_y + shift;
    }
}

/// Σ (x − mean)².
#[inline(always)]
pub unsafe fn centred_square<V: Simd>(x: &[f32], mean: f32) -> f32 {
    // SAFETY: `fold` hands out positions with 16 floats behind them.
    unsafe {
        let step = |at, acc| {
            let centred = V::load(x.as_ptr().add(at)).sub(V::splat(mean));
            centred.mul_add(centred, acc)
        };
        fold::<V>(x.len(), step, |i| (x[i] - mean) * (x[i] - mean))
    }
}

/// Σ (x − mean)·g.
#[inline(always)]
pub unsafe fn centred_dot<V: Simd>(x: &[f32], mean: f32, g: &[f32]) -> f32 {
    assert_eq!(x.len(), g.len());
    // SAFETY: as above.
    unsafe {
        let step = |at, acc| {
            let centred = V::load(x.as_ptr().add(at)).sub(V::splat(mean));
            centred.mul_add(V::load(g.as_ptr().add(at)), acc)
        };
        fold::<V>(x.len(), step, |i| (x[i] - mean) * g[i])
    }
}
