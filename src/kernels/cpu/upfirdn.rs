//! Zero insertion, padding, FIR filter, decimation.

use rayon::prelude::*;

use super::blocks::share;
use super::fir::{Axis, Filter};
use super::isa::kernels;
use super::planes::{Planes, lanes};
use super::scratch::{Scratch, Shared};
use super::simd::LANES;

/// Pixels of a task: three strips of them, of 16 lanes, share a second-level cache.
const PIXELS: usize = 4096;

/// Per axis (x first): insert `up − 1` zeros after every pixel, pad (a negative amount crops),
/// filter, keep every `down`-th pixel. The filter is separable; the taps are those of one axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct UpFirDn {
    pub up: [usize; 2],
    pub down: [usize; 2],
    /// Left, right, top, bottom.
    pub pad: [i32; 4],
    /// Correlate with the taps as given; otherwise convolve, that is, with the taps reversed.
    pub flip: bool,
    /// Factor of the whole (not of each axis).
    pub gain: f32,
}

impl UpFirDn {
    /// (H', W') for planes of (h, w) and a filter of `taps`. 0 where nothing is left.
    pub fn output_size(&self, h: usize, w: usize, taps: usize) -> (usize, usize) {
        let size = |n: usize, axis: usize, a: i32, b: i32| {
            let padded = (n * self.up[axis]) as i64 + i64::from(a) + i64::from(b);
            let valid = padded - taps as i64 + 1;
            if valid < 1 { 0 } else { (valid as usize).div_ceil(self.down[axis]) }
        };
        (size(h, 1, self.pad[2], self.pad[3]), size(w, 0, self.pad[0], self.pad[1]))
    }

    /// The operation whose matrix is this one's transpose, for planes of (h, w): its gradient.
    pub fn adjoint(&self, h: usize, w: usize, taps: usize) -> Self {
        let (oh, ow) = self.output_size(h, w, taps);
        let pads = |n: usize, out: usize, axis: usize, a: i32| {
            let before = taps as i32 - 1 - a;
            let after = (n * self.up[axis]) as i32 - (out * self.down[axis]) as i32 + a
                - self.up[axis] as i32
                + 1;
            [before, after]
        };
        let [left, right] = pads(w, ow, 0, self.pad[0]);
        let [top, bottom] = pads(h, oh, 1, self.pad[2]);
        Self {
            up: self.down,
            down: self.up,
            pad: [left, right, top, bottom],
            flip: !self.flip,
            gain: self.gain,
        }
    }
}

/// y [planes, H', W'] from x [planes, h, w]; see [`UpFirDn::output_size`].
///
/// Sixteen planes at a time, pixel by pixel: no size or rate is special that way.
pub fn upfirdn2d(p: &UpFirDn, h: usize, w: usize, taps: &[f32], x: &[f32], y: &mut [f32]) {
    let (oh, ow) = p.output_size(h, w, taps.len());
    let planes = x.len() / (h * w).max(1);
    assert_eq!(x.len(), planes * h * w, "whole planes of {h}×{w}");
    assert_eq!(y.len(), planes * oh * ow, "whole planes of {oh}×{ow}");
    if y.is_empty() {
        return;
    }
    let mut taps = taps.to_vec();
    if !p.flip {
        taps.reverse();
    }
    let across = Axis::new(&taps, [p.up[0], p.down[0]], p.pad[0], w, ow);
    taps.iter_mut().for_each(|t| *t *= p.gain);
    let along = Axis::new(&taps, [p.up[1], p.down[1]], p.pad[2], h, oh);
    let k = kernels();
    let rows = (PIXELS / w.max(ow)).clamp(1, oh);
    let (groups, parts) = (planes.div_ceil(LANES), oh.div_ceil(rows));
    let y = Shared::new(y);
    (0..groups * parts).into_par_iter().for_each(|task| {
        let (first, rows) = (task / parts * LANES, share(oh, parts, task % parts));
        let sources = along.sources(rows.clone());
        let (from_row, to_row) = (Axis::line(w), Axis::line(ow));
        let mut strip = Scratch::new(sources.len() * from_row);
        let mut filtered = Scratch::new(sources.len() * to_row);
        let mut out = Scratch::new(rows.len() * to_row);
        let at = (first * h + sources.start) * w;
        let load = Planes {
            plane: x[at..].as_ptr().cast_mut(),
            plane_stride: h * w,
            channels: lanes(planes, first / LANES),
            pixels: sources.len() * w,
            width: w,
            lanes: strip.as_mut_ptr(),
            lane_stride: LANES,
            lane_row: from_row,
            scale: std::ptr::null(),
            readable: x.len() - at,
        };
        let horizontal = Filter {
            axis: &across,
            outputs: 0..ow,
            from: strip.as_ptr(),
            origin: 0,
            from_step: LANES,
            from_line: from_row,
            to: filtered.as_mut_ptr(),
            to_step: LANES,
            to_line: to_row,
            lines: sources.len(),
        };
        let vertical = Filter {
            axis: &along,
            outputs: rows.clone(),
            from: filtered.as_ptr(),
            origin: sources.start,
            from_step: to_row,
            from_line: LANES,
            to: out.as_mut_ptr(),
            to_step: to_row,
            to_line: LANES,
            lines: ow,
        };
        let store = Planes {
            plane: y.at((first * oh + rows.start) * ow),
            plane_stride: oh * ow,
            pixels: rows.len() * ow,
            width: ow,
            lanes: out.as_mut_ptr(),
            lane_row: to_row,
            readable: 0,
            ..load
        };
        // SAFETY: the strips have these rows; only this task writes these rows of these planes.
        unsafe {
            (k.load)(&load);
            (k.filter)(&horizontal);
            (k.filter)(&vertical);
            (k.store)(&store);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::cpu::testing::{close, dot, random};

    /// The definition: insert zeros, pad, correlate in two dimensions, subsample.
    fn naive(p: &UpFirDn, h: usize, w: usize, taps: &[f32], x: &[f32]) -> Vec<f32> {
        let (oh, ow) = p.output_size(h, w, taps.len());
        let (uh, uw) = ((h * p.up[1]) as i32, (w * p.up[0]) as i32);
        let n = taps.len();
        let tap = |k: usize| f64::from(if p.flip { taps[k] } else { taps[n - 1 - k] });
        let mut y = Vec::new();
        for x in x.chunks_exact(h * w) {
            let pixel = |v: i32, u: i32| {
                let (dy, dx) = (p.up[1] as i32, p.up[0] as i32);
                let there = v >= 0 && u >= 0 && v < uh && u < uw && v % dy == 0 && u % dx == 0;
                if there { f64::from(x[(v / dy) as usize * w + (u / dx) as usize]) } else { 0.0 }
            };
            for i in 0..oh {
                for j in 0..ow {
                    let mut sum = 0.0;
                    for ky in 0..n {
                        for kx in 0..n {
                            let v = (i * p.down[1] + ky) as i32 - p.pad[2];
                            let u = (j * p.down[0] + kx) as i32 - p.pad[0];
                            sum += tap(ky) * tap(kx) * pixel(v, u);
                        }
                    }
                    y.push((sum * f64::from(p.gain)) as f32);
                }
            }
        }
        y
    }

    fn cases() -> impl Iterator<Item = (UpFirDn, usize, usize, Vec<f32>)> {
        let sizes = [(1, 1), (4, 4), (5, 9), (16, 16), (17, 33), (3, 40)];
        let rates = [
            ([1, 1], [1, 1]),
            ([2, 2], [1, 1]),
            ([1, 1], [2, 2]),
            ([2, 1], [1, 3]),
            ([3, 2], [2, 1]),
        ];
        let pads = [
            [0, 0, 0, 0],
            [1, 1, 1, 1],
            [2, 1, 2, 1],
            [6, 5, 6, 5],
            [-1, -1, -1, -1],
            [3, -2, -1, 4],
        ];
        sizes.into_iter().flat_map(move |(h, w)| {
            rates.into_iter().flat_map(move |(up, down)| {
                pads.into_iter().flat_map(move |pad| {
                    [1, 4, 12, 7].into_iter().map(move |taps| {
                        let p = UpFirDn { up, down, pad, flip: taps % 2 == 0, gain: 1.5 };
                        (p, h, w, random(taps as u64, taps))
                    })
                })
            })
        })
    }

    #[test]
    fn agrees_with_the_definition() {
        for (p, h, w, taps) in cases() {
            let x = random(1, 3 * h * w);
            let expected = naive(&p, h, w, &taps, &x);
            let mut y = vec![f32::NAN; expected.len()];
            upfirdn2d(&p, h, w, &taps, &x, &mut y);
            close(&y, &expected, 1e-5, &format!("{p:?} {h}×{w}, {} taps", taps.len()));
        }
    }

    #[test]
    fn adjoint_is_the_transpose() {
        for (p, h, w, taps) in cases() {
            let (oh, ow) = p.output_size(h, w, taps.len());
            if oh * ow == 0 {
                continue;
            }
            let back = p.adjoint(h, w, taps.len());
            let what = format!("{p:?} {h}×{w}, {} taps", taps.len());
            assert_eq!(back.output_size(oh, ow, taps.len()), (h, w), "{what}");
            let (x, g) = (random(1, h * w), random(2, oh * ow));
            let (mut y, mut gx) = (vec![0.0; oh * ow], vec![0.0; h * w]);
            upfirdn2d(&p, h, w, &taps, &x, &mut y);
            upfirdn2d(&back, oh, ow, &taps, &g, &mut gx);
            let (a, b) = (dot(&y, &g), dot(&x, &gx));
            assert!((a - b).abs() <= 1e-4 * (1.0 + a.abs()), "{what}: {a} {b}");
        }
    }
}
