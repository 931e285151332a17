//! Bilinear sampling along affine maps, and its adjoint.

use rayon::prelude::*;

use crate::kernels::spec::Warp;

/// Samples x `[N, C, H, W]` to y `[N, C, H', W']`.
pub fn forward(x: &[f32], warp: &Warp, y: &mut [f32]) {
    let [channels, input, output] = planes(warp, x.len(), y.len());
    if input == 0 || output == 0 {
        return y.fill(0.0);
    }
    y.par_chunks_mut(output).zip(x.par_chunks(input)).enumerate().for_each(|(plane, (y, x))| {
        let [height, width] = warp.input;
        for (i, row) in y.chunks_exact_mut(warp.output[1]).enumerate() {
            let line = Line::new(&warp.maps[plane / channels], i);
            for (j, y) in row.iter_mut().enumerate() {
                let at = line.sample(j);
                *y = match at.inside(height, width) {
                    Some(first) => {
                        let (upper, lower) = (&x[first..first + 2], &x[first + width..]);
                        let (upper, lower) = ([upper[0], upper[1]], [lower[0], lower[1]]);
                        at.mix([at.mix_columns(upper), at.mix_columns(lower)])
                    }
                    None => at.taps(height, width).map(|(k, weight)| x[k] * weight).sum(),
                };
            }
        }
    });
}

/// Adds every pixel of g `[N, C, H', W']` to the pixels of x `[N, C, H, W]` that it was sampled from.
///
/// A plane is one task, so the order of the sums is fixed.
pub fn adjoint(g: &[f32], warp: &Warp, x: &mut [f32]) {
    let [channels, input, output] = planes(warp, x.len(), g.len());
    if input == 0 || output == 0 {
        return x.fill(0.0);
    }
    x.par_chunks_mut(input).zip(g.par_chunks(output)).enumerate().for_each(|(plane, (x, g))| {
        let [height, width] = warp.input;
        x.fill(0.0);
        for (i, row) in g.chunks_exact(warp.output[1]).enumerate() {
            let line = Line::new(&warp.maps[plane / channels], i);
            for (j, &g) in row.iter().enumerate() {
                let at = line.sample(j);
                if let Some(first) = at.inside(height, width) {
                    let (upper, lower) = x[first..].split_at_mut(width);
                    let below = g * at.dy;
                    at.spread(g - below, upper);
                    at.spread(below, lower);
                } else {
                    at.taps(height, width).for_each(|(k, weight)| x[k] += g * weight);
                }
            }
        }
    });
}

/// The channels of an image, the pixels of an input plane and those of an output plane.
fn planes(warp: &Warp, x: usize, y: usize) -> [usize; 3] {
    let images = warp.maps.len();
    let (input, output): (usize, usize) =
        (warp.input.iter().product(), warp.output.iter().product());
    let channels = x / (images * input).max(1);
    assert_eq!(x, images * channels * input, "whole images of {:?}", warp.input);
    assert_eq!(y, images * channels * output, "whole images of {:?}", warp.output);
    [channels.max(1), input, output]
}

/// The positions in the input of one row of the output.
struct Line {
    start: [f32; 2],
    step: [f32; 2],
}

impl Line {
    fn new(&[xx, xy, x0, yx, yy, y0]: &[f32; 6], row: usize) -> Self {
        let i = row as f32;
        Self { start: [xy * i + x0, yy * i + y0], step: [xx, yx] }
    }

    #[inline]
    fn sample(&self, column: usize) -> Sample {
        let j = column as f32;
        let [x, y] = [self.start[0] + self.step[0] * j, self.start[1] + self.step[1] * j];
        let (left, top) = (floor(x), floor(y));
        Sample { left, top, dx: x - left as f32, dy: y - top as f32 }
    }
}

/// Rounds down. The baseline instruction set has no instruction for it, and the library's function is
/// slow.
#[inline]
fn floor(x: f32) -> i32 {
    let whole = x as i32;
    whole.saturating_sub(i32::from(whole as f32 > x))
}

/// A position between four pixels.
#[derive(Clone, Copy)]
struct Sample {
    left: i32,
    top: i32,
    dx: f32,
    dy: f32,
}

impl Sample {
    /// The index of the upper left pixel if all four lie inside.
    #[inline]
    fn inside(self, height: usize, width: usize) -> Option<usize> {
        // A negative number becomes a large one.
        let (left, top) = (self.left as u32 as usize, self.top as u32 as usize);
        (left + 1 < width && top + 1 < height).then(|| top * width + left)
    }

    /// The pixels that lie inside, with their weights.
    #[inline]
    fn taps(self, height: usize, width: usize) -> impl Iterator<Item = (usize, f32)> {
        let shares = [[1.0 - self.dx, self.dx], [1.0 - self.dy, self.dy]];
        [(0, 0), (1, 0), (0, 1), (1, 1)].into_iter().filter_map(move |(dx, dy)| {
            let column = usize::try_from(self.left.checked_add(dx)?).ok()?;
            let row = usize::try_from(self.top.checked_add(dy)?).ok()?;
            let share = shares[0][dx as usize] * shares[1][dy as usize];
            (column < width && row < height).then_some((row * width + column, share))
        })
    }

    /// Divides g between two neighbours in a row.
    #[inline]
    fn spread(self, g: f32, row: &mut [f32]) {
        let right = g * self.dx;
        row[0] += g - right;
        row[1] += right;
    }

    #[inline]
    fn mix_columns(self, [a, b]: [f32; 2]) -> f32 {
        a + (b - a) * self.dx
    }

    #[inline]
    fn mix(self, [a, b]: [f32; 2]) -> f32 {
        a + (b - a) * self.dy
    }
}
