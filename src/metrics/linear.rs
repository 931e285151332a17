//! Linear algebra in f64 that the measures share.

use faer::{Accum, Mat, MatMut, MatRef, Par, linalg::matmul::matmul};

use super::Cloud;
use crate::error::{Error, Result};

/// Number of rows multiplied at once. It bounds the memory and does not affect the result.
const BLOCK: usize = 512;

/// At most [`BLOCK`] rows of a cloud from `first`, minus `centre`: column-major `[D, rows]`.
fn columns(cloud: &Cloud, first: usize, centre: &[f64]) -> Mat<f64> {
    let rows = BLOCK.min(cloud.len() - first);
    Mat::from_fn(cloud.dim(), rows, |d, i| f64::from(cloud.row(first + i)[d]) - centre[d])
}

/// All rows of a cloud minus `centre`: column-major `[D, N]`.
pub(super) fn all_columns(cloud: &Cloud, centre: &[f64]) -> Mat<f64> {
    Mat::from_fn(cloud.dim(), cloud.len(), |d, i| f64::from(cloud.row(i)[d]) - centre[d])
}

/// into += a·b.
fn add_product(into: MatMut<'_, f64>, a: MatRef<'_, f64>, b: MatRef<'_, f64>) {
    matmul(into, Accum::Add, a, b, 1.0, Par::rayon(0));
}

/// a·b.
pub(super) fn product(a: MatRef<'_, f64>, b: MatRef<'_, f64>) -> Mat<f64> {
    let mut out = Mat::zeros(a.nrows(), b.ncols());
    matmul(out.as_mut(), Accum::Replace, a, b, 1.0, Par::rayon(0));
    out
}

/// Σ (x − centre)(x − centre)ᵀ over a cloud: `[D, D]`.
pub(super) fn scatter(cloud: &Cloud, centre: &[f64]) -> Mat<f64> {
    let mut sum = Mat::zeros(cloud.dim(), cloud.dim());
    for first in (0..cloud.len()).step_by(BLOCK) {
        let x = columns(cloud, first, centre);
        add_product(sum.as_mut(), x.as_ref(), x.transpose());
    }
    sum
}

/// Calls `each(i, d)` for every row i of `a` with its squared Euclidean distances d `[M]` from the
/// rows of `b`.
///
/// They are computed as ‖x‖² + ‖y‖² − 2x·y about a common centre. Values within rounding error of
/// 0 become 0; f32 features could not distinguish such vectors.
pub(super) fn squared_distances(a: &Cloud, b: &Cloud, mut each: impl FnMut(usize, &mut [f64])) {
    let centre = a.mean();
    let y = all_columns(b, &centre);
    let norms = |m: &Mat<f64>| -> Vec<f64> {
        (0..m.ncols()).map(|j| m.col_as_slice(j).iter().map(|v| v * v).sum()).collect()
    };
    let of_y = norms(&y);
    for first in (0..a.len()).step_by(BLOCK) {
        let x = columns(a, first, &centre);
        let of_x = norms(&x);
        // Column j holds the products of row `first + j` of a.
        let mut products = product(y.transpose(), x.as_ref());
        for (j, of_x) in of_x.into_iter().enumerate() {
            let row = products.col_as_slice_mut(j);
            for (d, of_y) in row.iter_mut().zip(&of_y) {
                let sum = of_x + of_y;
                let squared = sum - 2.0 * *d;
                *d = if squared > 1e-13 * sum { squared } else { 0.0 };
            }
            each(first + j, row);
        }
    }
}

/// The error for an eigenvalue decomposition that did not converge, which only happens for extreme
/// values.
pub(super) fn no_convergence(measure: &str) -> Error {
    Error::user(format!("{measure}: the eigenvalues of the covariance did not converge"))
        .hint("check that the features have reasonable magnitudes")
}

/// Solves the symmetric positive definite a·x = b for every column of b.
///
/// # Errors
/// Fails if a is not positive definite.
pub(super) fn solve_positive(a: &Mat<f64>, b: &Mat<f64>) -> Result<Mat<f64>> {
    use faer::linalg::solvers::Solve;
    let factors = a.llt(faer::Side::Lower).map_err(|_| {
        Error::internal("a regularised matrix of second moments is not positive definite")
    })?;
    Ok(factors.solve(b))
}
