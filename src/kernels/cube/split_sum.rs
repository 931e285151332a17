//! Long sums of products with few tiles, which are divided among cubes (split K). A second kernel adds
//! the parts in a fixed order.

use cubecl::prelude::*;

use super::epilogue::{Epilogue, Finish, NoiseBuffers, factor, finished, noise, other_summand};
use super::filter::Filter;
use super::launch::{Floats, cover, covered, element, empty};
use super::tile::{DEPTH, UNITS};

/// Cubes that keep a large GPU busy; sums are divided until there are about as many.
const CUBES: usize = 256;
/// Strips of a divided sum at least: fewer take less time than the launch that adds the parts.
const STRIPS: usize = 64;

/// The number of parts that a sum of `terms` is divided into, if a product has `tiles`.
pub fn splits(tiles: usize, terms: usize) -> usize {
    (CUBES / tiles.max(1)).min(terms / (DEPTH * STRIPS)).max(1)
}

#[cube(launch_unchecked)]
fn join_kernel<E: Float>(
    parts: &[f32],
    bias: &[f32],
    other: &[E],
    filters: &Sequence<Filter>,
    noises: &mut Sequence<NoiseBuffers>,
    out: &mut [E],
    length: usize,
    splits: usize,
    channels: usize,
    plane: usize,
    width: usize,
    finish: &Finish,
    #[define(E)] _element: ElemType,
) {
    let at = covered(UNITS);
    if at < length {
        let mut sum = 0.0f32.runtime();
        for split in 0..splits {
            sum += parts[split * length + at];
        }
        let bias =
            if comptime!(finish.biased) { bias[at / plane % channels] } else { 0.0f32.runtime() };
        let image = at / (plane * channels);
        let sum = finished::<Const<1>>(
            Vector::new(sum),
            Vector::new(factor(noises, at / plane)),
            Vector::new(noise(noises, image, at % plane, plane, finish.shared)),
            bias,
            finish,
        );
        let value = sum.extract(0usize);
        let value = if comptime!(finish.added) {
            let (number, pixel) = (at / plane, at % plane);
            value + other_summand(other, filters, number, pixel, plane, width, finish.resampled)
        } else {
            value
        };
        out[at] = E::cast_from(value);
    }
}

/// The sum of the parts `[splits, elements]` → a tensor of `shape`, of the type of `like`, with the
/// epilogue for this number of channels, height and width.
pub fn joined(
    parts: Floats,
    splits: usize,
    like: &Floats,
    shape: [usize; 4],
    [channels, height, width]: [usize; 3],
    epilogue: &Epilogue,
) -> Floats {
    let (finish, [bias, other]) = epilogue.args(&parts);
    let out = empty(like, shape);
    let length = shape.iter().product::<usize>();
    // SAFETY: each unit adds up one element.
    unsafe {
        join_kernel::launch_unchecked(
            &like.client,
            cover(length, UNITS),
            CubeDim::new_1d(UNITS as u32),
            parts.into_buffer_arg(),
            bias.into_buffer_arg(),
            other.into_buffer_arg(),
            epilogue.filters().collect(),
            epilogue.noises().collect(),
            out.clone().into_buffer_arg(),
            length,
            splits,
            channels,
            height * width,
            width,
            finish,
            element(like),
        );
    }
    out
}
