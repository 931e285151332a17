//! Energy distance between two sets of vectors (Székely & Rizzo 2013).

use super::Cloud;
use super::linear::squared_distances;
use crate::error::Result;

/// Unbiased estimate of the energy distance of two distributions, 2·E‖X − Y‖ − E‖X − X'‖ −
/// E‖Y − Y'‖, with mean 0 if they are equal. It leaves out the pairs of a point with itself.
///
/// # Errors
/// Fails if a set has fewer than two vectors or the dimensions differ.
pub fn energy_distance_unbiased(x: &Cloud, y: &Cloud) -> Result<f64> {
    x.comparable(y, "the energy distance", 2)?;
    let within = |c: &Cloud| sum(c, c) / (c.len() * (c.len() - 1)) as f64;
    Ok(between(x, y) - within(x) - within(y))
}

fn between(x: &Cloud, y: &Cloud) -> f64 {
    2.0 * sum(x, y) / (x.len() * y.len()) as f64
}

/// Sum of all distances.
fn sum(x: &Cloud, y: &Cloud) -> f64 {
    let mut sum = 0.0;
    squared_distances(x, y, |_, distances| sum += distances.iter().map(|d| d.sqrt()).sum::<f64>());
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_points_per_set() {
        let [x, y] = [[0.0, 2.0], [5.0, 5.0]].map(|v| Cloud::new(v.to_vec(), 1).unwrap());
        // E|X−Y| = 4 and E|X−X'| = 2.
        assert_eq!(energy_distance_unbiased(&x, &y).unwrap(), 6.0);
    }
}
