//! The weights of a convolution in the order in which its kernel reads them.
//!
//! The rounds of a batch, and the passes of each round, use the same weights. So their copies are kept
//! while a [`Keeping`] lives.

use std::cell::RefCell;
use std::marker::PhantomData;

use cubecl::prelude::*;

use super::launch::{Floats, cover, covered, empty_f32};
use super::tile::{DEPTH, Four, Tile, UNITS};

/// The weights of a convolution with C channels that writes M rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weights {
    /// M.
    pub rows: usize,
    /// C.
    pub channels: usize,
    /// k².
    pub taps: usize,
    /// Distance of the weights of neighbouring rows.
    pub row_stride: usize,
    /// Distance of the weights of neighbouring channels.
    pub channel_stride: usize,
}

impl Weights {
    /// C with padding: a multiple of the terms of a strip.
    pub fn padded_channels(&self) -> usize {
        self.channels.next_multiple_of(DEPTH)
    }

    /// Fours of M with padding: of whole tiles.
    pub fn row_fours(&self, tile: Tile) -> usize {
        self.rows.next_multiple_of(tile.rows()) / 4
    }
}

#[cube(launch_unchecked)]
fn arrange_kernel(
    w: &[f32],
    out: &mut [Four],
    rows: usize,
    row_stride: usize,
    channels: usize,
    channel_stride: usize,
    padded_channels: usize,
    row_fours: usize,
    fours: usize,
) {
    let at = covered(UNITS);
    if at < fours {
        let four = at % row_fours;
        let term = at / row_fours;
        let channel = term % padded_channels;
        let from = channel * channel_stride + term / padded_channels;
        let mut values = Four::empty();
        #[unroll]
        for lane in 0..4usize {
            let row = four * 4 + lane;
            let exists = channel < channels && row < rows;
            let from = select(exists, from + row * row_stride, 0usize.runtime());
            values.insert(lane, select(exists, w[from], 0.0f32.runtime()));
        }
        out[at] = values;
    }
}

/// Copies of weights that this thread may use again.
#[derive(Default)]
struct Kept {
    /// Number of [`Keeping`]s that live.
    keeping: usize,
    copies: Vec<Copied>,
}

/// A copy and what it was made of. The weights are held with it: so nothing changes them in place, and
/// their memory is not given to another tensor.
struct Copied {
    w: Floats,
    weights: Weights,
    tile: Tile,
    copy: Floats,
}

impl Copied {
    fn is_of(&self, w: &Floats, weights: &Weights, tile: Tile) -> bool {
        let place = |w: &Floats| (w.handle.memory.descriptor().id, w.handle.offset_start);
        place(&self.w) == place(w) && self.weights == *weights && self.tile == tile
    }
}

thread_local! {
    static KEPT: RefCell<Kept> = RefCell::default();
}

/// While it lives, this thread arranges the same weights only once.
pub struct Keeping {
    /// It belongs to the thread that made it.
    _thread: PhantomData<*const ()>,
}

impl Keeping {
    pub fn new() -> Self {
        KEPT.with_borrow_mut(|kept| kept.keeping += 1);
        Self { _thread: PhantomData }
    }
}

impl Drop for Keeping {
    fn drop(&mut self) {
        KEPT.with_borrow_mut(|kept| {
            kept.keeping -= 1;
            if kept.keeping == 0 {
                kept.copies.clear();
            }
        });
    }
}

/// The weights as `[taps, padded channels, padded rows]`, with zeros as padding.
pub fn arranged(w: Floats, weights: &Weights, tile: Tile) -> Floats {
    let known = KEPT.with_borrow(|kept| {
        kept.copies.iter().find(|copied| copied.is_of(&w, weights, tile)).map(|c| c.copy.clone())
    });
    known.unwrap_or_else(|| {
        let copy = copied(w.clone(), weights, tile);
        KEPT.with_borrow_mut(|kept| {
            if kept.keeping > 0 {
                kept.copies.push(Copied { w, weights: *weights, tile, copy: copy.clone() });
            }
        });
        copy
    })
}

/// [`arranged`], by a launch.
fn copied(w: Floats, weights: &Weights, tile: Tile) -> Floats {
    let (padded, row_fours) = (weights.padded_channels(), weights.row_fours(tile));
    let fours = weights.taps * padded * row_fours;
    let out = empty_f32(&w, [fours, 4]);
    let client = w.client.clone();
    // SAFETY: every unit writes one four, and reads only weights that exist.
    unsafe {
        arrange_kernel::launch_unchecked(
            &client,
            cover(fours, UNITS),
            CubeDim::new_1d(UNITS as u32),
            w.into_buffer_arg(),
            out.clone().into_buffer_arg(),
            weights.rows,
            weights.row_stride,
            weights.channels,
            weights.channel_stride,
            padded,
            row_fours,
            fours,
        );
    }
    out
}
