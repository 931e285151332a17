//! Mode collapse and failures, graded by distances between feature vectors.

use super::Cloud;
use super::linear::squared_distances;
use crate::error::Result;

/// How much a sample fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    /// As near to a real image as real images are to one another.
    Good,
    /// Farther from all real images than most of them are from one another.
    Mild,
    /// Far from all real images.
    Moderate,
    /// Nearer to another sample than almost any two real images are.
    Severe,
}

/// Quantiles of the distances from each real image to the nearest other one, which separate the
/// grades.
const ALIKE: f64 = 0.01;
const USUAL: f64 = 0.95;
const LARGE: f64 = 0.99;
/// A sample fails moderately beyond this multiple of the distance at [`LARGE`].
const FAR: f64 = 1.5;

/// The grade of each sample.
///
/// # Errors
/// Fails if a set has fewer than two vectors or the dimensions differ.
pub fn grades(real: &Cloud, samples: &Cloud) -> Result<Vec<Grade>> {
    real.comparable(samples, "grades of failures", 2)?;
    let mut among_real = nearest_others(real);
    among_real.sort_by(f64::total_cmp);
    let quantile =
        |share: f64| among_real[((among_real.len() - 1) as f64 * share).round() as usize];
    let (alike, usual, far) = (quantile(ALIKE), quantile(USUAL), FAR * quantile(LARGE));
    let grade = |(other, real): (f64, f64)| {
        if other <= alike {
            Grade::Severe
        } else if real > far {
            Grade::Moderate
        } else if real > usual {
            Grade::Mild
        } else {
            Grade::Good
        }
    };
    let to_real = nearest(real, samples);
    Ok(nearest_others(samples).into_iter().zip(to_real).map(grade).collect())
}

/// The distance from each vector to the nearest other one.
fn nearest_others(cloud: &Cloud) -> Vec<f64> {
    let mut nearest = vec![f64::INFINITY; cloud.len()];
    squared_distances(cloud, cloud, |i, distances| {
        // A point is not its own neighbour.
        distances[i] = f64::INFINITY;
        nearest[i] = distances.iter().copied().fold(f64::INFINITY, f64::min).max(0.0).sqrt();
    });
    nearest
}

/// The distance from each of `queries` to the nearest of `points`.
fn nearest(points: &Cloud, queries: &Cloud) -> Vec<f64> {
    let mut nearest = vec![f64::INFINITY; queries.len()];
    squared_distances(points, queries, |_, distances| {
        for (nearest, distance) in nearest.iter_mut().zip(&*distances) {
            *nearest = nearest.min(*distance);
        }
    });
    nearest.into_iter().map(|square| square.max(0.0).sqrt()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draws;

    fn cloud(seed: u64, n: usize, scale: f32, shift: f32) -> Cloud {
        let x = draws::normal(&mut draws::stream(seed, "collapse.test", 0), n * 4);
        Cloud::new(x.into_iter().map(|v| scale * v + shift).collect(), 4).unwrap()
    }

    fn share(grades: &[Grade], of: Grade) -> f64 {
        grades.iter().filter(|grade| **grade == of).count() as f64 / grades.len() as f64
    }

    #[test]
    fn samples_like_real_images_are_good() {
        let found = grades(&cloud(0, 400, 1.0, 0.0), &cloud(1, 400, 1.0, 0.0)).unwrap();
        assert!(share(&found, Grade::Good) > 0.85, "{}", share(&found, Grade::Good));
        assert!(share(&found, Grade::Severe) < 0.05);
    }

    #[test]
    fn samples_that_are_alike_fail_severely() {
        // All samples are nearly one real image.
        let found = grades(&cloud(0, 400, 1.0, 0.0), &cloud(1, 400, 1e-4, 0.0)).unwrap();
        assert_eq!(share(&found, Grade::Severe), 1.0);
        // Copies count, even if real images have copies as well.
        let copies = Cloud::new(vec![1.0; 40], 4).unwrap();
        assert_eq!(share(&grades(&copies, &copies).unwrap(), Grade::Severe), 1.0);
    }

    #[test]
    fn samples_far_from_real_images_fail_moderately() {
        let found = grades(&cloud(0, 400, 1.0, 0.0), &cloud(1, 400, 1.0, 20.0)).unwrap();
        assert_eq!(share(&found, Grade::Moderate), 1.0 - share(&found, Grade::Severe));
        let near = grades(&cloud(0, 400, 1.0, 0.0), &cloud(1, 400, 1.6, 0.0)).unwrap();
        assert!(share(&near, Grade::Mild) > 0.05, "{}", share(&near, Grade::Mild));
        assert!(grades(&cloud(0, 1, 1.0, 0.0), &cloud(1, 9, 1.0, 0.0)).is_err());
    }
}
