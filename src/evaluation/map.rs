//! Scatter plots of the codes (paper Fig. 9): principal components and t-SNE.

use image::RgbImage;

use super::inversion::Clouds;
use crate::error::Result;
use crate::metrics::Cloud;
use crate::metrics::components::Plane;
use crate::metrics::tsne::tsne;
use crate::picture::{Dots, scatter, strip};

/// Side of a plot in pixels.
const SIDE: u32 = 480;
/// Points of each cloud. More points would cover each other.
const POINTS: usize = 1000;
/// Colour of the generator's codes. Colour-blind readers can tell it from [`INVERTED`].
const DRAWN: [u8; 3] = [230, 159, 0];
/// Colour of the codes of real images.
const INVERTED: [u8; 3] = [0, 114, 178];

/// Plots both clouds by the first two principal components of all points, and by t-SNE.
///
/// # Errors
/// Fails if the principal components cannot be computed.
pub fn scatter_plots(clouds: &Clouds) -> Result<RgbImage> {
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
