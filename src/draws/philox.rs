//! Philox4x32-10, a counter-based random number generator (Salmon et al. 2011, "Parallel random numbers:
//! as easy as 1, 2, 3"), and normal samples derived from it.
//!
//! Every element can be computed independently, so a device can generate its own numbers. The integers are
//! the same on every device; the normal samples may differ in their last bits. Logarithms, sines and cosines
//! are computed from polynomials, because devices may compute their own with large errors.

use std::f32::consts::{FRAC_PI_2, LN_2, SQRT_2};

use rayon::prelude::*;

/// Integers that one evaluation of Philox returns.
pub const BLOCK: usize = 4;
/// Rounds of Philox.
pub const ROUNDS: usize = 10;
/// Multipliers of the first and third counter word in each round.
pub const FACTORS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
/// Constants added to the two key words between rounds.
pub const STEPS: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
/// Bits of the uniform numbers: f32 represents them exactly.
pub const BITS: u32 = f32::MANTISSA_DIGITS;
/// Spacing of the uniform numbers.
pub const UNIT: f32 = 1.0 / (1 << BITS) as f32;
/// Coefficients of artanh(s)/s in s², from the highest power down, for |s| < 0.18.
pub const ARTANH: [f32; 5] = [1.0 / 9.0, 1.0 / 7.0, 1.0 / 5.0, 1.0 / 3.0, 1.0];
/// Coefficients of sin(x)/x in x², from the highest power down, for |x| ≤ π/4.
pub const SINE: [f32; 5] = [1.0 / 362_880.0, -1.0 / 5040.0, 1.0 / 120.0, -1.0 / 6.0, 1.0];
/// Coefficients of cos(x) in x², from the highest power down, for |x| ≤ π/4.
pub const COSINE: [f32; 5] = [1.0 / 40_320.0, -1.0 / 720.0, 1.0 / 24.0, -0.5, 1.0];

/// Elements that a thread computes at a time.
const CHUNK: usize = 1 << 12;

/// A sequence of random numbers; see [`sequence`](super::sequence).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sequence {
    pub(super) key: [u32; 2],
    pub(super) index: u64,
}

impl Sequence {
    /// The two words of the key.
    pub fn key(&self) -> [u32; 2] {
        self.key
    }

    /// The last two words of every counter; the first two are the number of the block.
    pub fn index(&self) -> [u32; 2] {
        halves(self.index)
    }

    /// Fills `out` with samples of N(0, `std`²), from element `first` of the sequence on. `first` must be a
    /// multiple of [`BLOCK`].
    ///
    /// The Box–Muller transform turns each pair of integers into two samples.
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

/// Two independent samples of N(0, 1) from two random integers. The magnitude of a sample is less than 5.8.
fn normal(radius_bits: u32, angle_bits: u32) -> [f32; 2] {
    let radius = (-2.0 * ln((radius_bits >> (u32::BITS - BITS)) + 1)).sqrt();
    let [cosine, sine] = direction(angle_bits);
    [radius * cosine, radius * sine]
}

/// The logarithm of `count`·[`UNIT`], at most 0; `count` is in 1..=2²⁴.
fn ln(count: u32) -> f32 {
    let zeros = count.leading_zeros();
    let exponent = (u32::BITS - 1 - BITS) as f32 - zeros as f32;
    let scaled = (count << zeros) as f32 / (1u32 << (u32::BITS - 1)) as f32;
    // Near 1, so that the logarithm of a number near 1 is accurate.
    let (scaled, exponent) =
        if scaled < SQRT_2 { (scaled, exponent) } else { (scaled * 0.5, exponent + 1.0) };
    let s = (scaled - 1.0) / (scaled + 1.0);
    2.0 * s * polynomial(s * s, ARTANH) + exponent * LN_2
}

/// The cosine and the sine of a random angle: the first two bits choose the quadrant, the next ones the
/// angle from its middle.
fn direction(bits: u32) -> [f32; 2] {
    let fraction = bits >> (u32::BITS - 2 - BITS) & ((1 << BITS) - 1);
    let x = (fraction as f32 * UNIT - 0.5) * FRAC_PI_2;
    let cosine = polynomial(x * x, COSINE);
    let sine = x * polynomial(x * x, SINE);
    match bits >> (u32::BITS - 2) {
        0 => [cosine, sine],
        1 => [-sine, cosine],
        2 => [-cosine, -sine],
        _ => [sine, -cosine],
    }
}

fn polynomial(x: f32, coefficients: [f32; 5]) -> f32 {
    coefficients.into_iter().fold(0.0, |sum, coefficient| sum * x + coefficient)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Known-answer test vectors from Random123, the authors' code.
    #[test]
    fn integers_match_the_published_test_vectors() {
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
    fn samples_are_normal_and_independent() {
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
    fn polynomials_are_as_accurate_as_f32() {
        for step in 0..=1 << 12 {
            for count in [1 + step, 1 << 12 | step, (1 << BITS) - step, 1 + step * ((1 << 12) - 1)]
            {
                let expected = (f64::from(count) / f64::from(1 << BITS)).ln();
                let (found, allowed) = (f64::from(ln(count)), 4e-7 * expected.abs());
                assert!((found - expected).abs() <= allowed, "ln {count}: {found}, not {expected}");
            }
            let bits = (step << 20).wrapping_add(step);
            let [cosine, sine] = direction(bits).map(f64::from);
            let fraction = f64::from(bits >> 6 & ((1 << BITS) - 1)) / f64::from(1 << BITS);
            let turn = f64::from(bits >> 30) + fraction - 0.5;
            let (y, x) = (turn * std::f64::consts::FRAC_PI_2).sin_cos();
            assert!(
                (cosine - x).abs() < 2e-7 && (sine - y).abs() < 2e-7,
                "{bits}: {cosine} {sine}"
            );
        }
    }

    #[test]
    fn extreme_integers_give_finite_numbers() {
        for (radius_bits, angle_bits) in [(0, 0), (!0, 0), (0, !0), (!0, !0)] {
            assert!(normal(radius_bits, angle_bits).iter().all(|value| value.abs() < 5.8));
        }
    }
}
