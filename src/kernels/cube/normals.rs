//! Normal numbers from Philox; [`philox`](crate::draws::philox) defines them.

use std::f32::consts::PI;

use burn::backend::TensorMetadata;
use cubecl::prelude::*;

use super::launch::{Floats, grid, line};
use crate::draws::Sequence;
use crate::draws::philox::{BLOCK, FACTORS, IGNORED, ROUNDS, STEPS, UNIT};

/// Units of a cube.
const UNITS: usize = 64;

/// The length of a pair of normal numbers.
#[cube]
fn radius(bits: u32) -> f32 {
    let unit = f32::cast_from((bits >> IGNORED) + 1) * UNIT;
    let square = unit.ln() * -2.0f32;
    // A logarithm near 0 may have the wrong sign.
    select(square > 0.0f32, square, 0.0f32.runtime()).sqrt()
}

/// Its direction, between −π and π.
#[cube]
fn angle(bits: u32) -> f32 {
    (f32::cast_from(bits >> IGNORED) * UNIT - 0.5f32) * comptime!(2.0f32 * PI)
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
        out[start] = first * angle(b).cos();
        if start + 1 < length {
            out[start + 1] = first * angle(b).sin();
        }
        if start + 2 < length {
            out[start + 2] = second * angle(d).cos();
        }
        if start + 3 < length {
            out[start + 3] = second * angle(d).sin();
        }
    }
}

/// See [`Kernels::k_normals`](crate::kernels::Kernels::k_normals).
pub fn fill(out: Floats, sequence: Sequence, first: usize, std: f32) -> Floats {
    let length = out.shape().num_elements();
    let client = out.client.clone();
    let ([key_a, key_b], [index_low, index_high]) = (sequence.key(), sequence.index());
    // SAFETY: each unit writes its own block, as far as `out` goes.
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
