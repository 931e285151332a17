//! R-precision (Xu et al. 2018, AttnGAN): does a picture find its caption among others?
//!
//! The similarity is the caller's. One that a model was trained on flatters that model:
//! [`similarity`](super::similarity) offers an independent one. A number means something beside
//! those of real pictures and of shuffled captions.

use std::collections::HashMap;

use rand::Rng;

use super::{Spread, parts};
use crate::draws;
use crate::error::{Error, Result};

/// Wrong captions beside the true one.
pub const OTHERS: usize = 99;
/// Parts that the spread is taken over.
pub const FOLDS: usize = 10;

/// For every query the captions that it ranks: its own first, then `others` distinct ones of other
/// classes.
///
/// `own` [Q] are indices into the captions, `classes` the captions' classes. Data without classes
/// gives every image one of its own.
///
/// # Errors
/// If a query has too few captions of other classes.
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
        let strangers = classes.len() - sizes[&class];
        if strangers < others {
            return Err(Error::user(format!(
                "R-precision needs {others} captions of other classes, there are {strangers}"
            ))
            .hint("evaluate a larger split, or rank fewer captions"));
        }
        let mut rng = draws::stream(seed, "r-precision", query as u64);
        let mut chosen = vec![own];
        if strangers < 4 * others.max(1) {
            // Most are needed: draw from a list of them.
            let mut list: Vec<usize> =
                (0..classes.len()).filter(|&i| classes[i] != class).collect();
            for place in 0..others {
                list.swap(place, rng.random_range(place..strangers));
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

/// Number of wrong candidates that are more similar than the first, true one; ties count half, so
/// that a constant similarity is no better than chance.
pub fn rank(similarities: &[f64]) -> f64 {
    let Some((own, others)) = similarities.split_first() else { return 0.0 };
    let (above, ties) = compare(*own, others);
    above as f64 + ties as f64 / 2.0
}

/// How many are not below `own`: above it, and equal to it. What is NaN is above.
fn compare(own: f64, others: &[f64]) -> (usize, usize) {
    let ties = others.iter().filter(|&&other| other == own).count();
    let below = others.iter().filter(|&&other| other < own).count();
    (others.len() - ties - below, ties)
}

/// Share of queries whose true caption is the most similar one; mean and spread over consecutive
/// folds. Ties share the place.
///
/// `similarity(query, caption)` is asked for every caption of `candidates`.
///
/// # Errors
/// If there is no query.
pub fn r_precision(
    candidates: &[Vec<usize>],
    folds: usize,
    similarity: impl Fn(usize, usize) -> f64,
) -> Result<Spread> {
    if candidates.is_empty() {
        return Err(Error::user("R-precision needs at least one picture"));
    }
    let hit = |query: usize| {
        let of = |caption: &usize| similarity(query, *caption);
        let similarities: Vec<f64> = candidates[query].iter().map(of).collect();
        let Some((own, others)) = similarities.split_first() else { return 0.0 };
        match compare(*own, others) {
            (0, ties) => 1.0 / (1 + ties) as f64,
            _ => 0.0,
        }
    };
    let hits: Vec<f64> = (0..candidates.len()).map(hit).collect();
    let folds = folds.clamp(1, hits.len());
    let means: Vec<f64> =
        parts(hits.len(), folds).map(|fold| Spread::of(&hits[fold]).mean).collect();
    Ok(Spread::of(&means))
}

/// The cosine of the angle between two vectors; 0 where one has no direction.
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
        assert!(error.message.contains("needs 291") && error.message.contains("are 290"));
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
    fn ranks_count_what_is_above_and_half_of_what_is_equal() {
        assert_eq!(rank(&[0.5, 0.9, 0.5, 0.1]), 1.5);
        assert_eq!(rank(&[0.5]), 0.0);
        assert_eq!(cosine(&[3.0, 4.0], &[6.0, 8.0]), 1.0);
        assert_eq!(cosine(&[0.0, 0.0], &[6.0, 8.0]), 0.0);
    }
}
