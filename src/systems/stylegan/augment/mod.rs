//! Augmentation of all images that the discriminator sees: the pipeline `bgc` of StyleGAN2-ADA
//! (Karras et al. 2020b, §2 and App. B), with pixel blits, geometry and colour.
//!
//! Elementary draws ([`ImageDraws`]) become one matrix for the geometry and one for the colours of
//! each image; a [`Transform`] holds those of a batch. Gradients and tangents pass through it to
//! the images. The transform itself is constant, because both passes of R1 need the same one.

mod colour;
mod controller;
mod geometry;
mod matrices;

pub use controller::Controller;
pub use geometry::Margins;
pub use matrices::{Gated, ImageDraws, Matrix};

use std::ops::Range;

use crate::nn::Dual;

/// The augmentation of one batch of images.
#[derive(Debug, Clone, PartialEq)]
pub struct Transform {
    inverse: Vec<Matrix<3>>,
    colour: Vec<Matrix<4>>,
    margins: Margins,
    size: [usize; 2],
}

impl Transform {
    /// The transformation of `n` images of height and width `size` at probability `p` (which may
    /// exceed 1), a function of (seed, purpose, nimg).
    pub fn draw(seed: u64, purpose: &str, nimg: u64, n: usize, p: f64, size: [usize; 2]) -> Self {
        Self::new(&ImageDraws::batch(seed, purpose, nimg, n), p, size)
    }

    /// The transformation of given draws.
    pub fn new(draws: &[ImageDraws], p: f64, size: [usize; 2]) -> Self {
        let inverse: Vec<_> = draws.iter().map(|draw| draw.inverse_geometry(p, size)).collect();
        let colour = draws.iter().map(|draw| draw.colour(p)).collect();
        Self { margins: Margins::exact(&inverse, size), inverse, colour, size }
    }

    /// Rounds the margins up to multiples of `step`. This gives few different shapes, for devices
    /// that compile a kernel per shape.
    pub fn with_margin_step(self, step: usize) -> Self {
        Self { margins: self.margins.rounded_up(step, self.size), ..self }
    }

    /// The transformation of some of the images. It keeps the margins of the whole batch, so that
    /// the images are the same.
    pub fn part(&self, range: &Range<usize>) -> Self {
        Self {
            inverse: self.inverse[range.clone()].to_vec(),
            colour: self.colour[range.clone()].to_vec(),
            ..self.clone()
        }
    }

    /// The matrices from output pixel to input pixel, about the centre of each image: `[N]`.
    pub fn inverse(&self) -> &[Matrix<3>] {
        &self.inverse
    }

    /// The matrices that map colours (r, g, b, 1), by image: `[N]`.
    pub fn colour(&self) -> &[Matrix<4>] {
        &self.colour
    }

    /// The margins by which the images are extended.
    pub fn margins(&self) -> Margins {
        self.margins
    }

    /// Images `[N, 3, H, W]` → augmented images `[N, 3, H, W]`.
    ///
    /// The warp also runs if no image moves, so that its filters affect images equally at every p.
    pub fn apply(&self, x: Dual<4>) -> Dual<4> {
        colour::recolour(self.warp(x), &self.colour)
    }

    /// Only the geometric part: `[N, C, H, W]` → `[N, C, H, W]`.
    pub fn warp(&self, x: Dual<4>) -> Dual<4> {
        geometry::warp(x, &self.inverse, self.margins)
    }
}
