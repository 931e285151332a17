//! Bilinear sampling along affine maps, and its adjoint. Both gather, so that no two units write the
//! same pixel and every sum has a fixed order.

use cubecl::prelude::*;

use super::launch::{Floats, contiguous, dims, element, empty, grid, line};
use crate::kernels::spec::Warp;

/// Units of a cube.
const UNITS: usize = 128;

/// The map of an image, from pixels of the output to the input.
#[derive(CubeType, Clone, Copy)]
struct Map {
    xx: f32,
    xy: f32,
    x0: f32,
    yx: f32,
    yy: f32,
    y0: f32,
}

#[cube]
fn map_of(maps: &[f32], image: usize) -> Map {
    let at = image * 6;
    Map {
        xx: maps[at],
        xy: maps[at + 1],
        x0: maps[at + 2],
        yx: maps[at + 3],
        yy: maps[at + 4],
        y0: maps[at + 5],
    }
}

/// The column and the row of the input that pixel (row, column) of the output is sampled at.
///
/// Both kernels must call this, so that they agree on the weights to the bit.
#[cube]
fn sampled(map: &Map, row: f32, column: f32) -> (f32, f32) {
    let x = (map.xy * row + map.x0) + map.xx * column;
    let y = (map.yy * row + map.y0) + map.yx * column;
    (x, y)
}

/// The weight of sample `at` for a position.
#[cube]
fn weight(position: f32, at: f32) -> f32 {
    let first = position.floor();
    let after = position - first;
    let before = 1.0f32 - after;
    select(at == first, before, select(at == first + 1.0f32, after, 0.0f32.runtime()))
}

#[derive(CubeType, CubeLaunch, Clone, Copy)]
struct Sides {
    planes: usize,
    channels: usize,
    height: usize,
    width: usize,
    /// Of the other image.
    other_height: usize,
    other_width: usize,
}

/// One unit for each pixel of an image that a warp writes, or with `adjoint` of one that it reads.
#[cube(launch_unchecked)]
fn warp_kernel<E: Float>(
    x: &[E],
    maps: &[f32],
    out: &mut [E],
    sides: &Sides,
    #[comptime] adjoint: bool,
    #[define(E)] _element: ElemType,
) {
    let pixel = CUBE_POS_X as usize * comptime!(UNITS) + UNIT_POS as usize;
    let plane = line();
    let pixels = sides.height * sides.width;
    if pixel < pixels && plane < sides.planes {
        let map = map_of(maps, plane / sides.channels);
        let row = f32::cast_from(pixel / sides.width);
        let column = f32::cast_from(pixel % sides.width);
        let offset = plane * sides.other_height * sides.other_width;
        let sum = if comptime!(adjoint) {
            seen_from::<E>(x, offset, &map, row, column, sides)
        } else {
            interpolated::<E>(x, offset, &map, row, column, sides)
        };
        out[plane * pixels + pixel] = E::cast_from(sum);
    }
}

/// The value of the plane at `offset` where the map sends a pixel of the output.
#[cube]
fn interpolated<E: Float>(
    x: &[E],
    offset: usize,
    map: &Map,
    row: f32,
    column: f32,
    sides: &Sides,
) -> f32 {
    let (x_at, y_at) = sampled(map, row, column);
    let (first_x, first_y) = (x_at.floor(), y_at.floor());
    let last_x = f32::cast_from(sides.other_width) - 1.0f32;
    let last_y = f32::cast_from(sides.other_height) - 1.0f32;
    let mut sum = 0.0f32.runtime();
    #[unroll]
    for i in 0..2u32 {
        let y = first_y + comptime!(i as f32);
        #[unroll]
        for j in 0..2u32 {
            let x_of = first_x + comptime!(j as f32);
            if x_of >= 0.0f32 && x_of <= last_x && y >= 0.0f32 && y <= last_y {
                let at = usize::cast_from(y) * sides.other_width + usize::cast_from(x_of);
                let value = f32::cast_from(x[offset + at]);
                sum += value * (weight(y_at, y) * weight(x_at, x_of));
            }
        }
    }
    sum
}

/// The sum over the outputs at `offset` to which a pixel of the input contributes.
#[cube]
fn seen_from<E: Float>(
    g: &[E],
    offset: usize,
    map: &Map,
    row: f32,
    column: f32,
    sides: &Sides,
) -> f32 {
    // The outputs to which this pixel contributes lie where its square of ±1 is mapped from: a
    // parallelogram, and the rows and columns of its bounding box are visited.
    let last_row = f32::cast_from(sides.other_height) - 1.0f32;
    let last_column = f32::cast_from(sides.other_width) - 1.0f32;
    let mut low_row = 0.0f32.runtime();
    let mut high_row = last_row;
    let mut low_column = 0.0f32.runtime();
    let mut high_column = last_column;
    let determinant = map.xx * map.yy - map.xy * map.yx;
    if determinant.abs() > 1e-6f32 {
        let x = column - map.x0;
        let y = row - map.y0;
        // One more on every side: the inverse is not exact.
        let j = (map.yy * x - map.xy * y) / determinant;
        let wide = (map.yy.abs() + map.xy.abs()) / determinant.abs() + 1.0f32;
        let i = (map.xx * y - map.yx * x) / determinant;
        let high = (map.xx.abs() + map.yx.abs()) / determinant.abs() + 1.0f32;
        low_column = clamp((j - wide).floor(), 0.0f32, last_column + 1.0f32);
        high_column = clamp((j + wide).ceil(), -1.0f32, last_column);
        low_row = clamp((i - high).floor(), 0.0f32, last_row + 1.0f32);
        high_row = clamp((i + high).ceil(), -1.0f32, last_row);
    }
    let mut sum = 0.0f32.runtime();
    let mut i = low_row;
    while i <= high_row {
        let mut j = low_column;
        while j <= high_column {
            let (x_at, y_at) = sampled(map, i, j);
            let factor = weight(y_at, row) * weight(x_at, column);
            if factor != 0.0f32 {
                let at = usize::cast_from(i) * sides.other_width + usize::cast_from(j);
                sum += f32::cast_from(g[offset + at]) * factor;
            }
            j += 1.0f32;
        }
        i += 1.0f32;
    }
    sum
}

/// See [`Kernels::k_warp`](crate::kernels::Kernels::k_warp).
pub fn warp(x: Floats, warp: &Warp) -> Floats {
    mapped(x, warp, [warp.output, warp.input], false)
}

/// See [`Kernels::k_warp_adjoint`](crate::kernels::Kernels::k_warp_adjoint).
pub fn warp_adjoint(g: Floats, warp: &Warp) -> Floats {
    mapped(g, warp, [warp.input, warp.output], true)
}

/// A warp or its adjoint, from images of the second size to images of the first.
fn mapped(x: Floats, warp: &Warp, [to, from]: [[usize; 2]; 2], adjoint: bool) -> Floats {
    let x = contiguous(x);
    let [n, c, _, _] = dims(&x);
    let out = empty(&x, [n, c, to[0], to[1]]);
    let sides = SidesLaunch::new(n * c, c, to[0], to[1], from[0], from[1]);
    let (client, element) = (x.client.clone(), element(&x));
    let pixels = to.iter().product::<usize>();
    let maps = maps(&client, warp);
    // SAFETY: reads and writes are checked against the sizes of both images.
    unsafe {
        warp_kernel::launch_unchecked(
            &client,
            grid(pixels.div_ceil(UNITS), n * c),
            CubeDim::new_1d(UNITS as u32),
            x.into_buffer_arg(),
            maps,
            out.clone().into_buffer_arg(),
            sides,
            adjoint,
            element,
        );
    }
    out
}

fn maps(client: &Client, warp: &Warp) -> BufferArg {
    let handle = client.create_from_slice(bytemuck::cast_slice(&warp.maps));
    // SAFETY: the buffer holds six numbers for each image.
    unsafe { BufferArg::from_raw_parts(handle, 6 * warp.maps.len()) }
}
