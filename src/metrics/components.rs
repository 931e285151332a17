//! Principal component analysis.

use faer::Side;

use super::Cloud;
use super::linear::{no_convergence, scatter};
use crate::error::Result;

/// A principal component.
pub struct Component {
    /// Its direction, a unit vector.
    pub axis: Vec<f64>,
    /// Variance along it, divided by the variance along all components.
    pub share: f64,
    /// Standard deviation along it.
    pub deviation: f64,
}

/// The first `count` principal components of a cloud, at most one per dimension.
///
/// # Errors
/// Fails if the eigenvalue decomposition does not converge.
pub fn components(cloud: &Cloud, count: usize) -> Result<Vec<Component>> {
    let dim = cloud.dim();
    let eigen = scatter(cloud, &cloud.mean())
        .self_adjoint_eigen(Side::Lower)
        .map_err(|_| no_convergence("principal components"))?;
    // Eigenvalues are in ascending order. Rounding may make them negative.
    let values: Vec<f64> = (0..dim).map(|i| eigen.S()[i].max(0.0)).collect();
    let total = values.iter().sum::<f64>().max(f64::MIN_POSITIVE);
    let component = |column: usize| {
        let axis: Vec<f64> = (0..dim).map(|i| eigen.U()[(i, column)]).collect();
        // The sign of an eigenvector is arbitrary. Make its largest component positive.
        let largest =
            axis.iter().copied().fold(0.0, |m: f64, v| if v.abs() > m.abs() { v } else { m });
        Component {
            axis: axis.iter().map(|v| v * largest.signum()).collect(),
            share: values[column] / total,
            deviation: (values[column] / (cloud.len().max(2) - 1) as f64).sqrt(),
        }
    };
    Ok((0..dim).rev().take(count).map(component).collect())
}

/// The plane of the first two principal components.
pub struct Plane {
    mean: Vec<f64>,
    axes: [Vec<f64>; 2],
}

impl Plane {
    /// Fits the plane to the points of all `clouds` together; there must be at least one.
    ///
    /// # Errors
    /// Fails if the eigenvalue decomposition does not converge.
    pub fn of(clouds: &[&Cloud]) -> Result<Self> {
        let values: Vec<f32> = clouds.iter().flat_map(|c| c.values()).copied().collect();
        let all = Cloud::new(values, clouds[0].dim())?;
        let mut axes = components(&all, 2)?.into_iter().map(|component| component.axis);
        let first = axes.next().unwrap_or_default();
        // One dimension has only one component.
        let second = axes.next().unwrap_or_else(|| first.clone());
        Ok(Self { axes: [first, second], mean: all.mean() })
    }

    /// Coordinates of every point along the first and the second component.
    pub fn project(&self, cloud: &Cloud) -> Vec<[f64; 2]> {
        let along = |row: &[f32], axis: &[f64]| -> f64 {
            row.iter().zip(&self.mean).zip(axis).map(|((&v, m), a)| (f64::from(v) - m) * a).sum()
        };
        cloud.rows().map(|row| [0, 1].map(|k| along(row, &self.axes[k]))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draws;

    #[test]
    fn axes_have_the_largest_variance() {
        let x = draws::normal(&mut draws::stream(1, "map", 0), 300 * 4);
        let scaled: Vec<f32> = x
            .chunks_exact(4)
            .flat_map(|r| [r[0], 9.0 * r[1] + 5.0, r[2] * 0.1, 3.0 * r[3]])
            .collect();
        let cloud = Cloud::new(scaled, 4).unwrap();
        let plane = Plane::of(&[&cloud]).unwrap();
        let points = plane.project(&cloud);
        for (point, row) in points.iter().zip(cloud.rows()) {
            assert!((point[0] - f64::from(row[1] - 5.0)).abs() < 3.0, "{point:?} {row:?}");
        }
        let spread = |k: usize| points.iter().map(|p| p[k] * p[k]).sum::<f64>() / 300.0;
        assert!((spread(0) / 81.0 - 1.0).abs() < 0.3 && (spread(1) / 9.0 - 1.0).abs() < 0.3);
    }
}
