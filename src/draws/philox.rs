//! Philox4x32-10, a random function of a counter (Salmon et al. 2011, "Parallel random numbers: as easy
//! as 1, 2, 3"), and normal numbers from it.
//!
//! Every element can be computed alone, so a device makes its numbers itself. The integers are the same on
//! every device; the normal numbers differ in their last digits.

use std::f32::consts::PI;

use rayon::prelude::*;

/// Integers of one block.
pub const BLOCK: usize = 4;
/// Rounds of the function.
pub const ROUNDS: usize = 10;
/// Factors of the first and third integer in each round.
pub const FACTORS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
/// Steps of the key between rounds.
pub const STEPS: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
/// Bits of an integer that a normal number ignores: f32 is exact for the others.
pub const IGNORED: u32 = 32 - f32::MANTISSA_DIGITS;
/// Size of the steps of uniform numbers.
pub const UNIT: f32 = 1.0 / (1 << f32::MANTISSA_DIGITS) as f32;

/// Elements that a thread computes in one go.
const CHUNK: usize = 1 << 12;

/// An endless sequence of random numbers; see [`sequence`](super::sequence).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sequence {
    pub(super) key: [u32; 2],
    pub(super) index: u64,
}

impl Sequence {
    /// Its key.
    pub fn key(&self) -> [u32; 2] {
        self.key
    }

    /// The last two integers of its counters; the first two count the blocks.
    pub fn index(&self) -> [u32; 2] {
        halves(self.index)
    }

    /// Writes samples of N(0, `std`²), those from element `first` on, a multiple of [`BLOCK`].
    ///
    /// A pair of integers makes two of them by the method of Box and Muller.
    pub fn fill_normal(&self, first: usize, std: f32, out: &mut [f32]) {
        assert!(first.is_multiple_of(BLOCK));
        let fill = |(chunk, out): (usize, &mut [f32])| {
            let block = (first + chunk * CHUNK) / BLOCK;
            for (at, out) in out.chunks_mut(BLOCK).enumerate() {
                let [low, high] = halves((block + at) as u64);
                let [index_low, index_high] = self.index();
                let [a, b, c, d] = philox([low, high, index_low, index_high], self.key);
                let [first, second] = [normal(a, b), normal(c, d)];
                let values = [first[0], first[1], second[0], second[1]].map(|value| value * std);
                out.copy_from_slice(&values[..out.len()]);
            }
        };
        out.par_chunks_mut(CHUNK).enumerate().for_each(fill);
    }
}

fn halves(number: u64) -> [u32; 2] {
    [number as u32, (number >> 32) as u32]
}

fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for round in 0..ROUNDS {
        if round > 0 {
            key = [key[0].wrapping_add(STEPS[0]), key[1].wrapping_add(STEPS[1])];
        }
        let [a, b, c, d] = counter;
        let [low_a, high_a] = halves(u64::from(a) * u64::from(FACTORS[0]));
        let [low_c, high_c] = halves(u64::from(c) * u64::from(FACTORS[1]));
        counter = [high_c ^ b ^ key[0], low_c, high_a ^ d ^ key[1], low_a];
    }
    counter
}

/// Two independent samples of N(0, 1) from two random integers. Their magnitude is at most 5.8.
fn normal(length: u32, angle: u32) -> [f32; 2] {
    let unit = ((length >> IGNORED) + 1) as f32 * UNIT;
    let radius = (-2.0 * unit.ln()).max(0.0).sqrt();
    // Between −π and π, where sines of GPUs are accurate.
    let angle = ((angle >> IGNORED) as f32 * UNIT - 0.5) * (2.0 * PI);
    [radius * angle.cos(), radius * angle.sin()]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors that the authors publish with their code (Random123).
    #[test]
    fn integers_are_those_of_the_authors() {
        for (counter, key, expected) in [
            ([0; 4], [0; 2], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
            ([!0; 4], [!0; 2], [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]),
            (
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
                [0xa409_3822, 0x299f_31d0],
                [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1],
            ),
        ] {
            assert_eq!(philox(counter, key), expected);
        }
    }

    #[test]
    fn elements_do_not_depend_on_where_drawing_begins_or_ends() {
        let sequence = Sequence { key: [3, 4], index: 5 << 33 };
        let drawn = |first: usize, count: usize| {
            let mut values = vec![0.0; count];
            sequence.fill_normal(first, 1.0, &mut values);
            values
        };
        let all = drawn(0, 3 * CHUNK + 2);
        for first in [4, CHUNK - 4, 2 * CHUNK + 8] {
            assert_eq!(drawn(first, CHUNK - 7), all[first..first + CHUNK - 7]);
        }
        let other = Sequence { index: 6 << 33, ..sequence };
        let mut values = vec![0.0; 4];
        other.fill_normal(0, 1.0, &mut values);
        assert_ne!(values, all[..4]);
    }

    #[test]
    fn numbers_are_normal_and_independent() {
        let mut values = vec![0.0; 1 << 18];
        Sequence { key: [1, 2], index: 0 }.fill_normal(0, 2.0, &mut values);
        let count = values.len() as f64;
        let mean_of = |f: &dyn Fn(usize) -> f64| (0..values.len()).map(f).sum::<f64>() / count;
        let value = |i: usize| f64::from(values[i % values.len()]) / 2.0;
        // Four standard errors of each mean.
        for (power, expected) in [(1, 0.0), (2, 1.0), (3, 0.0), (4, 3.0)] {
            let found = mean_of(&|i| value(i).powi(power));
            let variance = mean_of(&|i| (value(i).powi(power) - expected).powi(2));
            assert!((found - expected).abs() < 4.0 * (variance / count).sqrt(), "{power}: {found}");
        }
        for distance in 1..9 {
            let found = mean_of(&|i| value(i) * value(i + distance));
            assert!(found.abs() < 4.0 / count.sqrt(), "{distance}: {found}");
        }
        // P(|x| > 1) = 0.3173.
        let beyond = mean_of(&|i| f64::from(u8::from(value(i).abs() > 1.0)));
        assert!((beyond - 0.3173).abs() < 4.0 * (0.3173 * 0.6827 / count).sqrt(), "{beyond}");
    }

    #[test]
    fn extreme_integers_give_finite_numbers() {
        for (length, angle) in [(0, 0), (!0, 0), (0, !0), (!0, !0)] {
            assert!(normal(length, angle).iter().all(|value| value.abs() < 5.8));
        }
    }
}
