//! t-SNE (van der Maaten and Hinton 2008): a two-dimensional embedding that preserves neighbours,
//! computed by `bhtsne`.

use bhtsne::tSNE;

use super::Cloud;
use super::components::Plane;
use crate::error::Result;

/// Perplexity: the effective number of neighbours.
pub const PERPLEXITY: f64 = 30.0;
/// Accuracy parameter of the Barnes–Hut approximation, as in the reference implementation.
const THETA: f32 = 0.5;
/// Standard deviation of the initial embedding. It is small, to have little influence.
const START: f64 = 1e-4;

/// Embeds the points of all clouds together and returns the coordinates of each cloud.
///
/// It starts from the first two principal components, so the result is reproducible. Distances
/// between far points and sizes of clusters are not meaningful.
///
/// # Errors
/// Fails if the principal components cannot be computed.
pub fn tsne(clouds: &[&Cloud]) -> Result<Vec<Vec<[f64; 2]>>> {
    let plane = Plane::of(clouds)?;
    let start: Vec<[f64; 2]> = clouds.iter().flat_map(|cloud| plane.project(cloud)).collect();
    let n = start.len();
    // Too few points have no neighbourhoods to embed; their principal components are returned.
    let perplexity = PERPLEXITY.min((n as f64 - 1.0) / 3.0 - 1.0);
    let embedded = if perplexity < 2.0 {
        start
    } else {
        let spread = (start.iter().map(|p| p[0] * p[0]).sum::<f64>() / n as f64).sqrt();
        let scale = START / spread.max(f64::MIN_POSITIVE);
        let start: Vec<f32> = start.iter().flatten().map(|v| (v * scale) as f32).collect();
        let rows: Vec<&[f32]> = clouds.iter().flat_map(|cloud| cloud.rows()).collect();
        let mut fit: tSNE<f32, &[f32]> = tSNE::new(&rows);
        fit.perplexity(perplexity as f32).initial_embedding(start);
        fit.barnes_hut(THETA, |a, b| {
            a.iter().zip(b.iter()).map(|(a, b)| (a - b) * (a - b)).sum::<f32>().sqrt()
        });
        fit.embedding().as_chunks::<2>().0.iter().map(|p| p.map(f64::from)).collect()
    };
    let mut rest = embedded.as_slice();
    Ok(clouds
        .iter()
        .map(|cloud| {
            let (own, others) = rest.split_at(cloud.len());
            rest = others;
            own.to_vec()
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draws;

    /// Two clouds that differ in one dimension stay apart; two of the same distribution mix.
    #[test]
    fn neighbours_stay_neighbours() {
        let cloud = |seed, shift: f32| {
            let mut x = draws::normal(&mut draws::stream(seed, "tsne", 0), 60 * 8);
            x.chunks_exact_mut(8).for_each(|row| row[7] = 0.1 * row[7] + shift);
            Cloud::new(x, 8).unwrap()
        };
        // Share of points whose nearest other point is of their own cloud.
        let own = |points: &[Vec<[f64; 2]>]| {
            let all: Vec<(usize, [f64; 2])> = points
                .iter()
                .enumerate()
                .flat_map(|(c, points)| points.iter().map(move |&p| (c, p)))
                .collect();
            let distance = |a: [f64; 2], b: [f64; 2]| (a[0] - b[0]).hypot(a[1] - b[1]);
            let own = all.iter().enumerate().filter(|(i, (c, p))| {
                let others = all.iter().enumerate().filter(|(j, _)| j != i);
                let nearest = others.min_by(|(_, (_, a)), (_, (_, b))| {
                    distance(*a, *p).total_cmp(&distance(*b, *p))
                });
                nearest.is_some_and(|(_, (other, _))| other == c)
            });
            own.count() as f64 / all.len() as f64
        };
        let (a, b, c) = (cloud(1, 0.0), cloud(2, 20.0), cloud(3, 0.0));
        let apart = own(&tsne(&[&a, &b]).unwrap());
        let mixed = own(&tsne(&[&a, &c]).unwrap());
        assert!(apart > 0.99, "{apart}");
        assert!((0.3..0.7).contains(&mixed), "{mixed}");
        let few = Cloud::new(vec![0.0, 1.0, 2.0, 3.0], 2).unwrap();
        assert_eq!(tsne(&[&few, &few]).unwrap()[1].len(), 2);
    }
}
