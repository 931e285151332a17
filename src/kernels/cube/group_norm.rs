//! Group normalisation: the moments of the groups, then one pass over the planes. Its gradients take two
//! passes: sums over planes, then the gradient of the input.

use burn_cubecl::CubeBackend;
use cubecl::prelude::*;

use super::launch::{Floats, contiguous, dims, element, empty, empty_f32, grid, line};
use super::planes::{Act, Division, Sides, act_arg, activate, leave_sum, place, sloped};
use super::sums::{cube_sum, group_sums_twice};
use crate::kernels::outputs::{GroupNormGradients, GroupNormTrace};
use crate::kernels::spec::Groups;

/// Units of a cube that computes the moments of a group.
const UNITS: usize = 256;

/// Mean and 1/√(variance + ε) of groups of `length` neighbouring elements: one cube for each.
#[cube(launch_unchecked)]
fn moments_kernel<E: Float>(
    x: &[E],
    moments: &mut [f32],
    groups: usize,
    length: usize,
    eps: f32,
    #[define(E)] _element: ElemType,
) {
    let group = line();
    let exists = group < groups;
    let start = select(exists, group * length, 0usize.runtime());
    let count = select(exists, length, 0usize.runtime());
    let unit = UNIT_POS as usize;
    let mut sum = 0.0f32.runtime();
    let mut at = unit;
    while at < count {
        sum += f32::cast_from(x[start + at]);
        at += comptime!(UNITS);
    }
    let mean = cube_sum(sum, UNITS) / f32::cast_from(length);
    let mut squares = 0.0f32.runtime();
    let mut at = unit;
    while at < count {
        let centred = f32::cast_from(x[start + at]) - mean;
        squares += centred * centred;
        at += comptime!(UNITS);
    }
    let variance = cube_sum(squares, UNITS) / f32::cast_from(length);
    if unit == 0 && exists {
        moments[2 * group] = mean;
        moments[2 * group + 1] = 1.0f32 / (variance + eps).sqrt();
    }
}

/// `per_group`: channels of a group.
#[cube(launch_unchecked)]
fn normalise_kernel<E: Float, N: Size>(
    x: &[Vector<E, N>],
    moments: &[f32],
    weight: &[f32],
    bias: &[f32],
    y: &mut [Vector<E, N>],
    sides: &Sides,
    per_group: usize,
    act: &Act,
    #[define(E)] _element: ElemType,
) {
    let here = place(sides);
    let channel = here.plane % sides.channels;
    let group = here.plane / per_group;
    let mean = Vector::<f32, N>::new(moments[2 * group]);
    let scale = Vector::<f32, N>::new(moments[2 * group + 1] * weight[channel]);
    let bias = Vector::<f32, N>::new(bias[channel]);
    let mut at = here.start;
    while at < here.end {
        let i = here.offset + at;
        let centred = Vector::<f32, N>::cast_from(x[i]) - mean;
        y[i] = Vector::cast_from(activate::<N>(centred * scale + bias, act));
        at += CUBE_DIM_X as usize;
    }
}

/// For each part of a plane the sum of g', the gradient before the activation, then that of g' times the
/// normalised input.
#[cube(launch_unchecked)]
fn plane_sums_kernel<E: Float, N: Size>(
    x: &[Vector<E, N>],
    y: &[Vector<E, N>],
    g: &[Vector<E, N>],
    moments: &[f32],
    sums: &mut [f32],
    sides: &Sides,
    per_group: usize,
    act: &Act,
    #[comptime] units: usize,
    #[define(E)] _element: ElemType,
) {
    let here = place(sides);
    let group = here.plane / per_group;
    let mean = Vector::<f32, N>::new(moments[2 * group]);
    let rate = Vector::<f32, N>::new(moments[2 * group + 1]);
    let zero = Vector::<f32, N>::new(0.0f32);
    let (mut level, mut along) = (zero, zero);
    let mut at = here.start;
    while at < here.end {
        let i = here.offset + at;
        let h = sloped::<N>(Vector::cast_from(g[i]), Vector::cast_from(y[i]), act);
        level += h;
        along += h * ((Vector::<f32, N>::cast_from(x[i]) - mean) * rate);
        at += CUBE_DIM_X as usize;
    }
    let kind = sides.planes * CUBE_COUNT_X as usize;
    leave_sum::<N>(sums, &here, 0usize.runtime(), level, units);
    leave_sum::<N>(sums, &here, kind, along, units);
}

/// The gradient of the input, from what [`plane_sums_kernel`] leaves. `share` is 1 over the elements of a
/// group.
#[cube(launch_unchecked)]
fn gradient_kernel<E: Float, N: Size>(
    x: &[Vector<E, N>],
    y: &[Vector<E, N>],
    g: &[Vector<E, N>],
    moments: &[f32],
    weight: &[f32],
    sums: &[f32],
    of_x: &mut [Vector<E, N>],
    sides: &Sides,
    per_group: usize,
    parts: usize,
    share: f32,
    act: &Act,
    #[define(E)] _element: ElemType,
) {
    let here = place(sides);
    let group = here.plane / per_group;
    let kind = sides.planes * parts;
    let (mut level, mut along) = (0.0f32.runtime(), 0.0f32.runtime());
    for number in 0..per_group {
        let plane = group * per_group + number;
        let factor = weight[plane % sides.channels] * share;
        for part in 0..parts {
            level += sums[plane * parts + part] * factor;
            along += sums[kind + plane * parts + part] * factor;
        }
    }
    let factor = Vector::<f32, N>::new(weight[here.plane % sides.channels]);
    let (level, along) = (Vector::<f32, N>::new(level), Vector::<f32, N>::new(along));
    let mean = Vector::<f32, N>::new(moments[2 * group]);
    let rate = Vector::<f32, N>::new(moments[2 * group + 1]);
    let mut at = here.start;
    while at < here.end {
        let i = here.offset + at;
        let h = sloped::<N>(Vector::cast_from(g[i]), Vector::cast_from(y[i]), act);
        let normal = (Vector::<f32, N>::cast_from(x[i]) - mean) * rate;
        of_x[i] = Vector::cast_from((h * factor - level - normal * along) * rate);
        at += CUBE_DIM_X as usize;
    }
}

/// See [`Kernels::k_group_norm_trace`](crate::kernels::Kernels::k_group_norm_trace).
pub fn trace(
    x: Floats,
    weight: Floats,
    bias: Floats,
    groups: Groups,
) -> GroupNormTrace<CubeBackend> {
    let [x, weight, bias] = [x, weight, bias].map(contiguous);
    let [n, c, h, w] = dims(&x);
    let per_group = c / groups.count;
    let moments = empty_f32(&x, [n, groups.count, 2]);
    let y = empty(&x, [n, c, h, w]);
    let division = Division::shared([n, c, h, w]);
    let (client, element) = (x.client.clone(), element(&x));
    // SAFETY: a cube reads the elements of one group; `place` stays within the planes, whose number and
    // size are those of x and y.
    unsafe {
        moments_kernel::launch_unchecked(
            &client,
            grid(1, n * groups.count),
            CubeDim::new_1d(UNITS as u32),
            x.clone().into_buffer_arg(),
            moments.clone().into_buffer_arg(),
            n * groups.count,
            per_group * h * w,
            groups.eps,
            element,
        );
        normalise_kernel::launch_unchecked(
            &client,
            division.count(),
            division.units(),
            division.vector,
            x.into_buffer_arg(),
            moments.clone().into_buffer_arg(),
            weight.into_buffer_arg(),
            bias.into_buffer_arg(),
            y.clone().into_buffer_arg(),
            division.sides(),
            per_group,
            act_arg(groups.act),
            element,
        );
    }
    GroupNormTrace { y, moments }
}

/// See [`Kernels::k_group_norm_gradients`](crate::kernels::Kernels::k_group_norm_gradients).
pub fn gradients(
    x: Floats,
    weight: Floats,
    trace: GroupNormTrace<CubeBackend>,
    g: Floats,
    groups: Groups,
) -> GroupNormGradients<CubeBackend> {
    let [x, weight, y, g] = [x, weight, trace.y, g].map(contiguous);
    let moments = contiguous(trace.moments);
    let [n, c, h, w] = dims(&x);
    let per_group = c / groups.count;
    let own = Division::own([n, c, h, w]);
    let sums = empty_f32(&x, [2 * own.sums()]);
    let (client, element) = (x.client.clone(), element(&x));
    // SAFETY: as above; there is a sum of each kind for each part of a plane.
    unsafe {
        plane_sums_kernel::launch_unchecked(
            &client,
            own.count(),
            own.units(),
            own.vector,
            x.clone().into_buffer_arg(),
            y.clone().into_buffer_arg(),
            g.clone().into_buffer_arg(),
            moments.clone().into_buffer_arg(),
            sums.clone().into_buffer_arg(),
            own.sides(),
            per_group,
            act_arg(groups.act),
            own.wide,
            element,
        );
    }
    let [bias, of_weight] = group_sums_twice(sums.clone(), own.by_channel(), [c]);
    let of_x = empty(&x, [n, c, h, w]);
    let shared = Division::shared([n, c, h, w]);
    // SAFETY: as above.
    unsafe {
        gradient_kernel::launch_unchecked(
            &client,
            shared.count(),
            shared.units(),
            shared.vector,
            x.into_buffer_arg(),
            y.into_buffer_arg(),
            g.into_buffer_arg(),
            moments.into_buffer_arg(),
            weight.into_buffer_arg(),
            sums.into_buffer_arg(),
            of_x.clone().into_buffer_arg(),
            shared.sides(),
            per_group,
            own.sums() / (n * c),
            1.0 / (per_group * h * w) as f32,
            act_arg(groups.act),
            element,
        );
    }
    GroupNormGradients { x: of_x, weight: of_weight, bias }
}
