//! The standard deviation over groups of images, as an additional channel.

use cubecl::prelude::*;

use super::launch::{Floats, contiguous, dims, element, empty, grid, line};
use super::sums::cube_sum;

/// Units of a cube.
const UNITS: usize = 256;

/// G images of M groups; the images of a group are M apart.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
struct Sides {
    group: usize,
    groups: usize,
    /// C·H·W.
    elements: usize,
    /// H·W.
    plane: usize,
}

/// The mean of one element over the images of a group, and its standard deviation.
#[cube]
fn moments<E: Float>(x: &[E], number: usize, at: usize, sides: &Sides) -> (f32, f32) {
    let count = f32::cast_from(sides.group);
    let mut sum = 0.0f32.runtime();
    for k in 0..sides.group {
        sum += f32::cast_from(x[(k * sides.groups + number) * sides.elements + at]);
    }
    let mean = sum / count;
    let mut squares = 0.0f32.runtime();
    for k in 0..sides.group {
        let value = f32::cast_from(x[(k * sides.groups + number) * sides.elements + at]) - mean;
        squares += value * value;
    }
    (mean, (squares / count + 1e-8f32).sqrt())
}

/// One cube for each group.
#[cube(launch_unchecked)]
fn minibatch_std_kernel<E: Float>(
    x: &[E],
    y: &mut [E],
    sides: &Sides,
    #[define(E)] _element: ElemType,
) {
    let number = line();
    let exists = number < sides.groups;
    let elements = select(exists, sides.elements, 0usize.runtime());
    let plane = select(exists, sides.plane, 0usize.runtime());
    let wide = sides.elements + sides.plane;
    let mut sum = 0.0f32.runtime();
    let mut at = UNIT_POS as usize;
    while at < elements {
        let (_, std) = moments::<E>(x, number, at, sides);
        sum += std;
        for k in 0..sides.group {
            let image = k * sides.groups + number;
            y[image * wide + at] = x[image * sides.elements + at];
        }
        at += comptime!(UNITS);
    }
    let mean = cube_sum(sum, comptime!(UNITS)) / f32::cast_from(sides.elements);
    let mut at = UNIT_POS as usize;
    while at < plane {
        for k in 0..sides.group {
            let image = k * sides.groups + number;
            y[image * wide + sides.elements + at] = E::cast_from(mean);
        }
        at += comptime!(UNITS);
    }
}

fn sides([n, c, h, w]: [usize; 4], group: usize) -> SidesLaunch {
    SidesLaunch::new(group, n / group, c * h * w, h * w)
}

/// See [`Kernels::k_minibatch_std`](crate::kernels::Kernels::k_minibatch_std).
pub fn minibatch_std(x: Floats, group: usize) -> Floats {
    let x = contiguous(x);
    let [n, c, h, w] = dims(&x);
    let y = empty(&x, [n, c + 1, h, w]);
    let (client, element) = (x.client.clone(), element(&x));
    // SAFETY: each cube reads and writes the images of one group.
    unsafe {
        minibatch_std_kernel::launch_unchecked(
            &client,
            grid(1, n / group),
            CubeDim::new_1d(UNITS as u32),
            x.into_buffer_arg(),
            y.clone().into_buffer_arg(),
            sides([n, c, h, w], group),
            element,
        );
    }
    y
}

/// Each cube works on some elements of the images of one group.
#[cube(launch_unchecked)]
fn minibatch_std_gradient_kernel<E: Float>(
    x: &[E],
    g: &[E],
    of_x: &mut [E],
    sides: &Sides,
    #[define(E)] _element: ElemType,
) {
    let number = line();
    let exists = number < sides.groups;
    let wide = sides.elements + sides.plane;
    let mut sum = 0.0f32.runtime();
    let mut at = UNIT_POS as usize;
    let count = select(exists, sides.group * sides.plane, 0usize.runtime());
    while at < count {
        let image = at / sides.plane * sides.groups + number;
        sum += f32::cast_from(g[image * wide + sides.elements + at % sides.plane]);
        at += comptime!(UNITS);
    }
    let share = cube_sum(sum, comptime!(UNITS)) / f32::cast_from(sides.elements * sides.group);
    let at = CUBE_POS_X as usize * comptime!(UNITS) + UNIT_POS as usize;
    if exists && at < sides.elements {
        let (mean, std) = moments::<E>(x, number, at, sides);
        for k in 0..sides.group {
            let image = k * sides.groups + number;
            let centred = f32::cast_from(x[image * sides.elements + at]) - mean;
            let direct = f32::cast_from(g[image * wide + at]);
            of_x[image * sides.elements + at] = E::cast_from(direct + share * centred / std);
        }
    }
}

/// See [`Kernels::k_minibatch_std_gradient`](crate::kernels::Kernels::k_minibatch_std_gradient).
pub fn minibatch_std_gradient(x: Floats, g: Floats, group: usize) -> Floats {
    let (x, g) = (contiguous(x), contiguous(g));
    let [n, c, h, w] = dims(&x);
    let of_x = empty(&x, [n, c, h, w]);
    let (client, element) = (x.client.clone(), element(&x));
    // SAFETY: as above.
    unsafe {
        minibatch_std_gradient_kernel::launch_unchecked(
            &client,
            grid((c * h * w).div_ceil(UNITS), n / group),
            CubeDim::new_1d(UNITS as u32),
            x.into_buffer_arg(),
            g.into_buffer_arg(),
            of_x.clone().into_buffer_arg(),
            sides([n, c, h, w], group),
            element,
        );
    }
    of_x
}
