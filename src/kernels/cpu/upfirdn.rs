//! Zero insertion, padding, FIR filter, decimation.

use rayon::prelude::*;

use super::isa::kernels;
use super::scratch::Scratch;
use super::simd::{LANES, Simd};

/// Elements of a task.
const TASK: usize = 16384;

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

/// One axis of the operation: output i is Σ over k of taps[k]·x[source], where
/// source·up = i·down + k − pad.
#[derive(Clone, Copy)]
struct Axis<'a> {
    up: usize,
    down: usize,
    pad: isize,
    taps: &'a [f32],
}

impl Axis<'_> {
    /// The taps that meet a pixel (not an inserted zero) at output `i`, and which pixel.
    fn sources(&self, i: usize) -> impl Iterator<Item = (f32, isize)> + '_ {
        let first = (i * self.down) as isize - self.pad;
        let up = self.up as isize;
        self.taps
            .iter()
            .enumerate()
            .map(move |(k, &tap)| (tap, first + k as isize))
            .filter(move |(_, at)| at.rem_euclid(up) == 0)
            .map(move |(tap, at)| (tap, at.div_euclid(up)))
    }
}

/// y [planes, H', W'] from x [planes, h, w]; see [`UpFirDn::output_size`].
pub fn upfirdn2d(p: &UpFirDn, h: usize, w: usize, taps: &[f32], x: &[f32], y: &mut [f32]) {
    let (oh, ow) = p.output_size(h, w, taps.len());
    let planes = x.len() / (h * w).max(1);
    assert_eq!(x.len(), planes * h * w, "whole planes of {h}×{w}");
    assert_eq!(y.len(), planes * oh * ow, "whole planes of {oh}×{ow}");
    if y.is_empty() {
        return;
    }
    let mut columns = taps.to_vec();
    if !p.flip {
        columns.reverse();
    }
    let rows: Vec<f32> = columns.iter().map(|t| t * p.gain).collect();
    let across = Axis { up: p.up[0], down: p.down[0], pad: p.pad[0] as isize, taps: &columns };
    let along = Axis { up: p.up[1], down: p.down[1], pad: p.pad[2] as isize, taps: &rows };
    let across = Across::new(&across, w, ow);
    let along: Vec<Vec<(f32, usize)>> = (0..oh)
        .map(|i| {
            let inside = |at: isize| (0..h as isize).contains(&at).then_some(at as usize);
            along.sources(i).filter_map(|(tap, at)| Some((tap, inside(at)?))).collect()
        })
        .collect();
    let k = kernels();
    let some = (TASK / (oh * ow).max(h * w)).max(1);
    y.par_chunks_mut(some * oh * ow).zip(x.par_chunks(some * h * w)).for_each(|(y, x)| {
        let mut work = Scratch::new(across.work() + h * across.padded);
        let job = Job { across: &across, along: &along, h, w, ow, x };
        // SAFETY: the table is one that this processor can run.
        unsafe { (k.fir)(&job, &mut work, y) };
    });
}

/// The filter along x, prepared for vectors.
///
/// With a row split into `down` streams, of every down-th pixel, each of the `up` phases of the
/// output (every up-th pixel) is a sum of taps times shifted streams, pixel by pixel.
pub struct Across {
    up: usize,
    down: usize,
    /// Zeros before the pixels of a row.
    left: usize,
    /// Pixels of a stream, of a phase, and of a row of output, whole vectors each.
    stream: usize,
    phase: usize,
    padded: usize,
    /// For each phase: taps and where in the streams they begin.
    taps: Vec<Vec<(f32, usize)>>,
}

impl Across {
    fn new(axis: &Axis, w: usize, ow: usize) -> Self {
        let (up, down) = (axis.up, axis.down);
        let sources: Vec<Vec<_>> = (0..up).map(|q| axis.sources(q).collect()).collect();
        let all = || sources.iter().flatten().map(|&(_, at)| at);
        let left = all().min().map_or(0, |at| (-at).max(0) as usize);
        let phase = ow.div_ceil(up).next_multiple_of(LANES);
        let last = all().max().map_or(0, |at| at.max(0) as usize);
        let row = (left + last + phase * down).max(left + w);
        let stream = row.div_ceil(down).next_multiple_of(LANES);
        let place = |(tap, at): (f32, isize)| {
            let at = (at + left as isize) as usize;
            (tap, at % down * stream + at / down)
        };
        let taps = sources.into_iter().map(|s| s.into_iter().map(place).collect()).collect();
        Self { up, down, left, stream, phase, padded: phase * up, taps }
    }

    /// Floats that [`fir`] needs for a row: the row itself, its streams, the phases.
    fn work(&self) -> usize {
        2 * self.stream * self.down + self.phase * self.up
    }
}

/// Some planes to be filtered.
pub struct Job<'a> {
    across: &'a Across,
    /// For each row of output: taps and rows.
    along: &'a [Vec<(f32, usize)>],
    h: usize,
    w: usize,
    ow: usize,
    x: &'a [f32],
}

/// Filters whole planes: first each row along x, then along y.
///
/// # Safety
/// The processor has V's instruction set.
#[inline(always)]
pub unsafe fn fir<V: Simd>(job: &Job, work: &mut [f32], y: &mut [f32]) {
    let Job { across: a, along, h, w, ow, x } = *job;
    let (row, work) = work.split_at_mut(a.stream * a.down);
    let (streams, work) = work.split_at_mut(a.stream * a.down);
    let (phases, filtered) = work.split_at_mut(a.phase * a.up);
    row.fill(0.0);
    for (x, y) in x.chunks_exact(h * w).zip(y.chunks_exact_mut(along.len() * ow)) {
        for (x, out) in x.chunks_exact(w).zip(filtered.chunks_exact_mut(a.padded)) {
            row[a.left..a.left + w].copy_from_slice(x);
            let streams = match a.down {
                1 => &*row,
                2 => {
                    let (even, odd) = streams.split_at_mut(a.stream);
                    for ((pair, e), o) in row.as_chunks::<2>().0.iter().zip(even).zip(odd) {
                        [*e, *o] = *pair;
                    }
                    &*streams
                }
                down => {
                    for (i, x) in row.iter().enumerate() {
                        streams[i % down * a.stream + i / down] = *x;
                    }
                    &*streams
                }
            };
            if a.up == 1 {
                // SAFETY: `Across::new` made the streams long enough for the taps.
                unsafe { combine::<V>(&a.taps[0], 1, streams, out) };
                continue;
            }
            for (phase, taps) in phases.chunks_exact_mut(a.phase).zip(&a.taps) {
                // SAFETY: as above.
                unsafe { combine::<V>(taps, 1, streams, phase) };
            }
            if a.up == 2 {
                let (even, odd) = phases.split_at(a.phase);
                for ((pair, e), o) in out.as_chunks_mut::<2>().0.iter_mut().zip(even).zip(odd) {
                    *pair = [*e, *o];
                }
            } else {
                for (i, out) in out.iter_mut().enumerate() {
                    *out = phases[i % a.up * a.phase + i / a.up];
                }
            }
        }
        let rows = along.len();
        for (i, taps) in along.iter().enumerate() {
            // A row written in whole vectors may spill into the next one, which comes later.
            if i * ow + a.padded <= rows * ow {
                // SAFETY: the rows are `padded` long.
                unsafe { combine::<V>(taps, a.padded, filtered, &mut y[i * ow..][..a.padded]) };
            } else {
                // SAFETY: as above.
                unsafe { combine::<V>(taps, a.padded, filtered, &mut phases[..a.padded]) };
                y[i * ow..][..ow].copy_from_slice(&phases[..ow]);
            }
        }
    }
}

/// to = Σ tap·from[at·unit ..].
#[inline(always)]
unsafe fn combine<V: Simd>(taps: &[(f32, usize)], unit: usize, from: &[f32], to: &mut [f32]) {
    macro_rules! sizes {
        ($($n:literal)*) => {
            // SAFETY: the callers'.
            match taps.len() {
                $($n => unsafe { combine_n::<V, $n>(taps, unit, from, to) },)*
                _ => {
                    to.fill(0.0);
                    for (tap, at) in taps {
                        let from = &from[at * unit..][..to.len()];
                        to.iter_mut().zip(from).for_each(|(to, x)| *to += tap * x);
                    }
                }
            }
        };
    }
    sizes!(1 2 3 4 5 6 12);
}

#[inline(always)]
unsafe fn combine_n<V: Simd, const N: usize>(
    taps: &[(f32, usize)],
    unit: usize,
    from: &[f32],
    to: &mut [f32],
) {
    // SAFETY: the slices are as long as what is read, and `to` is whole vectors.
    unsafe {
        let mut factors = [V::splat(0.0); N];
        let mut starts = [from.as_ptr(); N];
        for i in 0..N {
            factors[i] = V::splat(taps[i].0);
            starts[i] = from[taps[i].1 * unit..][..to.len()].as_ptr();
        }
        for at in (0..to.len()).step_by(LANES) {
            let mut acc = factors[0].mul(V::load(starts[0].add(at)));
            for i in 1..N {
                acc = factors[i].mul_add(V::load(starts[i].add(at)), acc);
            }
            acc.store(to.as_mut_ptr().add(at));
        }
    }
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
