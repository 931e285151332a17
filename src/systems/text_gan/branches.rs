//! The stages of a generator that draws an image at several sizes, each twice as large as the one
//! before.

use std::ops::RangeInclusive;

use crate::error::{Error, Result};
use crate::settings::Layers;
use crate::settings::limits::within;

/// Number of stages of the publications.
pub const BRANCHES: usize = 3;
/// Factor of the narrowest feature maps at 4×4, relative to those at the side of the smallest images.
pub const FIRST_WIDTH: usize = 4;
/// Side of the smallest images that a discriminator can judge.
const MIN_BASE: usize = 8;
/// Largest side of images.
const MAX_RESOLUTION: usize = 1024;
/// Largest number of stages.
const MAX_BRANCHES: usize = 5;

/// The sides of the largest images that `branches` stages can draw.
pub fn resolutions(branches: usize) -> RangeInclusive<usize> {
    MIN_BASE << (branches.clamp(1, MAX_BRANCHES) - 1)..=MAX_RESOLUTION
}

/// Checks the number of stages and the side of the largest images. `network` is the name of the table
/// in messages.
///
/// # Errors
/// If one is out of range. The message names the key.
pub fn check(network: &str, branches: usize, resolution: usize) -> Result<()> {
    within(format!("{network}.branches"), branches, 1..=MAX_BRANCHES)?;
    let sides = resolutions(branches);
    if resolution.is_power_of_two() && sides.contains(&resolution) {
        return Ok(());
    }
    Err(Error::user(format!(
        "{network}.resolution is {resolution}: not a power of two from {} to {}",
        sides.start(),
        sides.end()
    ))
    .hint("prepare the data with --resolution 32, 64, 128 or 256"))
}

/// The number of stages that settings ask for, or that of the publications. It may be out of range.
pub fn asked_for(layers: &Layers, section: &str) -> usize {
    let branches = layers.get(&format!("{section}.network.branches"));
    let branches = branches.and_then(|value| value.as_integer());
    branches.and_then(|count| usize::try_from(count).ok()).unwrap_or(BRANCHES)
}
