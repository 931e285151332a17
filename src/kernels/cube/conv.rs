//! Convolution and its adjoint as products of matrices that are never stored: units read their
//! elements of the patches while they fill shared memory.
//!
//! Images stay `[N, C, H, W]` throughout, so no layout is ever changed. Columns of the product are
//! pixels, which lie next to each other in memory; rows are channels. See
//! [`split_sum`](super::split_sum) for products with few tiles and long sums.

use cubecl::prelude::*;

use super::arranged::{Weights, arranged};
use super::epilogue::{Epilogue, Finish, NoiseBuffers, factor, finished, noise, other_summand};
use super::filter::Filter;
use super::gemm::Work;
use super::launch::{Floats, contiguous, dims, element, empty, empty_f32, grid, line};
use super::pixels::{has_pixel, read};
use super::split_sum::{joined, splits};
use super::tile::{DEPTH, Four, Tile, UNITS, column};
use crate::kernels::spec::Conv;

/// Buffers that a launch with noise binds.
pub const BINDINGS: usize = 10;
/// Copying weights into the order in which they are read takes a launch, which is worth it for products
/// with more results than this.
const MANY_RESULTS: usize = 4 << 20;

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
    /// Of a weight gradient: distance of the weights of neighbouring M, and of neighbouring C.
    pub row_stride: usize,
    pub channel_stride: usize,
    /// Of arranged weights: C of each tap with padding, and fours of M with padding.
    pub padded_channels: usize,
    pub row_fours: usize,
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
    /// Whether the weights are read in the order of [`arranged`].
    arranged: bool,
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

/// The pixels of one pair of residues.
#[derive(CubeType, Clone, Copy)]
struct Phase {
    rows: Axis,
    columns: Axis,
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
fn pixel(number: usize, batch: usize, phase: &Phase) -> Pixel {
    let plane = phase.rows.pixels * phase.columns.pixels;
    let exists = number < batch * plane;
    let known = select(exists, number, 0usize.runtime());
    let within = known % plane;
    Pixel {
        exists,
        image: known / plane,
        row: within / phase.columns.pixels,
        column: within % phase.columns.pixels,
    }
}

/// The data of a unit about the four pixels whose columns it brings into shared memory.
#[derive(CubeType)]
struct Sources {
    /// Row and column that the first tap reads.
    corners: Array<i32>,
    images: Array<usize>,
    exist: Array<u32>,
}

/// A strip of the product: one tap of some channels. Channels come first, then taps, then strips of
/// the next channels, so that a unit divides by the number of taps once for each strip, not for each
/// term.
#[derive(CubeType, Clone, Copy)]
struct Strip {
    first_channel: usize,
    /// Of the taps that reach these pixels.
    down: usize,
    along: usize,
}

#[cube]
fn strip(number: usize, phase: &Phase) -> Strip {
    let columns = phase.columns.taps;
    let taps = phase.rows.taps * columns;
    let tap = number % taps;
    Strip { first_channel: number / taps * DEPTH, down: tap / columns, along: tap % columns }
}

/// Term and four of the left strip that a unit brings in step `i`. Neighbouring units bring
/// neighbouring rows of arranged weights, and neighbouring channels of others.
#[cube]
fn left_place(#[comptime] i: usize, #[comptime] form: Form) -> (usize, usize) {
    let number = UNIT_POS as usize + comptime!(i * UNITS);
    let fours = comptime!(form.tile.rows() / 4);
    if comptime!(form.arranged) {
        (number / fours, number % fours)
    } else {
        (number % DEPTH, number / DEPTH)
    }
}

/// The weights of a strip that a unit brings.
#[cube]
fn fetch_left(
    values: &mut Array<Four>,
    w: &[f32],
    arranged: &[Four],
    strip: &Strip,
    first_row: usize,
    phase: &Phase,
    sizes: &Sizes,
    #[comptime] form: Form,
) {
    let step = comptime!(if form.adjoint { form.stride } else { 1 });
    let row_tap = phase.rows.first + strip.down * step;
    let column_tap = phase.columns.first + strip.along * step;
    let tap = row_tap * comptime!(form.kernel) + column_tap;
    let first_term = tap * sizes.padded_channels + strip.first_channel;
    #[unroll]
    for i in 0..comptime!(form.tile.left_fours()) {
        let (term, four) = left_place(i, form);
        if comptime!(form.arranged) {
            if comptime!(form.tile.fills_left()) || term < DEPTH {
                values[i] = arranged[(first_term + term) * sizes.row_fours + first_row / 4 + four];
            }
        } else {
            let channel = strip.first_channel + term;
            let weight = channel * sizes.channel_stride + tap;
            let mut brought = Four::empty();
            #[unroll]
            for lane in 0..4usize {
                let row = first_row + four * 4 + lane;
                let exists = channel < sizes.channels && row < sizes.out_channels;
                let at = weight + row * sizes.row_stride;
                brought.insert(lane, read(w, at, w, at, exists, false));
            }
            values[i] = brought;
        }
    }
}

/// The pixels of a strip that a unit brings.
#[cube]
fn fetch_right<E: Float>(
    values: &mut Array<Four>,
    x: &[E],
    scale: &[f32],
    strip: &Strip,
    sources: &Sources,
    sizes: &Sizes,
    #[comptime] form: Form,
) {
    let fours = comptime!(form.tile.columns() / 4);
    let plane = sizes.height * sizes.width;
    let mut inside = Array::<u32>::new(4usize);
    let mut from = Array::<usize>::new(4usize);
    #[unroll]
    for lane in 0..4usize {
        let (down, along) = (i32::cast_from(strip.down), i32::cast_from(strip.along));
        let row = if comptime!(form.adjoint) {
            sources.corners[lane * 2] - down
        } else {
            sources.corners[lane * 2] + down
        };
        let column = if comptime!(form.adjoint) {
            sources.corners[lane * 2 + 1] - along
        } else {
            sources.corners[lane * 2 + 1] + along
        };
        let exists = sources.exist[lane] != 0 && has_pixel(row, column, sizes.height, sizes.width);
        inside[lane] = u32::cast_from(exists);
        let within = select(exists, row * i32::cast_from(sizes.width) + column, 0i32.runtime());
        from[lane] = sources.images[lane] * plane + usize::cast_from(within);
    }
    #[unroll]
    for i in 0..comptime!(form.tile.right_fours()) {
        let term = UNIT_POS as usize / fours + comptime!(i * UNITS / fours);
        let channel = strip.first_channel + term;
        let mut brought = Four::empty();
        #[unroll]
        for lane in 0..4usize {
            let exists = inside[lane] != 0 && channel < sizes.channels;
            let at = from[lane] + channel * plane;
            let image_plane = sources.images[lane] + channel;
            brought.insert(lane, read(x, at, scale, image_plane, exists, form.scaled));
        }
        values[i] = brought;
    }
}

#[cube(launch_unchecked)]
fn convolve_kernel<E: Float, R: Float, O: Float>(
    x: &[E],
    w: &[f32],
    arranged: &[Four],
    scale: &[f32],
    bias: &[f32],
    other: &[R],
    filters: &Sequence<Filter>,
    noises: &mut Sequence<NoiseBuffers>,
    out: &mut [O],
    sizes: &Sizes,
    finish: &Finish,
    #[comptime] form: Form,
    #[define(E, R, O)] _elements: [ElemType; 3],
) {
    let tile = comptime!(form.tile);
    let residues = CUBE_POS_X as usize / sizes.splits;
    let split = CUBE_POS_X as usize % sizes.splits;
    let phase = Phase {
        rows: axis(sizes.out_height, sizes.padding, residues / comptime!(form.stride), form),
        columns: axis(sizes.out_width, sizes.padding, residues % comptime!(form.stride), form),
    };
    let strips = sizes.channels.div_ceil(DEPTH) * phase.rows.taps * phase.columns.taps;
    let each = strips.div_ceil(sizes.splits);
    let first_strip = split * each;
    let last_strip = select(first_strip + each < strips, first_strip + each, strips);

    let tiles = sizes.out_channels.div_ceil(comptime!(tile.rows()));
    let first_row = line() % tiles * comptime!(tile.rows());
    let first_pixel = line() / tiles * comptime!(tile.columns());

    // Of the right strip a unit always brings the same four columns.
    let right_fours = comptime!(tile.columns() / 4);
    let right_four = UNIT_POS as usize % right_fours;
    let mut sources = Sources {
        corners: Array::<i32>::new(8usize),
        images: Array::<usize>::new(4usize),
        exist: Array::<u32>::new(4usize),
    };
    #[unroll]
    for lane in 0..4usize {
        let number = first_pixel + column(right_four, lane, tile);
        let at = pixel(number, sizes.batch, &phase);
        let step = comptime!(if form.adjoint { 1i32 } else { form.stride as i32 });
        sources.corners[lane * 2] = phase.rows.base + i32::cast_from(at.row) * step;
        sources.corners[lane * 2 + 1] = phase.columns.base + i32::cast_from(at.column) * step;
        sources.images[lane] = at.image * sizes.channels;
        sources.exist[lane] = u32::cast_from(at.exists);
    }

    let mut work = Work::new(tile);
    let mut left = Array::<Four>::new(comptime!(tile.left_fours()));
    let mut right = Array::<Four>::new(comptime!(tile.right_fours()));
    // A part beyond the last strip reads something that it does not use.
    let first = strip(select(first_strip < strips, first_strip, 0usize.runtime()), &phase);
    fetch_left(&mut left, w, arranged, &first, first_row, &phase, sizes, form);
    fetch_right(&mut right, x, scale, &first, &sources, sizes, form);
    for number in first_strip..last_strip {
        #[unroll]
        for i in 0..comptime!(tile.left_fours()) {
            let (term, four) = left_place(i, form);
            if comptime!(tile.fills_left()) || (term < DEPTH && four < comptime!(tile.rows() / 4)) {
                work.put_left(term, four, left[i]);
            }
        }
        #[unroll]
        for i in 0..comptime!(tile.right_fours()) {
            let term = UNIT_POS as usize / right_fours + comptime!(i * UNITS / right_fours);
            work.put_right(term, right_four, right[i]);
        }
        sync_cube();
        // The next strip is on its way while this one is multiplied. After the last, the first is
        // read again and not used.
        let next = strip(select(number + 1 < last_strip, number + 1, first_strip), &phase);
        fetch_left(&mut left, w, arranged, &next, first_row, &phase, sizes, form);
        fetch_right(&mut right, x, scale, &next, &sources, sizes, form);
        work.multiply();
        sync_cube();
    }

    let out_plane = sizes.out_height * sizes.out_width;
    let part = split * sizes.batch * sizes.out_channels * out_plane;
    let stride = comptime!(if form.adjoint { form.stride } else { 1 });
    #[unroll]
    for across in 0..comptime!(tile.column_groups()) {
        let four = work.column_four(across);
        let mut images = Array::<usize>::new(4usize);
        let mut places = Array::<usize>::new(4usize);
        let mut exist = Array::<u32>::new(4usize);
        let mut added = Four::new(0.0f32);
        #[unroll]
        for lane in 0..4usize {
            let number = first_pixel + column(four, lane, tile);
            let at = pixel(number, sizes.batch, &phase);
            let row = at.row * stride + phase.rows.residue;
            let column = at.column * stride + phase.columns.residue;
            let within = row * sizes.out_width + column;
            images[lane] = at.image * sizes.out_channels;
            places[lane] = part + within;
            exist[lane] = u32::cast_from(at.exists);
            if comptime!(finish.noisy && !form.divided) {
                added.insert(lane, noise(noises, at.image, within, out_plane, finish.shared));
            }
        }
        #[unroll]
        for down in 0..comptime!(tile.row_groups()) {
            work.open_group(down, across);
            #[unroll]
            for number in 0..comptime!(tile.group()) {
                let channel = first_row + work.row(down, number);
                if channel < sizes.out_channels {
                    let sums = work.result(across, number);
                    let values = if comptime!(form.divided) {
                        sums
                    } else {
                        let bias =
                            if comptime!(finish.biased) { bias[channel] } else { 0.0f32.runtime() };
                        let mut factors = Four::new(1.0f32);
                        if comptime!(finish.noisy) {
                            #[unroll]
                            for lane in 0..4usize {
                                factors.insert(lane, factor(noises, images[lane] + channel));
                            }
                        }
                        finished::<Const<4>>(sums, factors, added, bias, finish)
                    };
                    #[unroll]
                    for lane in 0..4usize {
                        if exist[lane] != 0 {
                            let to = (images[lane] + channel) * out_plane + places[lane];
                            let value = values.extract(lane);
                            let value = if comptime!(finish.added && !form.divided) {
                                let summand = other_summand(
                                    other,
                                    filters,
                                    images[lane] + channel,
                                    places[lane],
                                    out_plane,
                                    sizes.out_width,
                                    finish.resampled,
                                );
                                value + summand
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
}

/// The product of images x `[N, C, …]` and a weight, and with `adjoint` that of the adjoint.
///
/// `scale` `[N, C]` multiplies the planes of x. The factor of the weight that `conv` has is part of
/// the epilogue. The result has the type of x, or of the tensor that the epilogue adds.
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
    let like = epilogue.other.clone().unwrap_or_else(|| x.clone());
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
    let tile = Tile::of_convolution(&x, m, pixels * phases, k * k);
    let tiles = m.div_ceil(tile.rows()) * pixels.div_ceil(tile.columns());
    let splits = splits(tiles * phases, c * k * k / phases);
    let form = Form {
        tile,
        kernel: k,
        stride: conv.stride,
        adjoint,
        arranged: k > 1 && m * pixels * phases > MANY_RESULTS,
        scaled,
        divided: splits > 1,
    };
    let shape = [n, m, oh, ow];
    let out =
        if splits == 1 { empty(&like, shape) } else { empty_f32(&x, [splits, n * m * oh * ow]) };
    let weights = Weights { rows: m, channels: c, taps: k * k, row_stride, channel_stride };
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
        weights.padded_channels(),
        weights.row_fours(tile),
        splits,
    );
    let arranged =
        if form.arranged { arranged(w.clone(), &weights, tile) } else { empty_f32(&x, [4]) };
    let (client, elements) = (x.client.clone(), [&x, &like, &out].map(element));
    let (finish, [bias, other]) = epilogue.args(&w);
    // SAFETY: every read is checked against the sizes of x and w, every write against those of the
    // result.
    unsafe {
        convolve_kernel::launch_unchecked(
            &client,
            grid(phases * splits, tiles),
            CubeDim::new_1d(UNITS as u32),
            x.into_buffer_arg(),
            w.into_buffer_arg(),
            arranged.into_buffer_arg(),
            scale.into_buffer_arg(),
            bias.into_buffer_arg(),
            other.into_buffer_arg(),
            // Another kernel finishes a divided sum.
            epilogue.filters().filter(|_| splits == 1).collect(),
            epilogue.noises().filter(|_| splits == 1).collect(),
            out.clone().into_buffer_arg(),
            sizes,
            finish,
            form,
            elements,
        );
    }
    match splits {
        1 => out,
        _ => joined(out, splits, &like, shape, [m, oh, ow], epilogue),
    }
}
