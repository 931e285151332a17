//! The weight gradient of a convolution, as a product of matrices that are never stored. Its sums run
//! over all pixels of a batch, so they are usually divided; see [`split_sum`](super::split_sum).

use cubecl::prelude::*;

use super::conv::{Sizes, SizesLaunch};
use super::epilogue::Epilogue;
use super::gemm::{DEPTH, Four, Tile, UNITS, Work};
use super::launch::{Floats, contiguous, dims, element, empty, empty_f32, grid, line};
use super::split_sum::{joined, splits};
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

#[cube(launch_unchecked)]
fn weight_gradient_kernel<E: Float, O: Float>(
    x: &[E],
    g: &[E],
    scale: &[E],
    out: &mut [O],
    sizes: &Sizes,
    gain: f32,
    #[comptime] tile: Tile,
    #[comptime] kernel: usize,
    #[comptime] stride: usize,
    #[comptime] scaled: Scaled,
    #[define(E, O)] _elements: [ElemType; 2],
) {
    let taps = comptime!(kernel * kernel);
    let unit = UNIT_POS as usize;
    let split = CUBE_POS_X as usize;
    let out_plane = sizes.out_height * sizes.out_width;
    let plane = sizes.height * sizes.width;
    let terms = sizes.batch * out_plane;
    let strips = terms.div_ceil(DEPTH);
    let each = strips.div_ceil(sizes.splits);
    let first_strip = split * each;
    let last_strip = select(first_strip + each < strips, first_strip + each, strips);
    let tiles = sizes.out_channels.div_ceil(comptime!(tile.rows()));
    let first_row = line() % tiles * comptime!(tile.rows());
    let first_column = line() / tiles * comptime!(tile.columns());
    let all_columns = sizes.channels * taps;
    let k = unit % DEPTH;

    let mut work = Work::new(tile);
    for strip in first_strip..last_strip {
        let term = strip * DEPTH + k;
        let exists = term < terms;
        let known = select(exists, term, 0usize.runtime());
        let image = known / out_plane;
        let within = known % out_plane;
        let top = i32::cast_from(within / sizes.out_width) * comptime!(stride as i32)
            - i32::cast_from(sizes.padding);
        let left = i32::cast_from(within % sizes.out_width) * comptime!(stride as i32)
            - i32::cast_from(sizes.padding);
        #[unroll]
        for i in 0..comptime!((DEPTH * tile.rows() / 4).div_ceil(UNITS)) {
            let four = unit / DEPTH + i * comptime!(UNITS / DEPTH);
            if four < comptime!(tile.rows() / 4) {
                let mut values = Four::empty();
                #[unroll]
                for lane in 0..4usize {
                    let row = first_row + four * 4 + lane;
                    let exists = exists && row < sizes.out_channels;
                    let image_plane =
                        select(exists, image * sizes.out_channels + row, 0usize.runtime());
                    let value = f32::cast_from(g[image_plane * out_plane + within]);
                    let value = if comptime!(scaled == Scaled::Output) {
                        value * f32::cast_from(scale[image_plane])
                    } else {
                        value
                    };
                    values.insert(lane, select(exists, value, 0.0f32.runtime()));
                }
                work.left[k * comptime!(tile.left_stride()) + four] = values;
            }
        }
        #[unroll]
        for i in 0..comptime!(DEPTH * tile.columns() / 4 / UNITS) {
            let four = unit / DEPTH + i * comptime!(UNITS / DEPTH);
            let mut values = Four::empty();
            #[unroll]
            for lane in 0..4usize {
                let column = first_column + four * 4 + lane;
                let channel = column / taps;
                let tap = column % taps;
                let down = top + i32::cast_from(tap / kernel);
                let along = left + i32::cast_from(tap % kernel);
                let exists = exists
                    && column < all_columns
                    && down >= 0
                    && down < i32::cast_from(sizes.height)
                    && along >= 0
                    && along < i32::cast_from(sizes.width);
                let image_plane =
                    select(exists, image * sizes.channels + channel, 0usize.runtime());
                let from =
                    select(exists, down * i32::cast_from(sizes.width) + along, 0i32.runtime());
                let value = f32::cast_from(x[image_plane * plane + usize::cast_from(from)]);
                let value = if comptime!(scaled == Scaled::Input) {
                    value * f32::cast_from(scale[image_plane])
                } else {
                    value
                };
                values.insert(lane, select(exists, value, 0.0f32.runtime()));
            }
            work.right[k * comptime!(tile.right_stride()) + four] = values;
        }
        sync_cube();
        work.multiply();
        sync_cube();
    }

    let part = split * sizes.out_channels * all_columns;
    #[unroll]
    for j in 0..comptime!(tile.each[1] / 4) {
        let four = unit % comptime!(tile.units[1]) + comptime!(j * tile.units[1]);
        #[unroll]
        for lane in 0..4usize {
            let column = first_column + four * 4 + lane;
            let to = part + column / taps * sizes.channel_stride + column % taps;
            #[unroll]
            for i in 0..comptime!(tile.each[0]) {
                let four = unit / comptime!(tile.units[1]) + comptime!(i / 4 * tile.units[0]);
                let row = first_row + four * 4 + comptime!(i % 4);
                if column < all_columns && row < sizes.out_channels {
                    let value = work.sums[comptime!(i * (tile.each[1] / 4) + j)].extract(lane);
                    out[to + row * sizes.row_stride] = O::cast_from(value * gain);
                }
            }
        }
    }
}

/// The gradient of a convolution's weight, given its input x `[N, I, H, W]` and the gradient g of its
/// output; `scale` multiplies the planes of one of them.
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
    let tile = Tile::of(o, i * k * k);
    let tiles = o.div_ceil(tile.rows()) * (i * k * k).div_ceil(tile.columns());
    let splits = splits(tiles, n * oh * ow);
    let (shape, row_stride, channel_stride) = if conv.swapped {
        ([i, o, k, k], k * k, o * k * k)
    } else {
        ([o, i, k, k], i * k * k, k * k)
    };
    let out = if splits == 1 { empty(&x, shape) } else { empty_f32(&x, [splits, o * i * k * k]) };
    let sizes =
        SizesLaunch::new(n, i, h, w, o, oh, ow, conv.padding, row_stride, channel_stride, splits);
    let (client, elements) = (x.client.clone(), [element(&x), element(&out)]);
    let like = x.clone();
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
            // A divided sum is multiplied when its parts are added up.
            if splits == 1 { conv.gain } else { 1.0 },
            tile,
            k,
            conv.stride,
            scaled,
            elements,
        );
    }
    match splits {
        1 => out,
        _ => joined(out, splits, &like, shape, (1, 1), &Epilogue::gain(conv.gain)),
    }
}
