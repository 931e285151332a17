//! Clouds of codes as a picture (paper Fig. 9): the plane that shows most of their spread, and the
//! one that keeps neighbours together.

use image::RgbImage;

use super::inversion::Clouds;
use crate::error::Result;
use crate::metrics::Cloud;
use crate::metrics::components::Plane;
use crate::metrics::tsne::tsne;
use crate::picture::{Dots, scatter, strip};

/// Side of a plane.
const SIDE: u32 = 480;
/// Points of each cloud: more would hide one another.
const POINTS: usize = 1000;
/// Colours of the generator's own codes and of those of pictures, apart for all kinds of sight.
const DRAWN: [u8; 3] = [230, 159, 0];
/// See [`DRAWN`].
const INVERTED: [u8; 3] = [0, 114, 178];

/// Both clouds in the first two principal components of all their points, and by t-SNE.
///
/// # Errors
/// If the components cannot be found.
pub fn picture(clouds: &Clouds) -> Result<RgbImage> {
    let some = |cloud: &Cloud| {
        let (n, count) = (cloud.len(), cloud.len().min(POINTS));
        cloud.select(&(0..count).map(|i| i * n / count).collect::<Vec<_>>())
    };
    let (drawn, inverted) = (some(&clouds.drawn), some(&clouds.inverted));
    let both = [&drawn, &inverted];
    let plane = Plane::of(&both)?;
    let components = both.map(|cloud| plane.project(cloud));
    let neighbours = tsne(&both)?;
    Ok(strip(&[("principal components", dots(&components)), ("t-SNE", dots(&neighbours))], 8))
}

fn dots(points: &[Vec<[f64; 2]>]) -> RgbImage {
    let kinds = [("M(z)", DRAWN), ("E(x)", INVERTED)];
    let dots: Vec<Dots> = kinds
        .into_iter()
        .zip(points)
        .map(|((label, colour), points)| Dots { label, colour, points: points.clone() })
        .collect();
    scatter(&dots, SIDE)
}
