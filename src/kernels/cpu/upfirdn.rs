//! Resampling of planes: zero insertion, padding, FIR filter, decimation.

use rayon::prelude::*;

use super::blocks::share;
use super::scratch::{Scratch, Shared, written};
use super::table::table;
use super::vector::fir::{Axis, Filter};
use super::vector::planes::{Planes, lanes};
use super::vector::simd::LANES;
use crate::kernels::spec::Fir;

/// Pixels of a task: three strips of so many, with 16 lanes each, fit a second-level cache.
const PIXELS: usize = 4096;

/// y `[planes, H', W']` from x `[planes, h, w]`; see [`Fir::output`].
///
/// Sixteen planes are filtered together, one in each lane, so that no size or rate is a special case.
pub fn upfirdn2d(fir: &Fir, [h, w]: [usize; 2], x: &[f32]) -> Vec<f32> {
    let [oh, ow] = fir.output([h, w]);
    let planes = x.len() / (h * w).max(1);
    assert_eq!(x.len(), planes * h * w, "whole planes of {h}×{w}");
    let len = planes * oh * ow;
    if len == 0 {
        return Vec::new();
    }
    // SAFETY: the tasks cover y.
    unsafe { written(len, |y| filter(fir, [h, w], [oh, ow], x, y)) }
}

/// Computes y `[planes, oh, ow]`, which is not empty.
fn filter(fir: &Fir, [h, w]: [usize; 2], [oh, ow]: [usize; 2], x: &[f32], y: Shared) {
    let planes = x.len() / (h * w);
    let mut taps = fir.taps.to_vec();
    if !fir.flip {
        taps.reverse();
    }
    let rate = [fir.up, fir.down];
    let across = Axis::new(&taps, rate, fir.pad[1][0], w, ow);
    taps.iter_mut().for_each(|t| *t *= fir.gain);
    let along = Axis::new(&taps, rate, fir.pad[0][0], h, oh);
    let k = table();
    let rows = (PIXELS / w.max(ow)).clamp(1, oh);
    let (groups, parts) = (planes.div_ceil(LANES), oh.div_ceil(rows));
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
    fn naive(fir: &Fir, [h, w]: [usize; 2], x: &[f32]) -> Vec<f32> {
        let [oh, ow] = fir.output([h, w]);
        let (up, n) = (fir.up as i32, fir.taps.len());
        let (uh, uw) = (h as i32 * up, w as i32 * up);
        let tap = |k: usize| f64::from(fir.taps[if fir.flip { k } else { n - 1 - k }]);
        let mut y = Vec::new();
        for x in x.chunks_exact(h * w) {
            let pixel = |v: i32, u: i32| {
                let there = v >= 0 && u >= 0 && v < uh && u < uw && v % up == 0 && u % up == 0;
                if there { f64::from(x[(v / up) as usize * w + (u / up) as usize]) } else { 0.0 }
            };
            for i in 0..oh {
                for j in 0..ow {
                    let mut sum = 0.0;
                    for ky in 0..n {
                        for kx in 0..n {
                            let v = (i * fir.down + ky) as i32 - fir.pad[0][0];
                            let u = (j * fir.down + kx) as i32 - fir.pad[1][0];
                            sum += tap(ky) * tap(kx) * pixel(v, u);
                        }
                    }
                    y.push((sum * f64::from(fir.gain)) as f32);
                }
            }
        }
        y
    }

    fn cases() -> impl Iterator<Item = (Fir, [usize; 2])> {
        let sizes = [[1, 1], [4, 4], [5, 9], [16, 16], [17, 33], [3, 40]];
        let rates = [(1, 1), (2, 1), (1, 2), (1, 3), (3, 2), (2, 3)];
        // Top and bottom, left and right.
        let pads = [
            [[0, 0], [0, 0]],
            [[1, 1], [1, 1]],
            [[2, 1], [2, 1]],
            [[6, 5], [6, 5]],
            [[-1, -1], [-1, -1]],
            [[-1, 4], [3, -2]],
        ];
        sizes.into_iter().flat_map(move |size| {
            rates.into_iter().flat_map(move |(up, down)| {
                pads.into_iter().flat_map(move |pad| {
                    [1, 4, 12, 7].into_iter().map(move |n| {
                        let taps = random(n as u64, n).into();
                        (Fir { taps, up, down, pad, flip: n % 2 == 0, gain: 1.5 }, size)
                    })
                })
            })
        })
    }

    #[test]
    fn agrees_with_the_definition() {
        for (fir, [h, w]) in cases() {
            let x = random(1, 3 * h * w);
            let expected = naive(&fir, [h, w], &x);
            let y = upfirdn2d(&fir, [h, w], &x);
            close(&y, &expected, 1e-5, &format!("{fir:?} on {h}×{w}"));
        }
    }

    #[test]
    fn adjoint_is_the_transpose() {
        for (fir, [h, w]) in cases() {
            let [oh, ow] = fir.output([h, w]);
            if oh * ow == 0 {
                continue;
            }
            let back = fir.adjoint([h, w]);
            let what = format!("{fir:?} on {h}×{w}");
            assert_eq!(back.output([oh, ow]), [h, w], "{what}");
            let (x, g) = (random(1, h * w), random(2, oh * ow));
            let (y, gx) = (upfirdn2d(&fir, [h, w], &x), upfirdn2d(&back, [oh, ow], &g));
            let (a, b) = (dot(&y, &g), dot(&x, &gx));
            assert!((a - b).abs() <= 1e-4 * (1.0 + a.abs()), "{what}: {a} {b}");
        }
    }
}
