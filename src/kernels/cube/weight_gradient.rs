//! The weight gradient of a convolution, as a product of matrices that are never stored. Its sums run
//! over all pixels of a batch, so they are usually divided; see [`split_sum`](super::split_sum).

use cubecl::prelude::*;

use super::conv::{Sizes, SizesLaunch};
use super::epilogue::Epilogue;
use super::gemm::Work;
use super::launch::{Floats, contiguous, dims, element, empty_f32, grid, line, reshaped};
use super::pixels::{has_pixel, read};
use super::split_sum::{joined, splits};
use super::tile::{DEPTH, Four, Tile, UNITS, column};
use crate::kernels::spec::Conv;

/// Which operand of a weight gradient has factors of its planes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scaled {
    /// Neither.
    No,
    /// The convolution's input.
    Input,
    /// The gradient of its output.
    Output,
}

/// Properties of the weight gradient that are known when the kernel is compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Form {
    tile: Tile,
    kernel: usize,
    stride: usize,
    scaled: Scaled,
}

/// The weights whose columns a unit brings into shared memory, for the four columns of each step.
#[derive(CubeType)]
struct Taps {
    /// First row, and column, of the pixels that the tap reads.
    tops: Array<i32>,
    lefts: Array<i32>,
    channels: Array<usize>,
    exist: Array<u32>,
}

/// Of both strips a unit brings one term, and this four in step `i`.
#[cube]
fn four(#[comptime] i: usize) -> usize {
    UNIT_POS as usize / DEPTH + comptime!(i * UNITS / DEPTH)
}

/// A pixel of the gradient, over which the sums run.
#[derive(CubeType, Clone, Copy)]
struct Term {
    exists: bool,
    image: usize,
    within: usize,
    /// The pixel that a tap at the corner reads.
    top: i32,
    left: i32,
}

#[cube]
fn term(number: usize, sizes: &Sizes, #[comptime] form: Form) -> Term {
    let plane = sizes.out_height * sizes.out_width;
    let exists = number < sizes.batch * plane;
    let known = select(exists, number, 0usize.runtime());
    let within = known % plane;
    Term {
        exists,
        image: known / plane,
        within,
        top: i32::cast_from(within / sizes.out_width) * comptime!(form.stride as i32),
        left: i32::cast_from(within % sizes.out_width) * comptime!(form.stride as i32),
    }
}

/// The gradients of a term that a unit brings.
#[cube]
fn fetch_left<E: Float>(
    values: &mut Array<Four>,
    g: &[E],
    scale: &[f32],
    term: &Term,
    first_row: usize,
    sizes: &Sizes,
    #[comptime] form: Form,
) {
    let plane = sizes.out_height * sizes.out_width;
    #[unroll]
    for i in 0..comptime!(form.tile.left_fours()) {
        let mut brought = Four::empty();
        #[unroll]
        for lane in 0..4usize {
            let row = first_row + four(i) * 4 + lane;
            let exists = term.exists && row < sizes.out_channels;
            let image_plane = term.image * sizes.out_channels + row;
            let at = image_plane * plane + term.within;
            let scaled = comptime!(form.scaled == Scaled::Output);
            brought.insert(lane, read(g, at, scale, image_plane, exists, scaled));
        }
        values[i] = brought;
    }
}

/// The pixels of a term that a unit brings.
#[cube]
fn fetch_right<E: Float>(
    values: &mut Array<Four>,
    x: &[E],
    scale: &[f32],
    term: &Term,
    columns: &Taps,
    sizes: &Sizes,
    #[comptime] form: Form,
) {
    let plane = sizes.height * sizes.width;
    #[unroll]
    for i in 0..comptime!(form.tile.right_fours()) {
        let mut brought = Four::empty();
        #[unroll]
        for lane in 0..4usize {
            let row = term.top + columns.tops[comptime!(i * 4 + lane)];
            let column = term.left + columns.lefts[comptime!(i * 4 + lane)];
            let exists = term.exists
                && columns.exist[comptime!(i * 4 + lane)] != 0
                && has_pixel(row, column, sizes.height, sizes.width);
            let image_plane =
                term.image * sizes.channels + columns.channels[comptime!(i * 4 + lane)];
            let within = select(exists, row * i32::cast_from(sizes.width) + column, 0i32.runtime());
            let at = image_plane * plane + usize::cast_from(within);
            let scaled = comptime!(form.scaled == Scaled::Input);
            brought.insert(lane, read(x, at, scale, image_plane, exists, scaled));
        }
        values[i] = brought;
    }
}

#[cube(launch_unchecked)]
fn weight_gradient_kernel<E: Float>(
    x: &[E],
    g: &[E],
    scale: &[f32],
    out: &mut [f32],
    sizes: &Sizes,
    gain: f32,
    #[comptime] form: Form,
    #[define(E)] _element: ElemType,
) {
    let tile = comptime!(form.tile);
    let taps = comptime!(form.kernel * form.kernel);
    let split = CUBE_POS_X as usize;
    let terms = sizes.batch * sizes.out_height * sizes.out_width;
    let strips = terms.div_ceil(DEPTH);
    let each = strips.div_ceil(sizes.splits);
    let first_strip = split * each;
    let last_strip = select(first_strip + each < strips, first_strip + each, strips);
    let tiles = sizes.out_channels.div_ceil(comptime!(tile.rows()));
    let first_row = line() % tiles * comptime!(tile.rows());
    let first_column = line() / tiles * comptime!(tile.columns());
    let all_columns = sizes.channels * taps;

    let brought = comptime!(4 * tile.right_fours());
    let mut columns = Taps {
        tops: Array::<i32>::new(brought),
        lefts: Array::<i32>::new(brought),
        channels: Array::<usize>::new(brought),
        exist: Array::<u32>::new(brought),
    };
    #[unroll]
    for i in 0..brought {
        let column = first_column + column(four(comptime!(i / 4)), comptime!(i % 4), tile);
        let exists = column < all_columns;
        let column = select(exists, column, 0usize.runtime());
        let tap = column % taps;
        let padding = i32::cast_from(sizes.padding);
        columns.tops[i] = i32::cast_from(tap / comptime!(form.kernel)) - padding;
        columns.lefts[i] = i32::cast_from(tap % comptime!(form.kernel)) - padding;
        columns.channels[i] = column / taps;
        columns.exist[i] = u32::cast_from(exists);
    }

    let k = UNIT_POS as usize % DEPTH;
    let mut work = Work::new(tile);
    let mut left = Array::<Four>::new(comptime!(tile.left_fours()));
    let mut right = Array::<Four>::new(comptime!(tile.right_fours()));
    let first = term(first_strip * DEPTH + k, sizes, form);
    fetch_left(&mut left, g, scale, &first, first_row, sizes, form);
    fetch_right(&mut right, x, scale, &first, &columns, sizes, form);
    for strip in first_strip..last_strip {
        #[unroll]
        for i in 0..comptime!(tile.left_fours()) {
            if comptime!(tile.fills_left()) || four(i) < comptime!(tile.rows() / 4) {
                work.put_left(k, four(i), left[i]);
            }
        }
        #[unroll]
        for i in 0..comptime!(tile.right_fours()) {
            work.put_right(k, four(i), right[i]);
        }
        sync_cube();
        // The next strip is on its way while this one is multiplied.
        let next = term((strip + 1) * DEPTH + k, sizes, form);
        fetch_left(&mut left, g, scale, &next, first_row, sizes, form);
        fetch_right(&mut right, x, scale, &next, &columns, sizes, form);
        work.multiply();
        sync_cube();
    }

    let part = split * sizes.out_channels * all_columns;
    #[unroll]
    for across in 0..comptime!(tile.column_groups()) {
        #[unroll]
        for down in 0..comptime!(tile.row_groups()) {
            work.open_group(down, across);
            #[unroll]
            for number in 0..comptime!(tile.group()) {
                let row = first_row + work.row(down, number);
                let sums = work.result(across, number);
                #[unroll]
                for lane in 0..4usize {
                    let column = first_column + column(work.column_four(across), lane, tile);
                    if column < all_columns && row < sizes.out_channels {
                        let to = part + column / taps * sizes.channel_stride + column % taps;
                        let value = sums.extract(lane);
                        out[to + row * sizes.row_stride] = value * gain;
                    }
                }
            }
        }
    }
}

/// The gradient of a convolution's weight, given its input x `[N, I, H, W]` and the gradient g of its
/// output; `scale` multiplies the planes of one of them. It is in f32, and a sum in parts if `conv` says
/// so.
pub fn weight_gradient(
    x: Floats,
    g: Floats,
    scale: Option<(Floats, Scaled)>,
    conv: Conv,
) -> Floats {
    let (x, g) = (contiguous(x), contiguous(g));
    let (scale, scaled) = match scale {
        Some((scale, which)) => (contiguous(scale), which),
        None => (g.clone(), Scaled::No),
    };
    let [n, i, h, w] = dims(&x);
    let [_, o, oh, ow] = dims(&g);
    let k = conv.kernel;
    let tile = Tile::of_weight_gradient(&x, o, i * k * k, n * oh * ow);
    let tiles = o.div_ceil(tile.rows()) * (i * k * k).div_ceil(tile.columns());
    let splits = splits(tiles, n * oh * ow);
    let (shape, row_stride, channel_stride) = if conv.swapped {
        ([i, o, k, k], k * k, o * k * k)
    } else {
        ([o, i, k, k], i * k * k, k * k)
    };
    let out = match splits {
        1 => empty_f32(&x, shape),
        _ => empty_f32(&x, [splits, o * i * k * k]),
    };
    let sizes = SizesLaunch::new(
        n,
        i,
        h,
        w,
        o,
        oh,
        ow,
        conv.padding,
        row_stride,
        channel_stride,
        0,
        0,
        splits,
    );
    let (client, element) = (x.client.clone(), element(&x));
    // SAFETY: every read is checked against the sizes of x and g, every write against those of the
    // weight.
    unsafe {
        weight_gradient_kernel::launch_unchecked(
            &client,
            grid(splits, tiles),
            CubeDim::new_1d(UNITS as u32),
            x.into_buffer_arg(),
            g.into_buffer_arg(),
            scale.into_buffer_arg(),
            out.clone().into_buffer_arg(),
            sizes,
            // A divided sum is multiplied when its parts are added up here.
            if splits == 1 || conv.parts { conv.gain } else { 1.0 },
            Form { tile, kernel: k, stride: conv.stride, scaled },
            element,
        );
    }
    match splits {
        _ if conv.parts => reshaped(out, [splits, o * i * k * k, 1]),
        1 => out,
        _ => joined(out.clone(), splits, &out, shape, [1; 3], &Epilogue::gain(conv.gain)),
    }
}
