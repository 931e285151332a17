//! Inception score (Salimans et al. 2016).

use super::{Cloud, Spread, parts};
use crate::error::Result;

/// Parts that the score is published over.
pub const SPLITS: usize = 10;

/// exp(mean KL(p(y|x) ‖ p(y))) of each of `splits` consecutive parts of the pictures.
///
/// `logits` [N, classes]. The published scores on CUB are of an Inception network that was trained
/// on birds: one that was trained on ImageNet gives numbers of its own.
///
/// # Errors
/// If there are fewer pictures than parts.
pub fn inception_scores(logits: &Cloud, splits: usize) -> Result<Vec<f64>> {
    logits.comparable(logits, "the Inception score", splits.max(1))?;
    let classes = logits.dim();
    let scores = parts(logits.len(), splits.max(1)).map(|part| {
        let n = part.len() as f64;
        let log: Vec<f64> = part.flat_map(|i| log_softmax(logits.row(i))).collect();
        let mut marginal = vec![0.0; classes];
        for row in log.chunks_exact(classes) {
            marginal.iter_mut().zip(row).for_each(|(sum, l)| *sum += l.exp() / n);
        }
        let divergence = |row: &[f64]| -> f64 {
            let terms = row.iter().zip(&marginal);
            // A class of probability 0 adds nothing; its logarithm would be −∞.
            terms.filter(|(l, _)| l.exp() > 0.0).map(|(l, m)| l.exp() * (l - m.ln())).sum()
        };
        (log.chunks_exact(classes).map(divergence).sum::<f64>() / n).exp()
    });
    Ok(scores.collect())
}

/// Their mean and spread.
///
/// # Errors
/// If there are fewer pictures than parts.
pub fn inception_score(logits: &Cloud, splits: usize) -> Result<Spread> {
    Ok(Spread::of(&inception_scores(logits, splits)?))
}

fn log_softmax(logits: &[f32]) -> Vec<f64> {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let shifted: Vec<f64> = logits.iter().map(|&l| f64::from(l) - f64::from(largest)).collect();
    let log_sum = shifted.iter().map(|l| l.exp()).sum::<f64>().ln();
    shifted.into_iter().map(|l| l - log_sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certain_and_even_classes_score_their_number_and_equal_ones_one() {
        let certain =
            (0..40).flat_map(|i| (0..4).map(move |c| if i % 4 == c { 90.0 } else { 0.0 }));
        let certain = Cloud::new(certain.collect(), 4).unwrap();
        let score = inception_score(&certain, 10).unwrap();
        assert!((score.mean - 4.0).abs() < 1e-9 && score.std < 1e-9, "{score:?}");
        let alike = Cloud::new([0.5, 0.1, 2.0].repeat(20), 3).unwrap();
        assert!((inception_score(&alike, 10).unwrap().mean - 1.0).abs() < 1e-12);
        assert!(inception_score(&alike, 21).is_err());
    }
}
