//! A FIR filter along one axis of a strip of lanes, with zero insertion and decimation.

use std::ops::Range;

use super::simd::{LANES, Simd};

/// The terms of one output of an axis: Σ over k of taps[tap + k]·x[source + k], k < count.
#[derive(Clone, Copy, Debug)]
struct Span {
    tap: usize,
    source: usize,
    count: usize,
}

/// A filter along one axis: insert `up − 1` zeros after every element, pad by `pad` before (a
/// negative amount crops), correlate with the taps, keep every `down`-th element.
#[derive(Clone, Debug)]
pub struct Axis {
    /// For each phase of the output, the taps that meet elements rather than inserted zeros.
    taps: Vec<f32>,
    spans: Vec<Span>,
}

impl Axis {
    /// A filter from `n` elements to `outputs`, at the rates `[up, down]`.
    pub fn new(taps: &[f32], rate: [usize; 2], pad: i32, n: usize, outputs: usize) -> Self {
        let [up, down] = rate;
        // Tap k of output i meets element (i·down + k − pad)/up, where that is whole: every up-th
        // tap, from `first` on.
        let each = taps.len().div_ceil(up);
        let polyphase = (0..up).flat_map(|q| (0..each).map(move |k| q + k * up));
        let polyphase = polyphase.map(|k| taps.get(k).copied().unwrap_or(0.0)).collect();
        let spans = (0..outputs).map(|i| {
            let at = (i * down) as isize - pad as isize;
            let first = (-at).rem_euclid(up as isize) as usize;
            let source = (at + first as isize) / up as isize;
            let count = taps.len().saturating_sub(first).div_ceil(up);
            let before = ((-source).max(0) as usize).min(count);
            let after = (n as isize - source).clamp(before as isize, count as isize) as usize;
            let source = (source + before as isize).max(0) as usize;
            Span { tap: first * each + before, source, count: after - before }
        });
        Self { taps: polyphase, spans: spans.collect() }
    }

    /// The distance in floats between rows of `n` pixels' lanes: an odd number of cache lines, because
    /// filtering walks along columns, and at powers of two their rows would compete for one set of the
    /// cache.
    pub fn line(n: usize) -> usize {
        (n | 1) * LANES
    }

    /// The elements that the outputs in `range` depend on.
    pub fn sources(&self, range: Range<usize>) -> Range<usize> {
        let used = || self.spans[range.clone()].iter().filter(|s| s.count > 0);
        let first = used().map(|s| s.source).min().unwrap_or(0);
        first..used().map(|s| s.source + s.count).max().unwrap_or(first)
    }
}

/// The application of a filter to many parallel lines.
#[derive(Clone, Debug)]
pub struct Filter<'a> {
    pub axis: &'a Axis,
    /// The outputs to compute.
    pub outputs: Range<usize>,
    /// The lanes of element `origin` of the first line.
    pub from: *const f32,
    pub origin: usize,
    /// From an element to the next, and from a line to the next.
    pub from_step: usize,
    pub from_line: usize,
    /// The lanes of the first of the outputs.
    pub to: *mut f32,
    pub to_step: usize,
    pub to_line: usize,
    pub lines: usize,
}

/// Computes the outputs of `f`.
///
/// # Safety
/// The memory that the fields of `f` describe is readable and writable, and the processor has V's
/// instruction set.
#[inline(always)]
pub unsafe fn filter<V: Simd>(f: &Filter) {
    macro_rules! sizes {
        ($taps:ident, $from:ident, $to:ident: $($n:literal)*) => {
            // SAFETY: the contract.
            match $taps.len() {
                $($n => unsafe { lines::<V, $n>(f, $taps, $from, $to) },)*
                _ => unsafe { lines_of_any(f, $taps, $from, $to) },
            }
        };
    }
    for (i, span) in f.axis.spans[f.outputs.clone()].iter().enumerate() {
        let taps = &f.axis.taps[span.tap..][..span.count];
        // An output without taps has no source either.
        let from = f.from.wrapping_add(span.source.saturating_sub(f.origin) * f.from_step);
        let to = f.to.wrapping_add(i * f.to_step);
        sizes!(taps, from, to: 1 2 3 4 6 12);
    }
}

/// Computes one output of every line.
#[inline(always)]
unsafe fn lines<V: Simd, const N: usize>(f: &Filter, taps: &[f32], from: *const f32, to: *mut f32) {
    // SAFETY: the contract.
    unsafe {
        let mut factors = [V::splat(0.0); N];
        for (factor, tap) in factors.iter_mut().zip(taps) {
            *factor = V::splat(*tap);
        }
        for line in 0..f.lines {
            let from = from.wrapping_add(line * f.from_line);
            let mut sum = factors[0].mul(V::load(from));
            for (k, factor) in factors.iter().enumerate().skip(1) {
                sum = factor.mul_add(V::load(from.wrapping_add(k * f.from_step)), sum);
            }
            sum.store(to.wrapping_add(line * f.to_line));
        }
    }
}

/// Does the same for any number of taps, including 0.
#[inline(never)]
unsafe fn lines_of_any(f: &Filter, taps: &[f32], from: *const f32, to: *mut f32) {
    for line in 0..f.lines {
        let mut sum = [0.0; LANES];
        for (k, tap) in taps.iter().enumerate() {
            let from = from.wrapping_add(line * f.from_line + k * f.from_step);
            // SAFETY: the contract.
            let from = unsafe { from.cast::<[f32; LANES]>().read_unaligned() };
            sum.iter_mut().zip(from).for_each(|(sum, x)| *sum += tap * x);
        }
        // SAFETY: the contract.
        unsafe { to.wrapping_add(line * f.to_line).cast::<[f32; LANES]>().write_unaligned(sum) };
    }
}
