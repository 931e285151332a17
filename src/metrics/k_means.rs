//! K-means: groups of near points (Lloyd 1982, with the starts of k-means++).

use rand::Rng;

use crate::draws;

/// Number of starts, of which the best result counts.
const STARTS: u64 = 10;
/// Maximum number of iterations from one start.
const ITERATIONS: usize = 100;

/// The group of each of the points, from 0 to `k` − 1.
pub fn k_means<const D: usize>(points: &[[f64; D]], k: usize, seed: u64) -> Vec<usize> {
    let runs = (0..STARTS).map(|start| run(points, k.min(points.len()), seed, start));
    runs.min_by(|a, b| a.1.total_cmp(&b.1)).map(|(groups, _)| groups).unwrap_or_default()
}

/// The groups from one start, and the sum of the squared distances to their centres.
fn run<const D: usize>(points: &[[f64; D]], k: usize, seed: u64, start: u64) -> (Vec<usize>, f64) {
    let mut centres = starts(points, k, &mut draws::stream(seed, "k-means", start));
    let mut groups = vec![usize::MAX; points.len()];
    for _ in 0..ITERATIONS {
        let assigned: Vec<usize> = points.iter().map(|point| nearest(point, &centres).0).collect();
        if assigned == groups {
            break;
        }
        groups = assigned;
        let mut sums = vec![([0.0; D], 0.0); k];
        for (point, &group) in points.iter().zip(&groups) {
            let (sum, count) = &mut sums[group];
            sum.iter_mut().zip(point).for_each(|(sum, value)| *sum += value);
            *count += 1.0;
        }
        for (centre, (sum, count)) in centres.iter_mut().zip(sums) {
            // A group without points keeps its centre.
            if count > 0.0 {
                *centre = sum.map(|sum| sum / count);
            }
        }
    }
    let error = points.iter().map(|point| nearest(point, &centres).1).sum();
    (groups, error)
}

/// Random points, each the more likely the farther it is from those before.
fn starts<const D: usize>(points: &[[f64; D]], k: usize, rng: &mut impl Rng) -> Vec<[f64; D]> {
    let mut centres: Vec<[f64; D]> = Vec::new();
    while centres.len() < k {
        let weight = |point: &[f64; D]| match centres.is_empty() {
            true => 1.0,
            false => nearest(point, &centres).1,
        };
        let weights: Vec<f64> = points.iter().map(weight).collect();
        let mut at = rng.random::<f64>() * weights.iter().sum::<f64>();
        let drawn = weights.iter().position(|weight| {
            at -= weight;
            at < 0.0
        });
        centres.push(points[drawn.unwrap_or(points.len() - 1)]);
    }
    centres
}

/// The index of the nearest centre, and the squared distance to it.
fn nearest<const D: usize>(point: &[f64; D], centres: &[[f64; D]]) -> (usize, f64) {
    let distance = |centre: &[f64; D]| -> f64 {
        centre.iter().zip(point).map(|(a, b)| (a - b) * (a - b)).sum()
    };
    let all = centres.iter().map(distance).enumerate();
    all.min_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or((0, 0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_finds_separate_groups() {
        let points: Vec<[f64; 2]> =
            (0..90).map(|i| [f64::from(i % 3) * 10.0, f64::from(i % 7) * 0.1]).collect();
        let groups = k_means(&points, 3, 0);
        for (i, group) in groups.iter().enumerate() {
            assert_eq!(*group, groups[i % 3]);
        }
        assert!(groups[0] != groups[1] && groups[1] != groups[2] && groups[0] != groups[2]);
        assert_eq!(groups, k_means(&points, 3, 0));
    }

    #[test]
    fn few_points_are_groups_of_their_own() {
        let mut groups = k_means(&[[0.0], [1.0], [5.0]], 7, 1);
        groups.sort_unstable();
        assert_eq!(groups, [0, 1, 2]);
        // Equal points have equal groups.
        let equal = k_means(&[[2.0]; 4], 2, 1);
        assert!(equal.iter().all(|group| *group == equal[0]));
        assert!(k_means::<1>(&[], 2, 1).is_empty());
    }
}
