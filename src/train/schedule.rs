//! Learning rates as functions of the number of images seen.

/// A half cosine from `lr` to 0 over `kimg` thousand images, and 0 from there on.
pub fn half_cosine(lr: f64, nimg: u64, kimg: f64) -> f64 {
    let done = (nimg as f64 / (kimg * 1000.0)).min(1.0);
    lr * 0.5 * (1.0 + (std::f64::consts::PI * done).cos())
}

/// `lr`, halved `halvings` times at equal intervals within `kimg` thousand images; the last interval
/// has the lowest rate and does not end.
pub fn halved(lr: f64, nimg: u64, kimg: f64, halvings: u32) -> f64 {
    let interval = kimg * 1000.0 / f64::from(halvings + 1);
    lr * 0.5f64.powi((nimg as f64 / interval).floor().min(f64::from(halvings)) as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_fall_as_published() {
        assert_eq!(half_cosine(2.0, 0, 1.0), 2.0);
        assert!((half_cosine(2.0, 500, 1.0) - 1.0).abs() < 1e-12);
        assert_eq!(half_cosine(2.0, 5000, 1.0), 0.0);
        let rates = [0, 99, 100, 250, 599, 9999].map(|nimg| halved(32.0, nimg, 0.6, 5));
        assert_eq!(rates, [32.0, 32.0, 16.0, 8.0, 1.0, 1.0]);
    }
}
