//! Sums that kernels have left in parts, many of them with few launches, as [`many`](super::many)
//! explains; see [`Kernels::k_sums_of_parts`](crate::kernels::Kernels::k_sums_of_parts).

use burn::backend::TensorMetadata;
use cubecl::prelude::*;

use super::launch::{Floats, contiguous, dims, empty_f32, grid, line, reshaped};
use super::many::long_chunks;
use super::sums::cube_sum;

/// Units of a cube.
const UNITS: usize = 128;
/// Tensors of a launch at most.
const MANY: usize = 24;
/// Of fewer sums than this, each is computed by the units of a cube; of more, each by one unit, so that
/// neighbouring units read neighbouring numbers.
const FEW: usize = 2048;

/// The parts `[outer, groups, inner]` of `groups` sums.
#[derive(CubeType, CubeLaunch)]
struct Parts {
    numbers: Box<[f32]>,
    sums: Box<[f32]>,
    outer: usize,
    groups: usize,
    inner: usize,
    /// The first of its cubes.
    cube: usize,
}

/// `shared`: the units of a cube share one sum.
#[cube(launch_unchecked)]
fn parts_kernel(tensors: &mut Sequence<Parts>, #[comptime] shared: bool) {
    let cube = line();
    let unit = UNIT_POS as usize;
    let each = comptime!(if shared { 1 } else { UNITS });
    let step = comptime!(if shared { UNITS } else { 1 });
    let own = if comptime!(shared) { 0usize.runtime() } else { unit };
    let first = if comptime!(shared) { unit } else { 0usize.runtime() };
    let mut sum = 0.0f32.runtime();
    #[unroll]
    for k in 0..tensors.len() {
        let parts = tensors.index_mut(k);
        let group = (cube - parts.cube) * each + own;
        if cube >= parts.cube && group < parts.groups {
            let mut at = first;
            while at < parts.outer * parts.inner {
                let run = at / parts.inner * parts.groups + group;
                sum += parts.numbers[run * parts.inner + at % parts.inner];
                at += step;
            }
        }
    }
    let sum = if comptime!(shared) { cube_sum(sum, UNITS) } else { sum };
    #[unroll]
    for k in 0..tensors.len() {
        let parts = tensors.index_mut(k);
        let group = (cube - parts.cube) * each + own;
        if cube >= parts.cube && group < parts.groups && first == 0 {
            parts.sums[group] = sum;
        }
    }
}

/// The sums in f32, each of the shape of its `like`.
pub fn sums_of_parts(parts: Vec<Floats>, like: &[Floats]) -> Vec<Floats> {
    let is_whole = |parts: &Floats| {
        let [outer, _, inner] = dims(parts);
        outer * inner == 1
    };
    let parts: Vec<Floats> = parts.into_iter().map(contiguous).collect();
    let sums: Vec<Floats> = (parts.iter().zip(like))
        .map(|(parts, like)| match is_whole(parts) {
            true => reshaped(parts.clone(), like.shape()),
            false => empty_f32(like, like.shape()),
        })
        .collect();
    for shared in [true, false] {
        let is_of = |&i: &usize| {
            let [_, groups, _] = dims(&parts[i]);
            !is_whole(&parts[i]) && (groups < FEW) == shared
        };
        let own: Vec<usize> = (0..parts.len()).filter(is_of).collect();
        for chunk in long_chunks(&parts[0], own.len(), 2, MANY) {
            let mut cubes = 0;
            let tensors = own[chunk]
                .iter()
                .map(|&i| {
                    let [outer, groups, inner] = dims(&parts[i]);
                    let cube = cubes;
                    cubes += groups.div_ceil(if shared { 1 } else { UNITS });
                    PartsLaunch::new(
                        parts[i].clone().into_buffer_arg(),
                        sums[i].clone().into_buffer_arg(),
                        outer,
                        groups,
                        inner,
                        cube,
                    )
                })
                .collect();
            // SAFETY: each cube reads the numbers of some sums of one tensor and writes these sums.
            unsafe {
                parts_kernel::launch_unchecked(
                    &parts[0].client,
                    grid(1, cubes),
                    CubeDim::new_1d(UNITS as u32),
                    tensors,
                    shared,
                );
            }
        }
    }
    sums
}
