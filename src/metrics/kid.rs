//! Kernel Inception distance (Bińkowski et al. 2018). It is unbiased, so distances of sets of
//! different sizes are comparable.

use faer::Mat;
use serde::{Deserialize, Serialize};

use super::linear::{all_columns, product};
use super::{Cloud, Spread};
use crate::draws;
use crate::error::Result;

/// Number and size of the subsets for the estimate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KidSettings {
    /// Number of pairs of subsets.
    pub subsets: usize,
    /// Vectors per subset; at most half of the smaller set, so that subsets differ.
    pub size: usize,
}

impl Default for KidSettings {
    fn default() -> Self {
        Self { subsets: 100, size: 1000 }
    }
}

impl KidSettings {
    /// Vectors per subset for sets of `real` and `fake` vectors.
    pub fn subset(self, real: usize, fake: usize) -> usize {
        self.size.min(real.min(fake) / 2).max(2)
    }
}

/// KID: mean and standard deviation of the squared maximum mean discrepancy over random pairs of
/// subsets.
///
/// # Errors
/// Fails if a set has fewer than two vectors or the dimensions differ.
pub fn kid(real: &Cloud, fake: &Cloud, settings: KidSettings, seed: u64) -> Result<Spread> {
    real.comparable(fake, "KID", 2)?;
    let size = settings.subset(real.len(), fake.len());
    let subset = |cloud: &Cloud, side: &str, index: usize| {
        let mut order = draws::permutation(
            &mut draws::stream(seed, &format!("kid.{side}"), index as u64),
            cloud.len(),
        );
        order.truncate(size);
        cloud.select(&order.into_iter().map(|i| i as usize).collect::<Vec<_>>())
    };
    let values: Vec<f64> = (0..settings.subsets.max(1))
        .map(|i| mmd2(&subset(real, "real", i), &subset(fake, "fake", i)))
        .collect();
    Ok(Spread::of(&values))
}

/// Unbiased estimate of the squared maximum mean discrepancy with the kernel (x·y/D + 1)³. Each set
/// needs at least two vectors. The estimate may be negative.
pub fn mmd2(x: &Cloud, y: &Cloud) -> f64 {
    let dim = x.dim() as f64;
    let origin = vec![0.0; x.dim()];
    let [x, y] = [x, y].map(|cloud| all_columns(cloud, &origin));
    let kernel = |product: f64| (product / dim + 1.0).powi(3);
    let sum = |a: &Mat<f64>, b: &Mat<f64>, with_self: bool| -> f64 {
        let products = product(a.transpose(), b.as_ref());
        let columns = (0..products.ncols()).map(|j| {
            let column = products.col_as_slice(j);
            let all: f64 = column.iter().map(|&p| kernel(p)).sum();
            if with_self { all } else { all - kernel(column[j]) }
        });
        columns.sum()
    };
    let within = |a: &Mat<f64>| {
        let n = a.ncols() as f64;
        sum(a, a, false) / (n * (n - 1.0))
    };
    let between = sum(&x, &y, true) / (x.ncols() * y.ncols()) as f64;
    within(&x) + within(&y) - 2.0 * between
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cloud(seed: u64, n: usize, shift: f32) -> Cloud {
        let x = draws::normal(&mut draws::stream(seed, "kid.test", 0), n * 8);
        Cloud::new(x.into_iter().map(|v| v + shift).collect(), 8).unwrap()
    }

    #[test]
    fn kid_of_equal_distributions_is_zero_within_the_error() {
        let settings = KidSettings { subsets: 40, size: 100 };
        let kid_of = |shift| kid(&cloud(1, 1000, 0.0), &cloud(2, 900, shift), settings, 7).unwrap();
        let same = kid_of(0.0);
        assert!(same.mean.abs() < 3.0 * same.std / 40f64.sqrt() + 0.003, "{same:?}");
        let other = kid_of(0.5);
        assert!(other.mean > 10.0 * same.mean.abs(), "{other:?}");
        assert_eq!(other, kid_of(0.5), "the same draws give the same number");
    }

    #[test]
    fn subsets_are_no_larger_than_the_clouds() {
        let few = kid(&cloud(1, 5, 0.0), &cloud(2, 3, 0.0), KidSettings::default(), 0).unwrap();
        assert!(few.mean.is_finite());
        let one = kid(&cloud(1, 1, 0.0), &cloud(2, 3, 0.0), KidSettings::default(), 0);
        assert!(one.unwrap_err().message.contains("KID needs at least 2"));
    }
}
