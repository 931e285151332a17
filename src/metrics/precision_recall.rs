//! Improved precision and recall (Kynkäänniemi et al. 2019).

use serde::Serialize;

use super::Cloud;
use super::linear::squared_distances;
use crate::error::Result;

/// Number of neighbours k in the authors' evaluation.
pub const NEIGHBOURS: usize = 3;

/// Precision and recall, both in `[0, 1]`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct PrecisionRecall {
    /// Share of the generated images within the manifold of the real ones: fidelity.
    pub precision: f64,
    /// Share of the real images within the manifold of the generated ones: diversity.
    pub recall: f64,
}

/// Improved precision and recall of generated vectors.
///
/// The manifold of a set is the union of balls around its vectors; each ball reaches to the `k`-th
/// nearest neighbour of its centre.
///
/// # Errors
/// Fails if a set has at most `k` vectors or the dimensions differ.
pub fn precision_recall(real: &Cloud, fake: &Cloud, k: usize) -> Result<PrecisionRecall> {
    real.comparable(fake, "precision and recall", k + 1)?;
    Ok(PrecisionRecall { precision: covered(real, fake, k), recall: covered(fake, real, k) })
}

/// Share of `queries` within the manifold of `points`.
fn covered(points: &Cloud, queries: &Cloud, k: usize) -> f64 {
    let mut radii = vec![0.0; points.len()];
    squared_distances(points, points, |i, distances| {
        // A point is not its own neighbour.
        distances[i] = f64::INFINITY;
        radii[i] = *distances.select_nth_unstable_by(k.max(1) - 1, f64::total_cmp).1;
    });
    let mut inside = vec![false; queries.len()];
    squared_distances(points, queries, |i, distances| {
        for (inside, &distance) in inside.iter_mut().zip(&*distances) {
            *inside |= distance <= radii[i];
        }
    });
    inside.iter().filter(|&&inside| inside).count() as f64 / inside.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draws;

    fn cloud(seed: u64, n: usize, shift: f32) -> Cloud {
        let x = draws::normal(&mut draws::stream(seed, "pr.test", 0), n * 6);
        Cloud::new(x.into_iter().map(|v| v + shift).collect(), 6).unwrap()
    }

    #[test]
    fn a_cloud_lies_within_itself() {
        let x = cloud(1, 600, 0.0);
        let same = PrecisionRecall { precision: 1.0, recall: 1.0 };
        assert_eq!(precision_recall(&x, &x, 3).unwrap(), same);
        // This also holds for radius 0, if all vectors are equal.
        let one = Cloud::new([0.3, -7.1, 1e3].repeat(10), 3).unwrap();
        assert_eq!(precision_recall(&one, &one, 3).unwrap(), same);
    }

    #[test]
    fn distant_clouds_score_zero_and_a_subset_is_precise() {
        let (x, far) = (cloud(1, 200, 0.0), cloud(2, 200, 100.0));
        let apart = PrecisionRecall { precision: 0.0, recall: 0.0 };
        assert_eq!(precision_recall(&x, &far, 3).unwrap(), apart);
        // Mode collapse: generated vectors are realistic, but do not cover the real ones.
        let few = x.select(&(0..10).collect::<Vec<_>>());
        let few = precision_recall(&cloud(1, 200, 0.0), &few, 3).unwrap();
        assert_eq!(few.precision, 1.0);
        assert!(few.recall < 0.9, "{few:?}");
        assert!(precision_recall(&x, &cloud(1, 3, 0.0), 3).is_err());
    }
}
