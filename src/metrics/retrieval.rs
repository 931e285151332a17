//! Retrieval in both directions: captions find their images, and images find their captions.

use serde::Serialize;

/// Recall at k and median rank of the correct answers, the usual measures of retrieval between
/// captions and images (Karpathy and Fei-Fei 2015).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Retrieval {
    /// Fraction of correct answers among the first 1, 5 and 10 candidates.
    pub recall: [f64; 3],
    /// Median rank; 1 is the best.
    pub median_rank: f64,
    /// Number of candidates.
    pub candidates: usize,
}

/// The k at which recall is measured.
pub const AT: [usize; 3] = [1, 5, 10];

impl Retrieval {
    /// Computes the measures from ranks that count from 1.
    pub fn of(mut ranks: Vec<f64>, candidates: usize) -> Self {
        ranks.sort_by(f64::total_cmp);
        let n = ranks.len().max(1);
        let within = |k: usize| ranks.iter().filter(|&&r| r <= k as f64).count() as f64 / n as f64;
        Self { recall: AT.map(within), median_rank: median(&ranks), candidates }
    }

    /// The expected result of random guessing.
    pub fn chance(candidates: usize) -> Self {
        let n = candidates as f64;
        Self {
            recall: AT.map(|k| (k as f64 / n).min(1.0)),
            median_rank: (n + 1.0) / 2.0,
            candidates,
        }
    }
}

/// Median of sorted numbers; for an even count, the mean of the two middle ones.
pub fn median(sorted: &[f64]) -> f64 {
    match sorted.len() {
        0 => f64::NAN,
        len if len % 2 == 1 => sorted[len / 2],
        len => (sorted[len / 2 - 1] + sorted[len / 2]) / 2.0,
    }
}

/// Rank of column i in row i of a distance matrix `[N, N]`, row-major; ties count half.
pub fn ranks_in_rows(distances: &[f32], n: usize) -> Vec<f64> {
    (0..n)
        .map(|i| {
            let row = &distances[i * n..(i + 1) * n];
            let own = row[i];
            if own.is_nan() {
                // An undefined distance ranks last.
                return n as f64;
            }
            let nearer = row.iter().filter(|&&d| d < own).count() as f64;
            let ties = row.iter().filter(|&&d| d == own).count().saturating_sub(1) as f64;
            1.0 + nearer + ties / 2.0
        })
        .collect()
}

/// The transpose of a matrix `[N, N]`, row-major.
pub fn transposed(distances: &[f32], n: usize) -> Vec<f32> {
    (0..n * n).map(|k| distances[(k % n) * n + k / n]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn perfect_and_reversed_order() {
        // Row i is nearest to column i.
        let n = 4;
        let perfect: Vec<f32> = (0..16).map(|k| ((k / n) as f32 - (k % n) as f32).abs()).collect();
        let found = Retrieval::of(ranks_in_rows(&perfect, n), n);
        assert_eq!(found.recall, [1.0; 3]);
        assert_eq!(found.median_rank, 1.0);
        let worst: Vec<f32> = perfect
            .iter()
            .enumerate()
            .map(|(k, _)| if k / n == k % n { 9.0 } else { 1.0 })
            .collect();
        let found = Retrieval::of(ranks_in_rows(&worst, n), n);
        assert_eq!(found.recall, [0.0, 1.0, 1.0]);
        assert_eq!(found.median_rank, 4.0);
    }

    #[test]
    fn a_constant_similarity_is_chance() {
        let n = 9;
        let found = Retrieval::of(ranks_in_rows(&[1.0; 81], n), n);
        assert_eq!(found.median_rank, Retrieval::chance(n).median_rank);
    }
}
