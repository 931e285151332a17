//! Clouds of codes as a picture (paper Fig. 9): the plane that shows most of their spread.

use image::RgbImage;

use super::inversion::Clouds;
use crate::error::Result;
use crate::metrics::components::Plane;
use crate::picture::{Dots, scatter};

/// Side of the picture.
const SIDE: u32 = 480;
/// Colours of the generator's own codes and of those of pictures, apart for all kinds of sight.
const DRAWN: [u8; 3] = [230, 159, 0];
/// See [`DRAWN`].
const INVERTED: [u8; 3] = [0, 114, 178];

/// Both clouds in the first two principal components of all their points.
///
/// # Errors
/// If the components cannot be found.
pub fn picture(clouds: &Clouds) -> Result<RgbImage> {
    let plane = Plane::of(&[&clouds.drawn, &clouds.inverted])?;
    Ok(scatter(
        &[
            Dots { label: "M(z)", colour: DRAWN, points: plane.project(&clouds.drawn) },
            Dots { label: "E(x)", colour: INVERTED, points: plane.project(&clouds.inverted) },
        ],
        SIDE,
    ))
}
