//! Convolution and its adjoint as products of matrices that are never stored: units read their
//! elements of the patches while they fill shared memory.
//!
//! Images stay `[N, C, H, W]` throughout, so no layout is ever changed. Columns of the product are
//! pixels, which lie next to each other in memory; rows are channels. See
//! [`split_sum`](super::split_sum) for products with few tiles and long sums.

use cubecl::prelude::*;

use super::epilogue::{Epilogue, Finish, finished};
use super::gemm::{DEPTH, Four, Tile, UNITS, Work};
use super::launch::{Floats, contiguous, dims, element, empty, empty_f32, grid, line};
use super::split_sum::{joined, splits};
use crate::kernels::spec::Conv;

/// The sizes of a convolution of images with C channels to images with M, or of its weight gradient.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
pub struct Sizes {
    pub batch: usize,
    /// C, height and width of the images that the convolution reads.
    pub channels: usize,
    pub height: usize,
    pub width: usize,
    /// M, height and width of the images that it writes.
    pub out_channels: usize,
    pub out_height: usize,
    pub out_width: usize,
    pub padding: usize,
    /// Distance of the weights of neighbouring M, and of neighbouring C.
    pub row_stride: usize,
    pub channel_stride: usize,
    /// Parts that each sum is divided into.
    pub splits: usize,
}

/// Properties of the convolution that are known when the kernel is compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Form {
    tile: Tile,
    kernel: usize,
    stride: usize,
    /// The adjoint: reads the convolution's output, writes its input.
    adjoint: bool,
    /// Whether planes of the images that are read have factors.
    scaled: bool,
    /// Whether the sums are divided, so that another kernel finishes them.
    divided: bool,
}

/// Along one axis, the pixels of one residue modulo the stride and the taps that reach them.
///
/// A convolution has one residue: pixel q reads base + stride·q + tap. The adjoint has as many as its
/// stride: pixel stride·q + residue reads base + q − j through tap first + stride·j.
#[derive(CubeType, Clone, Copy)]
struct Axis {
    /// Number of pixels.
    pixels: usize,
    /// Number of taps.
    taps: usize,
    first: usize,
    base: i32,
    residue: usize,
}

#[cube]
fn axis(size: usize, padding: usize, residue: usize, #[comptime] form: Form) -> Axis {
    let kernel = comptime!(form.kernel);
    let stride = comptime!(form.stride);
    if comptime!(!form.adjoint) {
        Axis {
            pixels: size,
            taps: kernel.runtime(),
            first: 0usize.runtime(),
            base: 0i32.runtime() - i32::cast_from(padding),
            residue: 0usize.runtime(),
        }
    } else if comptime!(form.stride == 1) {
        Axis {
            pixels: size,
            taps: kernel.runtime(),
            first: 0usize.runtime(),
            base: i32::cast_from(padding),
            residue: 0usize.runtime(),
        }
    } else {
        let first = (residue + padding) % stride;
        let taps = (kernel + stride - 1 - first) / stride;
        let pixels = (size + stride - 1 - residue) / stride;
        let base = i32::cast_from((residue + padding - first) / stride);
        Axis { pixels, taps, first, base, residue }
    }
}

/// Where a column of the product lies.
#[derive(CubeType, Clone, Copy)]
struct Pixel {
    exists: bool,
    image: usize,
    /// Within the residues.
    row: usize,
    column: usize,
}

#[cube]
fn pixel(number: usize, batch: usize, rows: &Axis, columns: &Axis) -> Pixel {
    let plane = rows.pixels * columns.pixels;
    let exists = number < batch * plane;
    let known = select(exists, number, 0usize.runtime());
    let within = known % plane;
    Pixel {
        exists,
        image: known / plane,
        row: within / columns.pixels,
        column: within % columns.pixels,
    }
}

#[cube(launch_unchecked)]
fn convolve_kernel<E: Float, O: Float>(
    x: &[E],
    w: &[E],
    scale: &[E],
    bias: &[E],
    other: &[E],
    out: &mut [O],
    sizes: &Sizes,
    finish: &Finish,
    #[comptime] form: Form,
    #[define(E, O)] _elements: [ElemType; 2],
) {
    let tile = comptime!(form.tile);
    let unit = UNIT_POS as usize;
    let phase = CUBE_POS_X as usize / sizes.splits;
    let split = CUBE_POS_X as usize % sizes.splits;
    let row_residue = phase / comptime!(form.stride);
    let column_residue = phase % comptime!(form.stride);
    let rows = axis(sizes.out_height, sizes.padding, row_residue, form);
    let columns = axis(sizes.out_width, sizes.padding, column_residue, form);
    let taps = rows.taps * columns.taps;
    let terms = sizes.channels * taps;
    let strips = terms.div_ceil(DEPTH);
    let each = strips.div_ceil(sizes.splits);
    let first_strip = split * each;
    let last_strip = select(first_strip + each < strips, first_strip + each, strips);

    let tiles = sizes.out_channels.div_ceil(comptime!(tile.rows()));
    let first_row = line() % tiles * comptime!(tile.rows());
    let first_pixel = line() / tiles * comptime!(tile.columns());

    // Of the left strip a unit fills one column, of the right strip always the same four columns.
    let left_k = unit % DEPTH;
    let right_four = unit % comptime!(tile.columns() / 4);
    let plane = sizes.height * sizes.width;
    let mut sources = Array::<i32>::new(8usize);
    let mut images = Array::<usize>::new(4usize);
    let mut exist = Array::<u32>::new(4usize);
    #[unroll]
    for lane in 0..4usize {
        let at = pixel(first_pixel + right_four * 4 + lane, sizes.batch, &rows, &columns);
        let step = comptime!(if form.adjoint { 1i32 } else { form.stride as i32 });
        sources[lane * 2] = rows.base + i32::cast_from(at.row) * step;
        sources[lane * 2 + 1] = columns.base + i32::cast_from(at.column) * step;
        images[lane] = at.image * sizes.channels;
        exist[lane] = u32::cast_from(at.exists);
    }

    let mut work = Work::new(tile);
    for strip in first_strip..last_strip {
        // Left: the weights of one term for four output channels at a time.
        let term = strip * DEPTH + left_k;
        let channel = term / taps;
        let tap = term % taps;
        let row_tap =
            rows.first + tap / columns.taps * comptime!(if form.adjoint { form.stride } else { 1 });
        let column_tap = columns.first
            + tap % columns.taps * comptime!(if form.adjoint { form.stride } else { 1 });
        let weight = channel * sizes.channel_stride + row_tap * comptime!(form.kernel) + column_tap;
        #[unroll]
        for i in 0..comptime!((DEPTH * tile.rows() / 4).div_ceil(UNITS)) {
            let four = unit / DEPTH + i * comptime!(UNITS / DEPTH);
            if four < comptime!(tile.rows() / 4) {
                let mut values = Four::empty();
                #[unroll]
                for lane in 0..4usize {
                    let row = first_row + four * 4 + lane;
                    let exists = term < terms && row < sizes.out_channels;
                    let at = select(exists, weight + row * sizes.row_stride, 0usize.runtime());
                    values.insert(lane, select(exists, f32::cast_from(w[at]), 0.0f32.runtime()));
                }
                work.left[left_k * comptime!(tile.left_stride()) + four] = values;
            }
        }
        // Right: the pixels that one term reads for four columns.
        #[unroll]
        for i in 0..comptime!(DEPTH * tile.columns() / 4 / UNITS) {
            let k =
                unit / comptime!(tile.columns() / 4) + i * comptime!(UNITS / (tile.columns() / 4));
            let term = strip * DEPTH + k;
            let channel = term / taps;
            let tap = term % taps;
            let down = i32::cast_from(tap / columns.taps);
            let along = i32::cast_from(tap % columns.taps);
            let mut values = Four::empty();
            #[unroll]
            for lane in 0..4usize {
                let row = if comptime!(form.adjoint) {
                    sources[lane * 2] - down
                } else {
                    sources[lane * 2] + down
                };
                let column = if comptime!(form.adjoint) {
                    sources[lane * 2 + 1] - along
                } else {
                    sources[lane * 2 + 1] + along
                };
                let exists = term < terms
                    && exist[lane] != 0
                    && row >= 0
                    && row < i32::cast_from(sizes.height)
                    && column >= 0
                    && column < i32::cast_from(sizes.width);
                let image_plane = select(exists, images[lane] + channel, 0usize.runtime());
                let within = row * i32::cast_from(sizes.width) + column;
                let at =
                    image_plane * plane + usize::cast_from(select(exists, within, 0i32.runtime()));
                let value = f32::cast_from(x[at]);
                let value = if comptime!(form.scaled) {
                    value * f32::cast_from(scale[image_plane])
                } else {
                    value
                };
                values.insert(lane, select(exists, value, 0.0f32.runtime()));
            }
            work.right[k * comptime!(tile.right_stride()) + right_four] = values;
        }
        sync_cube();
        work.multiply();
        sync_cube();
    }

    let out_plane = sizes.out_height * sizes.out_width;
    let part = split * sizes.batch * sizes.out_channels * out_plane;
    let stride = comptime!(if form.adjoint { form.stride } else { 1 });
    #[unroll]
    for j in 0..comptime!(tile.each[1] / 4) {
        let four = unit % comptime!(tile.units[1]) + comptime!(j * tile.units[1]);
        let mut images = Array::<usize>::new(4usize);
        let mut places = Array::<usize>::new(4usize);
        let mut exist = Array::<u32>::new(4usize);
        #[unroll]
        for lane in 0..4usize {
            let at = pixel(first_pixel + four * 4 + lane, sizes.batch, &rows, &columns);
            let row = at.row * stride + rows.residue;
            let column = at.column * stride + columns.residue;
            images[lane] = at.image * sizes.out_channels;
            places[lane] = part + row * sizes.out_width + column;
            exist[lane] = u32::cast_from(at.exists);
        }
        #[unroll]
        for i in 0..comptime!(tile.each[0]) {
            let four = unit / comptime!(tile.units[1]) + comptime!(i / 4 * tile.units[0]);
            let channel = first_row + four * 4 + comptime!(i % 4);
            if channel < sizes.out_channels {
                let sums = work.sums[comptime!(i * (tile.each[1] / 4) + j)];
                let values = if comptime!(form.divided) {
                    sums
                } else {
                    let bias = if comptime!(finish.biased) {
                        f32::cast_from(bias[channel])
                    } else {
                        0.0f32.runtime()
                    };
                    finished::<Const<4>>(sums, bias, finish)
                };
                #[unroll]
                for lane in 0..4usize {
                    if exist[lane] != 0 {
                        let to = (images[lane] + channel) * out_plane + places[lane];
                        let value = values.extract(lane);
                        let value = if comptime!(finish.added && !form.divided) {
                            value + f32::cast_from(other[to])
                        } else {
                            value
                        };
                        out[to] = O::cast_from(value);
                    }
                }
            }
        }
    }
}

/// The product of images x `[N, C, …]` and a weight, and with `adjoint` that of the adjoint.
///
/// `scale` `[N, C]` multiplies the planes of x. The factor of the weight that `conv` has is part of
/// the epilogue.
pub fn convolve(
    x: Floats,
    scale: Option<Floats>,
    w: Floats,
    (conv, adjoint): (Conv, bool),
    epilogue: &Epilogue,
) -> Floats {
    let (x, w) = (contiguous(x), contiguous(w));
    let scaled = scale.is_some();
    let scale = scale.map_or_else(|| w.clone(), contiguous);
    let [n, c, h, width] = dims(&x);
    let [first, second, k, _] = dims::<4>(&w);
    let [oh, ow] = if adjoint { conv.filtered() } else { conv.output() };
    // The weight is [O, I, k, k], or swapped; the convolution's outputs are rows, its adjoint's inputs.
    let rows_first = adjoint == conv.swapped;
    let m = if rows_first { first } else { second };
    let (row_stride, channel_stride) =
        if rows_first { (c * k * k, k * k) } else { (k * k, m * k * k) };
    let phases = if adjoint { conv.stride * conv.stride } else { 1 };
    let pixels = n
        * oh.div_ceil(if adjoint { conv.stride } else { 1 })
        * ow.div_ceil(if adjoint { conv.stride } else { 1 });
    let tile = Tile::of(m, pixels * phases);
    let tiles = m.div_ceil(tile.rows()) * pixels.div_ceil(tile.columns());
    let splits = splits(tiles * phases, c * k * k / phases);
    let form = Form { tile, kernel: k, stride: conv.stride, adjoint, scaled, divided: splits > 1 };
    let shape = [n, m, oh, ow];
    let out = if splits == 1 { empty(&x, shape) } else { empty_f32(&x, [splits, n * m * oh * ow]) };
    let sizes = SizesLaunch::new(
        n,
        c,
        h,
        width,
        m,
        oh,
        ow,
        conv.padding,
        row_stride,
        channel_stride,
        splits,
    );
    let (client, elements) = (x.client.clone(), [element(&x), element(&out)]);
    let like = x.clone();
    let (finish, [bias, other]) = epilogue.args(&x);
    // SAFETY: every read is checked against the sizes of x and w, every write against those of the
    // result.
    unsafe {
        convolve_kernel::launch_unchecked(
            &client,
            grid(phases * splits, tiles),
            CubeDim::new_1d(UNITS as u32),
            x.into_buffer_arg(),
            w.into_buffer_arg(),
            scale.into_buffer_arg(),
            bias.into_buffer_arg(),
            other.into_buffer_arg(),
            out.clone().into_buffer_arg(),
            sizes,
            finish,
            form,
            elements,
        );
    }
    match splits {
        1 => out,
        _ => joined(out, splits, &like, shape, (m, oh * ow), epilogue),
    }
}
