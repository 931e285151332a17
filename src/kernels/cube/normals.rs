//! Normal samples from Philox, as defined in [`philox`](crate::draws::philox).

use std::f32::consts::{FRAC_PI_2, LN_2, SQRT_2};

use burn::backend::TensorMetadata;
use burn::tensor::DType;
use cubecl::prelude::*;

use super::launch::{Floats, grid, line};
use crate::draws::Sequence;
use crate::draws::philox::{ARTANH, BITS, BLOCK, COSINE, FACTORS, ROUNDS, SINE, STEPS, UNIT};

/// Units of a cube.
const UNITS: usize = 64;

#[cube]
fn polynomial(x: f32, #[comptime] coefficients: [f32; 5]) -> f32 {
    let sum = x * comptime!(coefficients[0]) + comptime!(coefficients[1]);
    let sum = sum * x + comptime!(coefficients[2]);
    let sum = sum * x + comptime!(coefficients[3]);
    sum * x + comptime!(coefficients[4])
}

/// The radius in the Box–Muller transform.
#[cube]
fn radius(bits: u32) -> f32 {
    let count = (bits >> comptime!(32 - BITS)) + 1;
    let zeros = count.leading_zeros();
    let exponent = comptime!((31 - BITS) as f32) - f32::cast_from(zeros);
    let scaled = f32::cast_from(count << zeros) * comptime!(1.0f32 / (1u32 << 31) as f32);
    let large = scaled >= SQRT_2;
    let scaled = select(large, scaled * 0.5f32, scaled);
    let exponent = select(large, exponent + 1.0f32, exponent);
    let s = (scaled - 1.0f32) / (scaled + 1.0f32);
    let ln = 2.0f32 * s * polynomial(s * s, ARTANH) + exponent * LN_2;
    (ln * -2.0f32).sqrt()
}

/// The coordinate in the direction of the angle in the Box–Muller transform: the cosine, or the sine of
/// an angle that is `turned` back by a quarter.
#[cube]
fn coordinate(bits: u32, #[comptime] turned: u32) -> f32 {
    let fraction = bits >> comptime!(30 - BITS) & comptime!((1u32 << BITS) - 1);
    let x = (f32::cast_from(fraction) * UNIT - 0.5f32) * FRAC_PI_2;
    let quadrant = ((bits >> 30) + comptime!(turned)) & 3;
    let cosine = polynomial(x * x, COSINE);
    let sine = x * polynomial(x * x, SINE);
    let value = select(quadrant & 1 == 0, cosine, sine);
    // The cosine is negative in the second and third quadrant.
    select(quadrant == 1 || quadrant == 2, -value, value)
}

/// Each unit writes the numbers of one block.
#[cube(launch_unchecked)]
fn normals_kernel(
    out: &mut [f32],
    length: usize,
    first: u32,
    index_low: u32,
    index_high: u32,
    key_a: u32,
    key_b: u32,
    std: f32,
) {
    let block = line() * comptime!(UNITS) + UNIT_POS as usize;
    let start = block * comptime!(BLOCK);
    if start < length {
        let mut a = first + block as u32;
        let mut b = 0u32.runtime();
        let mut c = index_low;
        let mut d = index_high;
        let mut key_a = key_a;
        let mut key_b = key_b;
        #[unroll]
        for _ in 0..ROUNDS {
            let high_a = a.mul_hi(FACTORS[0].runtime());
            let high_c = c.mul_hi(FACTORS[1].runtime());
            let low_a = a * FACTORS[0];
            let low_c = c * FACTORS[1];
            a = high_c ^ b ^ key_a;
            b = low_c;
            c = high_a ^ d ^ key_b;
            d = low_a;
            key_a += STEPS[0];
            key_b += STEPS[1];
        }
        let first = radius(a) * std;
        let second = radius(c) * std;
        out[start] = first * coordinate(b, 0u32);
        if start + 1 < length {
            out[start + 1] = first * coordinate(b, 3u32);
        }
        if start + 2 < length {
            out[start + 2] = second * coordinate(d, 0u32);
        }
        if start + 3 < length {
            out[start + 3] = second * coordinate(d, 3u32);
        }
    }
}

/// See [`Kernels::k_normals`](crate::kernels::Kernels::k_normals).
pub fn fill(out: Floats, sequence: Sequence, first: usize, std: f32) -> Floats {
    assert_eq!(out.dtype, DType::F32);
    let length = out.shape().num_elements();
    let client = out.client.clone();
    let ([key_a, key_b], [index_low, index_high]) = (sequence.key(), sequence.index());
    // SAFETY: each unit writes its own block, and nothing beyond the end of `out`.
    unsafe {
        normals_kernel::launch_unchecked(
            &client,
            grid(1, length.div_ceil(BLOCK * UNITS)),
            CubeDim::new_1d(UNITS as u32),
            out.clone().into_buffer_arg(),
            length,
            (first / BLOCK) as u32,
            index_low,
            index_high,
            key_a,
            key_b,
            std,
        );
    }
    out
}
