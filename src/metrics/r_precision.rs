//! R-precision (Xu et al. 2018, AttnGAN): how often an image retrieves its caption among others.
//!
//! The caller supplies the similarity. It is biased in favour of a model that was trained with it;
//! [`similarity`](super::similarity) provides an independent one. Compare values with those of real
//! images and of shuffled captions.

use std::collections::HashMap;

use rand::Rng;

use super::{Spread, parts};
use crate::draws;
use crate::error::{Error, Result};

/// Number of wrong captions per query.
pub const OTHERS: usize = 99;
/// Number of folds for the standard deviation.
pub const FOLDS: usize = 10;

/// Candidate captions for every query: the true one first, then `others` distinct captions of other
/// classes.
///
/// `own` `[Q]` holds the index of each query's true caption, `classes` the class of each caption.
/// For data without classes, give every image a different class.
///
/// # Errors
/// Fails if a query has too few captions of other classes.
pub fn candidates(
    own: &[usize],
    classes: &[u64],
    others: usize,
    seed: u64,
) -> Result<Vec<Vec<usize>>> {
    let mut sizes = HashMap::new();
    for class in classes {
        *sizes.entry(class).or_insert(0) += 1;
    }
    let draw = |(query, &own): (usize, &usize)| {
        let class = classes[own];
        let available = classes.len() - sizes[&class];
        if available < others {
            return Err(Error::user(format!(
                "R-precision needs {others} captions of other classes, found {available}"
            ))
            .hint("evaluate a larger split, or rank fewer captions"));
        }
        let mut rng = draws::stream(seed, "r-precision", query as u64);
        let mut chosen = vec![own];
        if available < 4 * others.max(1) {
            // A large share is needed, so shuffle a list instead of rejecting draws.
            let mut list: Vec<usize> =
                (0..classes.len()).filter(|&i| classes[i] != class).collect();
            for place in 0..others {
                list.swap(place, rng.random_range(place..available));
            }
            chosen.extend(&list[..others]);
        } else {
            while chosen.len() <= others {
                let other = rng.random_range(0..classes.len());
                if classes[other] != class && !chosen.contains(&other) {
                    chosen.push(other);
                }
            }
        }
        Ok(chosen)
    };
    own.iter().enumerate().map(draw).collect()
}

/// Zero-based rank of the first, true candidate: the number of candidates with a higher similarity.
/// Ties count half, so that a constant similarity is no better than chance.
pub fn rank(similarities: &[f64]) -> f64 {
    let Some((own, others)) = similarities.split_first() else { return 0.0 };
    let (above, ties) = compare(*own, others);
    above as f64 + ties as f64 / 2.0
}

/// Numbers of values above `own` and equal to `own`. NaN counts as above.
fn compare(own: f64, others: &[f64]) -> (usize, usize) {
    let ties = others.iter().filter(|&&other| other == own).count();
    let below = others.iter().filter(|&&other| other < own).count();
    (others.len() - ties - below, ties)
}

/// R-precision: share of queries whose true caption is the most similar one, as mean and standard
/// deviation over consecutive folds. A tie of n captions counts 1/n.
///
/// `similarity(query, caption)` is evaluated for every caption of `candidates`.
///
/// # Errors
/// Fails if there are no queries.
pub fn r_precision(
    candidates: &[Vec<usize>],
    folds: usize,
    similarity: impl Fn(usize, usize) -> f64,
) -> Result<Spread> {
    among_most_similar(candidates, folds, 1, similarity)
}

/// Share of queries whose true caption is among the `most` most similar ones, as in [`r_precision`].
/// Captions that are equally similar are in random order.
///
/// # Errors
/// Fails if there are no queries.
pub fn among_most_similar(
    candidates: &[Vec<usize>],
    folds: usize,
    most: usize,
    similarity: impl Fn(usize, usize) -> f64,
) -> Result<Spread> {
    if candidates.is_empty() {
        return Err(Error::user("R-precision needs at least one image")
            .hint("give an archive with captioned images"));
    }
    let hit = |query: usize| {
        let of = |caption: &usize| similarity(query, *caption);
        let similarities: Vec<f64> = candidates[query].iter().map(of).collect();
        let Some((own, others)) = similarities.split_first() else { return 0.0 };
        let (above, ties) = compare(*own, others);
        most.saturating_sub(above).min(1 + ties) as f64 / (1 + ties) as f64
    };
    let hits: Vec<f64> = (0..candidates.len()).map(hit).collect();
    let folds = folds.clamp(1, hits.len());
    let means: Vec<f64> =
        parts(hits.len(), folds).map(|fold| Spread::of(&hits[fold]).mean).collect();
    Ok(Spread::of(&means))
}

/// Cosine similarity of two vectors; 0 if one of them is zero.
pub fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
    };
    let lengths = (dot(a, a) * dot(b, b)).sqrt();
    if lengths > 0.0 { dot(a, b) / lengths } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 300 captions in 30 classes.
    fn classes() -> Vec<u64> {
        (0..300).map(|i| i / 10).collect()
    }

    #[test]
    fn candidates_are_distinct_and_of_other_classes() {
        let (own, classes) = ((0..300).collect::<Vec<_>>(), classes());
        for others in [99, 20, 290] {
            let drawn = candidates(&own, &classes, others, 5).unwrap();
            assert_eq!(drawn, candidates(&own, &classes, others, 5).unwrap());
            for (own, drawn) in drawn.iter().enumerate() {
                assert_eq!((drawn[0], drawn.len()), (own, others + 1));
                assert!(drawn[1..].iter().all(|&i| classes[i] != classes[own]));
                let mut sorted = drawn.clone();
                sorted.sort_unstable();
                sorted.dedup();
                assert_eq!(sorted.len(), drawn.len());
            }
        }
        let error = candidates(&own, &classes, 291, 0).unwrap_err();
        assert!(error.message.contains("needs 291") && error.message.contains("found 290"));
    }

    #[test]
    fn perfect_random_constant_and_broken_similarities() {
        let own: Vec<usize> = (0..300).cycle().take(3000).collect();
        let drawn = candidates(&own, &classes(), OTHERS, 1).unwrap();
        let perfect = r_precision(&drawn, FOLDS, |q, c| f64::from(c == own[q])).unwrap();
        assert_eq!(perfect, Spread { mean: 1.0, std: 0.0 });
        let random = |q: usize, c: usize| {
            draws::stream(2, "similarity", (q * 300 + c) as u64).random::<f64>()
        };
        let random = r_precision(&drawn, FOLDS, random).unwrap();
        assert!((random.mean - 0.01).abs() < 0.006, "{random:?}");
        let constant = r_precision(&drawn, FOLDS, |_, _| 0.5).unwrap();
        assert!((constant.mean - 0.01).abs() < 1e-9, "{constant:?}");
        assert_eq!(r_precision(&drawn, FOLDS, |_, _| f64::NAN).unwrap().mean, 0.0);
        assert!(r_precision(&[], FOLDS, |_, _| 0.0).is_err());
    }

    #[test]
    fn the_most_similar_captions_count_by_their_rank() {
        let candidates = vec![vec![0, 1, 2, 3]];
        let share = |scores: [f64; 4], most: usize| {
            among_most_similar(&candidates, FOLDS, most, |_, c| scores[c]).unwrap().mean
        };
        let third = [0.5, 0.9, 0.7, 0.1];
        assert_eq!([1, 2, 3, 4].map(|most| share(third, most)), [0.0, 0.0, 1.0, 1.0]);
        // One is more similar, and one equal.
        let tied = [0.5, 0.9, 0.5, 0.1];
        assert_eq!([1, 2, 3].map(|most| share(tied, most)), [0.0, 0.5, 1.0]);
    }

    #[test]
    fn rank_counts_higher_values_and_half_of_the_ties() {
        assert_eq!(rank(&[0.5, 0.9, 0.5, 0.1]), 1.5);
        assert_eq!(rank(&[0.5]), 0.0);
        assert_eq!(cosine(&[3.0, 4.0], &[6.0, 8.0]), 1.0);
        assert_eq!(cosine(&[0.0, 0.0], &[6.0, 8.0]), 0.0);
    }
}
