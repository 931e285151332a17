//! Fréchet distance between Gaussians fitted to sets of features (Heusel et al. 2017).

use faer::{Mat, Side};

use super::Cloud;
use super::linear::{no_convergence, product, scatter};
use crate::error::{Error, Result};

/// Mean and covariance of a set of vectors.
#[derive(Debug, Clone)]
pub struct Gaussian {
    /// `[D]`.
    mean: Vec<f64>,
    /// `[D, D]`, divided by N − 1.
    covariance: Mat<f64>,
}

impl Gaussian {
    /// Fits a Gaussian to at least two vectors.
    ///
    /// # Errors
    /// Fails if there are fewer.
    pub fn of(cloud: &Cloud) -> Result<Self> {
        cloud.comparable(cloud, "a covariance", 2)?;
        let mean = cloud.mean();
        let covariance = scatter(cloud, &mean) * faer::Scale(1.0 / (cloud.len() - 1) as f64);
        Ok(Self { mean, covariance })
    }

    /// Creates a Gaussian from a mean `[D]` and a symmetric covariance `[D, D]`.
    ///
    /// # Errors
    /// Fails if the sizes do not match.
    pub fn new(mean: Vec<f64>, covariance: &[f64]) -> Result<Self> {
        let d = mean.len();
        if covariance.len() != d * d {
            return Err(Error::internal("a covariance is not [D, D]"));
        }
        let covariance = Mat::from_fn(d, d, |i, j| covariance[i * d + j]);
        Ok(Self { mean, covariance })
    }
}

/// Fréchet distance of two Gaussians: ‖m₁ − m₂‖² + tr(C₁ + C₂ − 2·(C₁C₂)^½).
///
/// The trace of the root is Σ√λ over the eigenvalues λ of the symmetric C₁^½·C₂·C₁^½, which are
/// those of C₁C₂. Unlike a root of C₁C₂ itself, this does not need full rank: with fewer images
/// than features, some λ are zero (and the estimate is poor).
///
/// # Errors
/// Fails if the sizes differ or the eigenvalue decomposition does not converge.
pub fn frechet_distance(a: &Gaussian, b: &Gaussian) -> Result<f64> {
    let d = a.mean.len();
    if b.mean.len() != d {
        return Err(Error::internal("Fréchet distance: the Gaussians differ in dimension"));
    }
    let fail = |_| no_convergence("Fréchet distance");
    let eigen = a.covariance.self_adjoint_eigen(Side::Lower).map_err(fail)?;
    let (u, s) = (eigen.U(), eigen.S().column_vector());
    // With C₁ = U·S·Uᵀ, the matrix is similar to S^½·Uᵀ·C₂·U·S^½, which saves a multiplication.
    let root = |i: usize| s[i].max(0.0).sqrt();
    let mut inner = product(product(u.transpose(), b.covariance.as_ref()).as_ref(), u);
    for j in 0..d {
        for i in 0..d {
            inner[(i, j)] *= root(i) * root(j);
        }
    }
    let cross = inner.self_adjoint_eigenvalues(Side::Lower).map_err(fail)?;
    let cross: f64 = cross.iter().map(|v| v.max(0.0).sqrt()).sum();
    let means: f64 = a.mean.iter().zip(&b.mean).map(|(x, y)| (x - y).powi(2)).sum();
    let trace = |g: &Gaussian| (0..d).map(|i| g.covariance[(i, i)]).sum::<f64>();
    Ok(means + trace(a) + trace(b) - 2.0 * cross)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draws;

    #[test]
    fn known_gaussians_have_the_known_distance() {
        // Diagonal covariances commute: Σ (m₁−m₂)² + (σ₁−σ₂)².
        let a = Gaussian::new(vec![0.0, 1.0], &[4.0, 0.0, 0.0, 9.0]).unwrap();
        let b = Gaussian::new(vec![3.0, 1.0], &[1.0, 0.0, 0.0, 25.0]).unwrap();
        assert!((frechet_distance(&a, &b).unwrap() - (9.0 + 1.0 + 4.0)).abs() < 1e-12);
        // A rotation by 45° of diag(4, 1) against the identity: eigenvalues 4 and 1 as before.
        let c = Gaussian::new(vec![0.0, 0.0], &[2.5, 1.5, 1.5, 2.5]).unwrap();
        let unit = Gaussian::new(vec![0.0, 0.0], &[1.0, 0.0, 0.0, 1.0]).unwrap();
        assert!((frechet_distance(&c, &unit).unwrap() - 1.0).abs() < 1e-12);
        assert!(frechet_distance(&c, &c).unwrap().abs() < 1e-12);
    }

    #[test]
    fn distance_of_samples_is_near_that_of_their_gaussians() {
        let draw = |seed, shift: f32, scale: f32| {
            let x = draws::normal(&mut draws::stream(seed, "frechet", 0), 20_000 * 4);
            Cloud::new(x.into_iter().map(|v| shift + scale * v).collect(), 4).unwrap()
        };
        let gaussian = |cloud| Gaussian::of(&cloud).unwrap();
        let (a, b) = (gaussian(draw(1, 0.0, 1.0)), gaussian(draw(2, 0.5, 2.0)));
        // 4·(0.5² + 1²).
        assert!((frechet_distance(&a, &b).unwrap() - 5.0).abs() < 0.1);
    }

    #[test]
    fn fewer_images_than_features_are_accepted() {
        let x = draws::normal(&mut draws::stream(3, "thin", 0), 5 * 40);
        let a = Gaussian::of(&Cloud::new(x, 40).unwrap()).unwrap();
        let distance = frechet_distance(&a, &a).unwrap();
        assert!(distance.abs() < 1e-5, "{distance}");
        let one = Cloud::new(vec![0.0; 40], 40).unwrap();
        assert!(Gaussian::of(&one).unwrap_err().message.contains("at least 2"));
    }
}
