//! Sums in a fixed order: within a cube, and over what cubes have left.

use burn::tensor::Shape;
use cubecl::prelude::*;

use super::launch::{Floats, empty_f32, grid, line};

/// Units of a cube that adds up what others have left.
const UNITS: usize = 64;

/// The sum of a vector's elements.
#[cube]
pub fn vector_sum<N: Size>(vector: Vector<f32, N>) -> f32 {
    let mut sum = vector.extract(0usize);
    #[unroll]
    for i in 1..N::value() {
        sum += vector.extract(i);
    }
    sum
}

/// The sum of one value of each of the cube's units, whose number is a power of two. Every unit of
/// the cube must call it.
#[cube]
pub fn cube_sum(value: f32, #[comptime] units: usize) -> f32 {
    let mut shared = Shared::<[f32]>::new_slice(units);
    let unit = UNIT_POS as usize;
    shared[unit] = value;
    sync_cube();
    let mut half = (units / 2).runtime();
    while half > 0 {
        if unit < half {
            let other = shared[unit + half];
            shared[unit] += other;
        }
        half /= 2;
        sync_cube();
    }
    shared[0]
}

/// Units of a cube in which [`SHARES`] units share each sum.
pub const SHARING: usize = 256;
/// Units that share a sum.
pub const SHARES: usize = 4;

/// The sum of the values of the units that share one: those whose numbers differ by a multiple of
/// [`SHARING`]/[`SHARES`]. Every unit of the cube must call it.
#[cube]
pub fn share_sum(value: f32) -> f32 {
    let wide = comptime!(SHARING / SHARES);
    let mut shared = Shared::<[f32]>::new_slice(SHARING);
    let unit = UNIT_POS as usize;
    shared[unit] = value;
    sync_cube();
    let lane = unit % wide;
    let mut sum = 0.0f32.runtime();
    #[unroll]
    for share in 0..SHARES {
        sum += shared[lane + share * wide];
    }
    sum
}

/// The numbers of a group lie in `outer` runs of `inner` neighbours; the runs of all groups take
/// turns.
#[derive(Clone, Copy)]
pub struct Groups {
    /// Numbers before the first one.
    pub offset: usize,
    /// Runs of each group.
    pub outer: usize,
    /// Number of groups.
    pub groups: usize,
    /// Numbers of a run.
    pub inner: usize,
}

#[cube(launch_unchecked)]
fn group_sums_kernel(
    numbers: &[f32],
    sums: &mut [f32],
    offset: usize,
    outer: usize,
    groups: usize,
    inner: usize,
    #[comptime] units: usize,
) {
    let group = line();
    let mut sum = 0.0f32.runtime();
    if group < groups {
        let mut at = UNIT_POS as usize;
        while at < outer * inner {
            let run = at / inner;
            sum += numbers[offset + (run * groups + group) * inner + at % inner];
            at += comptime!(units);
        }
    }
    let sum = cube_sum(sum, units);
    if UNIT_POS == 0 && group < groups {
        sums[group] = sum;
    }
}

/// Sums of groups of f32 numbers → a tensor of `shape`.
pub fn group_sums(numbers: Floats, of: Groups, shape: impl Into<Shape>) -> Floats {
    let sums = empty_f32(&numbers, shape);
    let client = numbers.client.clone();
    let units = (of.outer * of.inner).next_power_of_two().min(UNITS);
    // SAFETY: a group's numbers lie within the tensor by the definition of `Groups`.
    unsafe {
        group_sums_kernel::launch_unchecked(
            &client,
            grid(1, of.groups),
            CubeDim::new_1d(units as u32),
            numbers.into_buffer_arg(),
            sums.clone().into_buffer_arg(),
            of.offset,
            of.outer,
            of.groups,
            of.inner,
            units,
        );
    }
    sums
}

#[cube(launch_unchecked)]
fn group_sums_twice_kernel(
    numbers: &[f32],
    first: &mut [f32],
    second: &mut [f32],
    outer: usize,
    groups: usize,
    inner: usize,
    #[comptime] units: usize,
) {
    let cube = line();
    let exists = cube < 2 * groups;
    let group = cube % groups;
    let offset = select(cube < groups, 0usize.runtime(), outer * groups * inner);
    let mut sum = 0.0f32.runtime();
    if exists {
        let mut at = UNIT_POS as usize;
        while at < outer * inner {
            let run = at / inner;
            sum += numbers[offset + (run * groups + group) * inner + at % inner];
            at += comptime!(units);
        }
    }
    let sum = cube_sum(sum, units);
    if UNIT_POS == 0 && exists {
        if cube < groups {
            first[group] = sum;
        } else {
            second[group] = sum;
        }
    }
}

/// [`group_sums`] of two lists of numbers, the second behind the first, as two tensors.
pub fn group_sums_twice<const D: usize>(
    numbers: Floats,
    of: Groups,
    shape: [usize; D],
) -> [Floats; 2] {
    let [first, second] = [(); 2].map(|()| empty_f32(&numbers, shape));
    let client = numbers.client.clone();
    let units = (of.outer * of.inner).next_power_of_two().min(UNITS);
    // SAFETY: as above; there are twice as many numbers.
    unsafe {
        group_sums_twice_kernel::launch_unchecked(
            &client,
            grid(1, 2 * of.groups),
            CubeDim::new_1d(units as u32),
            numbers.into_buffer_arg(),
            first.clone().into_buffer_arg(),
            second.clone().into_buffer_arg(),
            of.outer,
            of.groups,
            of.inner,
            units,
        );
    }
    [first, second]
}
