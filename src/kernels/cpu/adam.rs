//! Adam's step in one pass over memory.

use rayon::prelude::*;

use super::isa::kernels;
use super::simd::Simd;

/// Elements of a task.
const TASK: usize = 1 << 14;

/// What a step of Adam depends on besides the tensors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    pub lr: f32,
    pub beta1: f32,
    pub beta2: f32,
    pub epsilon: f32,
    /// The number of this step, from 1 on, for the bias correction.
    pub step: u64,
}

/// m ← β₁m + (1−β₁)g, v ← β₂v + (1−β₂)g², p ← p − lr·m̂/(√v̂ + ε), m̂ = m/(1−β₁ᵗ), v̂ = v/(1−β₂ᵗ).
///
/// Elements of g that are not finite count as 0 (NaN) or ±1e5 (±∞); their number is returned.
pub fn adam(s: &Step, g: &[f32], m: &mut [f32], v: &mut [f32], p: &mut [f32]) -> usize {
    assert!(g.len() == m.len() && g.len() == v.len() && g.len() == p.len(), "tensors of one size");
    g.par_chunks(TASK)
        .zip(m.par_chunks_mut(TASK))
        .zip(v.par_chunks_mut(TASK))
        .zip(p.par_chunks_mut(TASK))
        // SAFETY: the table is one that this processor can run.
        .map(|(((g, m), v), p)| unsafe { (kernels().adam)(s, g, m, v, p) })
        .sum()
}

/// Part of [`adam`].
///
/// # Safety
/// The processor has V's instruction set.
#[inline(always)]
pub(super) unsafe fn chunk<V: Simd>(
    s: &Step,
    g: &[f32],
    m: &mut [f32],
    v: &mut [f32],
    p: &mut [f32],
) -> usize {
    let correction = |beta: f32| (1.0 - f64::from(beta).powf(s.step as f64)) as f32;
    let rate = s.lr / correction(s.beta1);
    let root = correction(s.beta2).sqrt().recip();
    let mut odd = 0u32;
    for (((&g, m), v), p) in g.iter().zip(m).zip(v).zip(p) {
        odd += u32::from(!g.is_finite());
        let g = if g.is_nan() { 0.0 } else { g };
        let g = if g.is_infinite() { 1e5f32.copysign(g) } else { g };
        *m = s.beta1 * *m + (1.0 - s.beta1) * g;
        *v = s.beta2 * *v + (1.0 - s.beta2) * g * g;
        *p -= rate * *m / (v.sqrt() * root + s.epsilon);
    }
    odd as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::cpu::testing::random;

    #[test]
    fn three_steps_follow_the_formula() {
        let n = TASK + 77;
        let mut p = random(0, n);
        let (mut m, mut v) = (vec![0.0; n], vec![0.0; n]);
        let (mut rp, mut rm, mut rv) = (p[5] as f64, 0f64, 0f64);
        for step in 1..=3 {
            let g = random(step, n);
            let s = Step { lr: 0.01, beta1: 0.5, beta2: 0.99, epsilon: 1e-8, step };
            assert_eq!(adam(&s, &g, &mut m, &mut v, &mut p), 0);
            let g = f64::from(g[5]);
            rm = 0.5 * rm + 0.5 * g;
            rv = 0.99 * rv + 0.01 * g * g;
            let (mh, vh) =
                (rm / (1.0 - 0.5f64.powi(step as i32)), rv / (1.0 - 0.99f64.powi(step as i32)));
            rp -= 0.01 * mh / (vh.sqrt() + 1e-8);
            assert!((f64::from(p[5]) - rp).abs() < 1e-6, "step {step}: {} {rp}", p[5]);
        }
    }

    #[test]
    fn odd_gradients_are_counted_and_replaced() {
        let g = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1.0];
        let (mut m, mut v, mut p) = ([0.0; 4], [0.0; 4], [0.0; 4]);
        let s = Step { lr: 1.0, beta1: 0.0, beta2: 0.99, epsilon: 1e-8, step: 1 };
        assert_eq!(adam(&s, &g, &mut m, &mut v, &mut p), 3);
        assert_eq!(m, [0.0, 1e5, -1e5, 1.0]);
        assert!(p.iter().all(|p| p.is_finite()));
    }

    /// Step 0 aside, β₁ = 0 leaves the first moment without correction: nothing divides by zero.
    #[test]
    fn a_zero_gradient_changes_nothing() {
        let (mut m, mut v, mut p) = ([0.0; 3], [0.0; 3], [1.0, -2.0, 3.0]);
        let s = Step { lr: 1.0, beta1: 0.0, beta2: 0.99, epsilon: 1e-8, step: 1 };
        adam(&s, &[0.0; 3], &mut m, &mut v, &mut p);
        assert_eq!(p, [1.0, -2.0, 3.0]);
    }
}
