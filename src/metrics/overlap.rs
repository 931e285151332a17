//! Overlap of two sets of latent codes, such as E(x) and w (paper Fig. 9).

use faer::Mat;

use super::Cloud;
use super::linear::{product, solve_positive};
use crate::draws;
use crate::error::Result;

/// Weight of ½‖w‖² relative to the summed logistic loss.
const RIDGE: f64 = 1.0;
/// Limit on Newton steps, far above the number until convergence.
const STEPS: usize = 30;

/// Accuracy of a linear classifier that separates two clouds: ½ if they overlap, 1 if a hyperplane
/// separates them.
///
/// The classifier is a logistic regression on standardised features with two-fold cross-validation.
/// The larger cloud is subsampled to the size of the smaller one. The cost grows with D³.
///
/// # Errors
/// Fails if a cloud has fewer than four vectors or the dimensions differ.
pub fn separability(x: &Cloud, y: &Cloud, seed: u64) -> Result<f64> {
    x.comparable(y, "the overlap", 4)?;
    let n = x.len().min(y.len());
    let halves = |cloud: &Cloud, side: &str| {
        let mut rng = draws::stream(seed, &format!("overlap.{side}"), 0);
        let order = draws::permutation(&mut rng, cloud.len());
        let order: Vec<usize> = order[..n].iter().map(|&i| i as usize).collect();
        let (a, b) = order.split_at(n / 2);
        [cloud.select(a), cloud.select(b)]
    };
    let (x, y) = (halves(x, "x"), halves(y, "y"));
    let mut right = 0.0;
    for (fitted, asked) in [(0, 1), (1, 0)] {
        let plane = Classifier::fit(&x[fitted], &y[fitted])?;
        right += x[asked].rows().filter(|row| plane.score(row) > 0.0).count() as f64;
        right += y[asked].rows().filter(|row| plane.score(row) <= 0.0).count() as f64;
    }
    Ok(right / (2 * n) as f64)
}

/// A logistic regression: score(v) = b + Σ w·(v − mean)/deviation, positive on the side of x.
struct Classifier {
    mean: Vec<f64>,
    scale: Vec<f64>,
    /// `[D + 1]`, the offset last.
    weights: Vec<f64>,
}

impl Classifier {
    /// Fits by Newton's method and halves steps that do not lower the loss.
    fn fit(x: &Cloud, y: &Cloud) -> Result<Self> {
        let d = x.dim();
        let all: Vec<&[f32]> = x.rows().chain(y.rows()).collect();
        let n = all.len() as f64;
        let mut mean = vec![0.0; d];
        let mut square = vec![0.0; d];
        for row in &all {
            for (i, &v) in row.iter().enumerate() {
                mean[i] += f64::from(v) / n;
                square[i] += f64::from(v).powi(2) / n;
            }
        }
        let scale = mean.iter().zip(&square).map(|(m, s)| {
            let variance = s - m * m;
            // A constant feature carries no information.
            if variance > 1e-12 * s { 1.0 / variance.sqrt() } else { 0.0 }
        });
        let mut model = Self { scale: scale.collect(), mean, weights: vec![0.0; d + 1] };
        let points = Mat::from_fn(d + 1, all.len(), |i, j| match i {
            i if i == d => 1.0,
            i => (f64::from(all[j][i]) - model.mean[i]) * model.scale[i],
        });
        // +1 for x, −1 for y.
        let signs: Vec<f64> =
            (0..all.len()).map(|j| if j < x.len() { 1.0 } else { -1.0 }).collect();
        let mut loss = model.loss(&points, &signs);
        for _ in 0..STEPS {
            let step = model.newton_step(&points, &signs)?;
            let before = model.weights.clone();
            let mut length = 1.0;
            let lowered = loop {
                for (w, (b, s)) in model.weights.iter_mut().zip(before.iter().zip(&step)) {
                    *w = b - length * s;
                }
                let found = model.loss(&points, &signs);
                if found < loss {
                    break loss - found;
                }
                length /= 2.0;
                if length < 1e-6 {
                    model.weights = before;
                    return Ok(model);
                }
            };
            loss -= lowered;
            if lowered < 1e-9 * (1.0 + loss) {
                break;
            }
        }
        Ok(model)
    }

    fn score(&self, row: &[f32]) -> f64 {
        let d = self.mean.len();
        let terms =
            (0..d).map(|i| self.weights[i] * (f64::from(row[i]) - self.mean[i]) * self.scale[i]);
        self.weights[d] + terms.sum::<f64>()
    }

    fn margin(&self, point: &[f64], sign: f64) -> f64 {
        sign * self.weights.iter().zip(point).map(|(w, v)| w * v).sum::<f64>()
    }

    /// Σ log(1 + exp(−margin)) + ½·RIDGE·‖w‖², where the norm excludes the offset.
    fn loss(&self, points: &Mat<f64>, signs: &[f64]) -> f64 {
        let of = |(j, &sign): (usize, &f64)| {
            let margin = self.margin(points.col_as_slice(j), sign);
            (-margin.abs()).exp().ln_1p() + (-margin).max(0.0)
        };
        let norm: f64 = self.weights[..self.mean.len()].iter().map(|w| w * w).sum();
        signs.iter().enumerate().map(of).sum::<f64>() + 0.5 * RIDGE * norm
    }

    /// Hessian⁻¹·gradient.
    fn newton_step(&self, points: &Mat<f64>, signs: &[f64]) -> Result<Vec<f64>> {
        let d = self.mean.len();
        let mut gradient = Mat::zeros(d + 1, 1);
        let mut curved = points.clone();
        for (j, &sign) in signs.iter().enumerate() {
            let wrong = 1.0 / (1.0 + self.margin(points.col_as_slice(j), sign).exp());
            let root = (wrong * (1.0 - wrong)).sqrt();
            for (i, v) in curved.col_as_slice_mut(j).iter_mut().enumerate() {
                gradient[(i, 0)] -= sign * wrong * *v;
                *v *= root;
            }
        }
        let mut hessian = product(curved.as_ref(), curved.transpose());
        for i in 0..d {
            hessian[(i, i)] += RIDGE;
            gradient[(i, 0)] += RIDGE * self.weights[i];
        }
        // If the clouds are separable, the curvature of the offset vanishes.
        hessian[(d, d)] += 1e-9;
        Ok(solve_positive(&hessian, &gradient)?.col_as_slice(0).to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cloud(seed: u64, n: usize, shift: f32) -> Cloud {
        let x = draws::normal(&mut draws::stream(seed, "overlap.test", 0), n * 8);
        let shifted =
            x.into_iter().enumerate().map(|(i, v)| if i % 8 == 3 { v + shift } else { v });
        Cloud::new(shifted.collect(), 8).unwrap()
    }

    #[test]
    fn accuracy_is_that_of_the_best_hyperplane() {
        let of = |shift| separability(&cloud(1, 2000, 0.0), &cloud(2, 3000, shift), 4).unwrap();
        assert!((of(0.0) - 0.5).abs() < 0.03, "{}", of(0.0));
        // Unit Gaussians 2 apart: Φ(1).
        assert!((of(2.0) - 0.841).abs() < 0.02, "{}", of(2.0));
        assert_eq!(of(60.0), 1.0);
        assert!(separability(&cloud(1, 3, 0.0), &cloud(2, 9, 0.0), 0).is_err());
    }

    #[test]
    fn constant_features_are_accepted() {
        let flat = |shift| {
            let rows = cloud(7, 50, shift).rows().flat_map(|r| [r[3], 5.0]).collect();
            Cloud::new(rows, 2).unwrap()
        };
        assert!(separability(&flat(0.0), &flat(9.0), 0).unwrap() > 0.97);
    }
}
