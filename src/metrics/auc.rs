//! The area under the ROC curve: how well a score separates two kinds.

/// The probability that a random score of `positives` is larger than one of `negatives`, where equal
/// scores count half. `None` if there are none of either.
pub fn auc(positives: &[f64], negatives: &[f64]) -> Option<f64> {
    if positives.is_empty() || negatives.is_empty() {
        return None;
    }
    let labelled = |scores: &[f64], positive: bool| {
        scores.iter().map(move |score| (*score, positive)).collect::<Vec<_>>()
    };
    let mut all = labelled(positives, true);
    all.extend(labelled(negatives, false));
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut below, mut pairs) = (0.0, 0.0);
    for equal in all.chunk_by(|a, b| a.0 == b.0) {
        let positive = equal.iter().filter(|(_, positive)| *positive).count() as f64;
        let negative = equal.len() as f64 - positive;
        pairs += positive * (below + negative / 2.0);
        below += negative;
    }
    Some(pairs / (positives.len() as f64 * negatives.len() as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_counts_the_pairs_in_order() {
        assert_eq!(auc(&[3.0, 4.0], &[1.0, 2.0]), Some(1.0));
        assert_eq!(auc(&[1.0], &[2.0]), Some(0.0));
        // 3 of 4 pairs, and one tie.
        assert_eq!(auc(&[2.0, 5.0], &[1.0, 2.0]), Some((1.0 + 0.5 + 2.0) / 4.0));
        assert_eq!(auc(&[1.0; 3], &[1.0; 5]), Some(0.5));
        assert_eq!(auc(&[], &[1.0]), None);
    }
}
