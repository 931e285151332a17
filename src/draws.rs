//! Random numbers as functions of (seed, purpose, index).
//!
//! No generator keeps state between draws. The numbers for image `index` of a run therefore do not depend
//! on whether the run was interrupted. They are the same on every device, except that normal samples
//! computed by the device may differ in their last bits.

pub mod philox;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use sha2::{Digest, Sha256};

pub use self::philox::Sequence;

/// Default seed of every command.
pub const SEED: u64 = 0;

/// The random generator for `(seed, purpose, index)`.
///
/// `purpose` names the use of the numbers ("z.gmain", "shuffle"); `index` is usually `nimg`, an
/// epoch or the seed of an image.
pub fn stream(seed: u64, purpose: &str, index: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::from_seed(key(seed, purpose));
    rng.set_stream(index);
    rng
}

/// The sequence for `(seed, purpose, index)`, whose numbers the device generates.
pub fn sequence(seed: u64, purpose: &str, index: u64) -> Sequence {
    let [a, b, c, d, e, f, g, h, ..] = key(seed, purpose);
    Sequence { key: [[a, b, c, d], [e, f, g, h]].map(u32::from_le_bytes), index }
}

fn key(seed: u64, purpose: &str) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(seed.to_le_bytes());
    hash.update(purpose.as_bytes());
    hash.finalize().into()
}

/// `count` independent samples of N(0, 1).
pub fn normal(rng: &mut impl Rng, count: usize) -> Vec<f32> {
    (0..count).map(|_| StandardNormal.sample(rng)).collect()
}

/// A random permutation of `0..count` (Fisher–Yates).
pub fn permutation(rng: &mut impl Rng, count: usize) -> Vec<u32> {
    let mut order: Vec<u32> = (0..count as u32).collect();
    for i in (1..count).rev() {
        order.swap(i, rng.random_range(0..=i));
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_depend_on_seed_purpose_and_index() {
        let draw = |s, p, i| normal(&mut stream(s, p, i), 4);
        assert_eq!(draw(1, "z", 5), draw(1, "z", 5));
        assert_ne!(draw(1, "z", 5), draw(2, "z", 5));
        assert_ne!(draw(1, "z", 5), draw(1, "noise", 5));
        assert_ne!(draw(1, "z", 5), draw(1, "z", 6));
    }

    #[test]
    fn sequences_depend_on_seed_purpose_and_index() {
        assert_eq!(sequence(1, "z", 5), sequence(1, "z", 5));
        for other in [sequence(2, "z", 5), sequence(1, "noise", 5)] {
            assert_ne!(other.key, sequence(1, "z", 5).key);
        }
        assert_eq!(sequence(1, "z", 6).index, 6);
    }

    #[test]
    fn normal_has_unit_moments() {
        let x = normal(&mut stream(0, "moments", 0), 100_000);
        let mean = x.iter().sum::<f32>() / x.len() as f32;
        let var = x.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / x.len() as f32;
        assert!(mean.abs() < 0.02, "mean {mean}");
        assert!((var - 1.0).abs() < 0.02, "variance {var}");
    }

    #[test]
    fn a_permutation_contains_every_index_once() {
        let mut order = permutation(&mut stream(3, "shuffle", 9), 257);
        assert_ne!(order, (0..257).collect::<Vec<u32>>());
        order.sort_unstable();
        assert_eq!(order, (0..257).collect::<Vec<u32>>());
    }
}
