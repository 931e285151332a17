//! A step of Adam in one pass over memory.

use rayon::prelude::*;

use super::table::table;
use crate::kernels::spec::AdamStep;

/// Elements of a task.
const TASK: usize = 1 << 14;

/// m ← β₁m + (1−β₁)g, v ← β₂v + (1−β₂)g², p ← p − lr·m̂/(√v̂ + ε), m̂ = m/(1−β₁ᵗ), v̂ = v/(1−β₂ᵗ).
///
/// Elements of g that are NaN count as 0, infinite ones as ±1e5; the number of both is returned.
pub fn adam(s: &AdamStep, g: &[f32], m: &mut [f32], v: &mut [f32], p: &mut [f32]) -> usize {
    assert!(g.len() == m.len() && g.len() == v.len() && g.len() == p.len(), "tensors of one size");
    g.par_chunks(TASK)
        .zip(m.par_chunks_mut(TASK))
        .zip(v.par_chunks_mut(TASK))
        .zip(p.par_chunks_mut(TASK))
        // SAFETY: the table is one that this processor can run.
        .map(|(((g, m), v), p)| unsafe { (table().adam)(s, g, m, v, p) })
        .sum()
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
            let s = AdamStep { lr: 0.01, beta1: 0.5, beta2: 0.99, eps: 1e-8, number: step };
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
        let s = AdamStep { lr: 1.0, beta1: 0.0, beta2: 0.99, eps: 1e-8, number: 1 };
        assert_eq!(adam(&s, &g, &mut m, &mut v, &mut p), 3);
        assert_eq!(m, [0.0, 1e5, -1e5, 1.0]);
        assert!(p.iter().all(|p| p.is_finite()));
    }

    /// The first moment has no correction at β₁ = 0, so nothing is divided by zero.
    #[test]
    fn a_zero_gradient_changes_nothing() {
        let (mut m, mut v, mut p) = ([0.0; 3], [0.0; 3], [1.0, -2.0, 3.0]);
        let s = AdamStep { lr: 1.0, beta1: 0.0, beta2: 0.99, eps: 1e-8, number: 1 };
        adam(&s, &[0.0; 3], &mut m, &mut v, &mut p);
        assert_eq!(p, [1.0, -2.0, 3.0]);
    }
}
