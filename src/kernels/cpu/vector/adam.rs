//! The arithmetic of Adam's step.

use super::simd::Simd;
use crate::kernels::spec::AdamStep;

/// One step for some elements; returns the number of gradients that are not finite.
/// See [`adam`](crate::kernels::cpu::adam::adam).
///
/// # Safety
/// The processor has V's instruction set.
#[inline(always)]
pub unsafe fn chunk<V: Simd>(
    s: &AdamStep,
    g: &[f32],
    m: &mut [f32],
    v: &mut [f32],
    p: &mut [f32],
) -> usize {
    let rate = s.lr / s.correction(s.beta1);
    let root = s.correction(s.beta2).sqrt().recip();
    let mut odd = 0u32;
    for (((&g, m), v), p) in g.iter().zip(m).zip(v).zip(p) {
        odd += u32::from(!g.is_finite());
        let g = if g.is_nan() { 0.0 } else { g };
        let g = if g.is_infinite() { AdamStep::INFINITE.copysign(g) } else { g };
        *m = s.beta1 * *m + (1.0 - s.beta1) * g;
        *v = s.beta2 * *v + (1.0 - s.beta2) * g * g;
        *p -= rate * *m / (v.sqrt() * root + s.eps);
    }
    odd as usize
}
