//! Element-wise steps on many tensors with few launches: Adam, sums, moving averages.
//!
//! A network has a hundred small parameters, and a launch costs more than their arithmetic. One
//! launch therefore binds as many tensors as the device allows, and each cube finds the one that it
//! works on.

use std::ops::Range;

use burn::backend::TensorMetadata;
use cubecl::prelude::*;

use super::launch::{Floats, contiguous, empty, empty_f32, grid, line};
use super::sums::{Groups, cube_sum, group_sums};
use crate::kernels::outputs::{AdamOutput, Tensors};
use crate::kernels::spec::AdamStep;

/// Units of a cube.
const UNITS: usize = 256;
/// Elements that one cube works on.
const PART: usize = 8 * UNITS;
/// Tensors of a launch at most: the code of a kernel grows with them.
const MANY: usize = 12;

/// The number of tensors of a launch whose steps bind `each` buffers for one tensor and `common` ones.
fn at_once(like: &Floats, each: usize, common: usize) -> usize {
    most(like, each, common).min(MANY)
}

/// The number of tensors that a launch can take.
fn most(like: &Floats, each: usize, common: usize) -> usize {
    (bindings(like).saturating_sub(common) / each).max(1)
}

/// The number of buffers that a launch may bind.
pub fn bindings(like: &Floats) -> usize {
    like.client.properties().hardware.max_bindings as usize
}

/// The layers or tensors of each launch, which binds `each` buffers for one and `common` ones.
pub fn chunks(
    like: &Floats,
    count: usize,
    each: usize,
    common: usize,
) -> impl Iterator<Item = Range<usize>> + use<> {
    ranges(count, at_once(like, each, common))
}

/// The tensors of each launch of a kernel whose code for a tensor is so short that it takes up to `many`,
/// binding `each` buffers for one.
pub fn long_chunks(
    like: &Floats,
    count: usize,
    each: usize,
    many: usize,
) -> impl Iterator<Item = Range<usize>> + use<> {
    ranges(count, most(like, each, 0).min(many))
}

fn ranges(count: usize, size: usize) -> impl Iterator<Item = Range<usize>> + use<> {
    (0..count).step_by(size).map(move |first| first..count.min(first + size))
}

fn length(tensor: &Floats) -> usize {
    tensor.shape().num_elements()
}

/// One parameter in a step of Adam.
#[derive(CubeType, CubeLaunch)]
struct Parameter {
    value: Box<[f32]>,
    next: Box<[f32]>,
    m: Box<[f32]>,
    v: Box<[f32]>,
    g: Box<[f32]>,
    length: usize,
    /// The first of its cubes.
    cube: usize,
}

#[derive(CubeType, CubeLaunch, Clone, Copy)]
struct Step {
    beta1: f32,
    beta2: f32,
    eps: f32,
    /// The learning rate, divided by the correction of the first moment.
    rate: f32,
    /// The correction of the second moment.
    second: f32,
}

/// The gradient without NaN and infinities, and whether it was one of these.
#[cube]
fn repaired(g: f32) -> (f32, bool) {
    // By the bits: compilers of shaders may assume that there are no such values.
    let bits = u32::reinterpret(g);
    let size = bits & 0x7fff_ffffu32;
    let infinite =
        select(bits == size, AdamStep::INFINITE.runtime(), (-AdamStep::INFINITE).runtime());
    let odd = size >= 0x7f80_0000u32;
    let instead = select(size > 0x7f80_0000u32, 0.0f32.runtime(), infinite);
    (select(odd, instead, g), odd)
}

#[cube(launch_unchecked)]
fn adam_kernel(
    parameters: &mut Sequence<Parameter>,
    odd: &mut [f32],
    first: usize,
    cubes: usize,
    step: &Step,
) {
    let cube = line();
    let mut count = 0.0f32.runtime();
    #[unroll]
    for k in 0..parameters.len() {
        let parameter = parameters.index_mut(k);
        let start = (cube - parameter.cube) * PART;
        if cube < cubes && cube >= parameter.cube && start < parameter.length {
            let end = select(start + PART < parameter.length, start + PART, parameter.length);
            let mut at = start + UNIT_POS as usize;
            while at < end {
                let (g, is_odd) = repaired(parameter.g[at]);
                count += select(is_odd, 1.0f32.runtime(), 0.0f32.runtime());
                let m = parameter.m[at] * step.beta1 + g * (1.0f32 - step.beta1);
                let v = parameter.v[at] * step.beta2 + g * g * (1.0f32 - step.beta2);
                parameter.m[at] = m;
                parameter.v[at] = v;
                let root = (v / step.second).sqrt();
                parameter.next[at] = parameter.value[at] - m / (root + step.eps) * step.rate;
                at += comptime!(UNITS);
            }
        }
    }
    let count = cube_sum(count, comptime!(UNITS));
    if UNIT_POS == 0 && cube < cubes {
        odd[first + cube] = count;
    }
}

/// See [`Kernels::k_adam`](crate::kernels::Kernels::k_adam); all tensors are f32.
pub fn adam(
    [values, m, v, g]: [Vec<Floats>; 4],
    step: AdamStep,
) -> AdamOutput<burn_cubecl::CubeBackend> {
    let [values, g] = [values, g].map(|list| list.into_iter().map(contiguous).collect::<Vec<_>>());
    // The moments are changed in place if nothing else refers to them.
    let [m, v] = [m, v].map(|list| {
        let owned =
            |t: Floats| if t.can_mut() && t.is_contiguous() { t } else { contiguous(t).copy() };
        list.into_iter().map(owned).collect::<Vec<_>>()
    });
    let next: Vec<Floats> = values.iter().map(|t| empty(t, t.shape())).collect();
    let like = values[0].clone();
    let parts: Vec<usize> = values.iter().map(|t| length(t).div_ceil(PART)).collect();
    let total = parts.iter().sum();
    let odd = empty_f32(&like, [total]);
    let settings = || {
        StepLaunch::new(
            step.beta1,
            step.beta2,
            step.eps,
            step.lr / step.correction(step.beta1),
            step.correction(step.beta2),
        )
    };
    let mut first = 0;
    let indices: Vec<usize> = (0..values.len()).collect();
    for chunk in indices.chunks(at_once(&like, 5, 1)) {
        let mut cubes = 0;
        let parameters = chunk
            .iter()
            .map(|&i| {
                let cube = cubes;
                cubes += parts[i];
                ParameterLaunch::new(
                    values[i].clone().into_buffer_arg(),
                    next[i].clone().into_buffer_arg(),
                    m[i].clone().into_buffer_arg(),
                    v[i].clone().into_buffer_arg(),
                    g[i].clone().into_buffer_arg(),
                    length(&values[i]),
                    cube,
                )
            })
            .collect();
        // SAFETY: each cube works on one part of one parameter, all of whose tensors have its length,
        // and leaves one number.
        unsafe {
            adam_kernel::launch_unchecked(
                &like.client,
                grid(1, cubes),
                CubeDim::new_1d(UNITS as u32),
                parameters,
                odd.clone().into_buffer_arg(),
                first,
                cubes,
                settings(),
            );
        }
        first += cubes;
    }
    let all = Groups { offset: 0, outer: 1, groups: 1, inner: total };
    AdamOutput {
        values: Tensors(next),
        m: Tensors(m),
        v: Tensors(v),
        non_finite: group_sums(odd, all, [1]),
    }
}

/// Two tensors and a result of one length.
#[derive(CubeType, CubeLaunch)]
struct Pair {
    a: Box<[f32]>,
    b: Box<[f32]>,
    out: Box<[f32]>,
    length: usize,
    /// The first of its cubes.
    cube: usize,
}

#[cube(launch_unchecked)]
fn blend_kernel(pairs: &mut Sequence<Pair>, cubes: usize, share: f32, #[comptime] sum: bool) {
    let cube = line();
    #[unroll]
    for k in 0..pairs.len() {
        let pair = pairs.index_mut(k);
        let start = (cube - pair.cube) * PART;
        if cube < cubes && cube >= pair.cube && start < pair.length {
            let end = select(start + PART < pair.length, start + PART, pair.length);
            let mut at = start + UNIT_POS as usize;
            while at < end {
                let (a, b) = (pair.a[at], pair.b[at]);
                if comptime!(sum) {
                    pair.out[at] = a + b;
                } else {
                    pair.out[at] = b + (a - b) * share;
                }
                at += comptime!(UNITS);
            }
        }
    }
}

/// See [`Kernels::k_blend`](crate::kernels::Kernels::k_blend); all tensors are f32.
pub fn blend(a: Vec<Floats>, b: Vec<Floats>, share: f32) -> Vec<Floats> {
    pairs(a, b, Some(share))
}

/// See [`Kernels::k_sums`](crate::kernels::Kernels::k_sums); all tensors are f32.
pub fn sums(a: Vec<Floats>, b: Vec<Floats>) -> Vec<Floats> {
    pairs(a, b, None)
}

/// The blend of each pair, or without a share its sum.
fn pairs(a: Vec<Floats>, b: Vec<Floats>, share: Option<f32>) -> Vec<Floats> {
    let [a, b] = [a, b].map(|list| list.into_iter().map(contiguous).collect::<Vec<_>>());
    let out: Vec<Floats> = a.iter().map(|t| empty(t, t.shape())).collect();
    let indices: Vec<usize> = (0..a.len()).collect();
    for chunk in indices.chunks(at_once(&a[0], 3, 0)) {
        let mut cubes = 0;
        let pairs = chunk
            .iter()
            .map(|&i| {
                let cube = cubes;
                cubes += length(&a[i]).div_ceil(PART);
                PairLaunch::new(
                    a[i].clone().into_buffer_arg(),
                    b[i].clone().into_buffer_arg(),
                    out[i].clone().into_buffer_arg(),
                    length(&a[i]),
                    cube,
                )
            })
            .collect();
        // SAFETY: each cube works on one part of one pair, whose tensors have one length.
        unsafe {
            blend_kernel::launch_unchecked(
                &a[0].client,
                grid(1, cubes),
                CubeDim::new_1d(UNITS as u32),
                pairs,
                cubes,
                share.unwrap_or(0.0),
                share.is_none(),
            );
        }
    }
    out
}
