//! Convolution, its adjoint and its weight gradient as products of matrices that are never stored:
//! units read their elements of the patches while they fill shared memory.
//!
//! Images stay `[N, C, H, W]` throughout, so no layout is ever changed. Columns of the product are
//! pixels, which lie next to each other in memory; rows are channels. Where a product has few tiles
//! and long sums, the sums are divided among cubes (split K), and a second kernel adds the parts in a
//! fixed order.

use cubecl::prelude::*;

use super::gemm::{DEPTH, Four, Tile, UNITS, Work};
use super::launch::{Floats, contiguous, dims, element, empty, empty_f32, grid, line};
use super::planes::{Act, act_arg, activate};
use crate::kernels::spec::{Activation, Conv};

/// Cubes that keep a large GPU busy; sums are divided until there are about as many.
const CUBES: usize = 256;
/// Strips of a divided sum at least: fewer take less time than the launch that adds the parts.
const STRIPS: usize = 64;

/// The sizes of a convolution of images with C channels to images with M.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
struct Sizes {
    batch: usize,
    /// C, height and width of the images that are read.
    channels: usize,
    height: usize,
    width: usize,
    /// M, height and width of the images that are written.
    out_channels: usize,
    out_height: usize,
    out_width: usize,
    padding: usize,
    /// Distance of the weights of neighbouring M, and of neighbouring C.
    row_stride: usize,
    channel_stride: usize,
    /// Parts that each sum is divided into.
    splits: usize,
}

/// What happens to a finished sum: a factor, a bias and an activation, then another summand.
#[derive(Clone)]
pub struct Epilogue {
    /// Factor of the sum.
    pub gain: f32,
    /// Factor of the bias.
    pub bias_gain: f32,
    /// The bias of each channel.
    pub bias: Option<Floats>,
    /// The activation.
    pub act: Activation,
    /// A tensor of the result's shape that is added.
    pub other: Option<Floats>,
}

impl Epilogue {
    /// Only a factor.
    pub fn gain(gain: f32) -> Self {
        Self { gain, bias_gain: 0.0, bias: None, act: Activation::LINEAR, other: None }
    }

    /// The numbers that a kernel needs, and its buffers, for which any tensor stands in.
    fn args(&self, any: &Floats) -> (FinishLaunch, [Floats; 2]) {
        let (biased, added) = (self.bias.is_some(), self.other.is_some());
        let active = !self.act.is_identity();
        let act = act_arg(self.act);
        let finish = FinishLaunch::new(self.gain, self.bias_gain, act, biased, active, added);
        let buffer = |t: &Option<Floats>| t.clone().map_or_else(|| any.clone(), contiguous);
        (finish, [buffer(&self.bias), buffer(&self.other)])
    }
}

/// An [`Epilogue`] as a launch argument.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
struct Finish {
    gain: f32,
    bias_gain: f32,
    act: Act,
    #[cube(comptime)]
    biased: bool,
    #[cube(comptime)]
    active: bool,
    #[cube(comptime)]
    added: bool,
}

/// The result of a sum whose channel has this bias.
#[cube]
fn finished<N: Size>(sum: Vector<f32, N>, bias: f32, finish: &Finish) -> Vector<f32, N> {
    let scaled = sum * Vector::new(finish.gain);
    let biased = if comptime!(finish.biased) {
        scaled + Vector::new(bias * finish.bias_gain)
    } else {
        scaled
    };
    if comptime!(finish.active) { activate::<N>(biased, &finish.act) } else { biased }
}

/// What is known when the kernel is compiled.
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

/// The number of parts that a sum of `terms` is divided into, if a product has `tiles`.
fn splits(tiles: usize, terms: usize) -> usize {
    (CUBES / tiles.max(1)).min(terms / (DEPTH * STRIPS)).max(1)
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

#[cube(launch_unchecked)]
fn join_kernel<E: Float>(
    parts: &[f32],
    bias: &[E],
    other: &[E],
    out: &mut [E],
    length: usize,
    splits: usize,
    channels: usize,
    plane: usize,
    finish: &Finish,
    #[define(E)] _element: ElemType,
) {
    let at = (line() * CUBE_COUNT_X as usize + CUBE_POS_X as usize) * UNITS + UNIT_POS as usize;
    if at < length {
        let mut sum = 0.0f32.runtime();
        for split in 0..splits {
            sum += parts[split * length + at];
        }
        let bias = if comptime!(finish.biased) {
            f32::cast_from(bias[at / plane % channels])
        } else {
            0.0f32.runtime()
        };
        let sum = finished::<Const<1>>(Vector::<f32, Const<1>>::new(sum), bias, finish);
        let value = sum.extract(0usize);
        let value = if comptime!(finish.added) { value + f32::cast_from(other[at]) } else { value };
        out[at] = E::cast_from(value);
    }
}

/// The sum of the parts `[splits, elements]` → a tensor of `shape`, of the type of `like`, with the
/// epilogue for this number of channels and size of planes.
fn joined(
    parts: Floats,
    splits: usize,
    like: &Floats,
    shape: [usize; 4],
    (channels, plane): (usize, usize),
    epilogue: &Epilogue,
) -> Floats {
    let (finish, [bias, other]) = epilogue.args(like);
    let out = empty(like, shape);
    let length = shape.iter().product::<usize>();
    let cubes = length.div_ceil(UNITS);
    let along = cubes.min(1024);
    // SAFETY: each unit adds up one element.
    unsafe {
        join_kernel::launch_unchecked(
            &like.client,
            grid(along, cubes.div_ceil(along)),
            CubeDim::new_1d(UNITS as u32),
            parts.into_buffer_arg(),
            bias.into_buffer_arg(),
            other.into_buffer_arg(),
            out.clone().into_buffer_arg(),
            length,
            splits,
            channels,
            plane,
            finish,
            element(like),
        );
    }
    out
}

/// The sizes of a weight gradient.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
struct Weights {
    batch: usize,
    /// I, height and width of the convolution's input.
    channels: usize,
    height: usize,
    width: usize,
    /// O, height and width of its output.
    out_channels: usize,
    out_height: usize,
    out_width: usize,
    padding: usize,
    /// Distance of the weights of neighbouring O, and of neighbouring I.
    row_stride: usize,
    channel_stride: usize,
    splits: usize,
}

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
    sizes: &Weights,
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
        WeightsLaunch::new(n, i, h, w, o, oh, ow, conv.padding, row_stride, channel_stride, splits);
    let (client, elements) = (x.client.clone(), [element(&x), element(&out)]);
    let like = x.clone();
    // SAFETY: as above.
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
