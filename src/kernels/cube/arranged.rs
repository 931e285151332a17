//! The weights of a convolution in the order in which its kernel reads them.

use cubecl::prelude::*;

use super::launch::{Floats, cover, covered, element, empty_f32};
use super::tile::{DEPTH, Four, Tile, UNITS};

/// The weights of a convolution with C channels that writes M rows.
#[derive(Debug, Clone, Copy)]
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
fn arrange_kernel<E: Float>(
    w: &[E],
    out: &mut [Four],
    rows: usize,
    row_stride: usize,
    channels: usize,
    channel_stride: usize,
    padded_channels: usize,
    row_fours: usize,
    fours: usize,
    #[define(E)] _element: ElemType,
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
            values.insert(lane, select(exists, f32::cast_from(w[from]), 0.0f32.runtime()));
        }
        out[at] = values;
    }
}

/// The weights as `[taps, padded channels, padded rows]` in f32, with zeros as padding.
pub fn arranged(w: Floats, weights: &Weights, tile: Tile) -> Floats {
    let (padded, row_fours) = (weights.padded_channels(), weights.row_fours(tile));
    let fours = weights.taps * padded * row_fours;
    let out = empty_f32(&w, [fours, 4]);
    let (client, element) = (w.client.clone(), element(&w));
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
            element,
        );
    }
    out
}
