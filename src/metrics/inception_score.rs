//! Inception score (Salimans et al. 2016).

use super::{Cloud, Spread, parts};
use crate::error::Result;

/// Number of parts in published scores.
pub const SPLITS: usize = 10;

/// Inception score exp(mean KL(p(y|x) ‖ p(y))) of each of `splits` consecutive parts of the images.
///
/// `logits` is `[N, classes]`. Published scores on CUB use an Inception network that was fine-tuned
/// on birds; scores of one trained on ImageNet are not comparable with them.
///
/// # Errors
/// Fails if there are fewer images than parts.
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

/// Mean and standard deviation of [`inception_scores`] over the parts.
///
/// # Errors
/// Fails if there are fewer images than parts.
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
    fn score_is_the_class_count_for_certain_balanced_classes_and_one_for_equal_images() {
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
