//! Augmentation of everything that the discriminator sees: the pipeline `bgc` of StyleGAN2-ADA
//! (Karras et al. 2020b, §2 and App. B): pixel blits, geometry, colour.
//!
//! Elementary draws ([`ImageDraws`]) become one matrix for the geometry and one for the colours of
//! each image; a [`Transform`] holds those of a batch. Gradients and tangents pass through it to
//! the images, and it is itself a constant: R1 needs the very same one in both of its passes.

mod colour;
mod controller;
mod geometry;
mod matrices;

pub use controller::Controller;
pub use geometry::Margins;
pub use matrices::{Gated, ImageDraws, Matrix};

use std::ops::Range;

use crate::nn::Dual;

/// What happens to the images of one batch.
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

    /// The transformation that given draws amount to.
    pub fn new(draws: &[ImageDraws], p: f64, size: [usize; 2]) -> Self {
        let inverse: Vec<_> = draws.iter().map(|draw| draw.inverse_geometry(p, size)).collect();
        let colour = draws.iter().map(|draw| draw.colour(p)).collect();
        Self { margins: Margins::exact(&inverse, size), inverse, colour, size }
    }

    /// The same with margins that are multiples of `step`: few different shapes, which a device
    /// that compiles a kernel for each of them likes.
    pub fn with_margin_step(self, step: usize) -> Self {
        Self { margins: self.margins.rounded_up(step, self.size), ..self }
    }

    /// What happens to some of the images; the margins stay those of the whole batch, so that the
    /// images look the same.
    pub fn part(&self, range: &Range<usize>) -> Self {
        Self {
            inverse: self.inverse[range.clone()].to_vec(),
            colour: self.colour[range.clone()].to_vec(),
            ..self.clone()
        }
    }

    /// Output pixel → input pixel, about the centre of each image [N].
    pub fn inverse(&self) -> &[Matrix<3>] {
        &self.inverse
    }

    /// (r, g, b, 1) → colour, for each image [N].
    pub fn colour(&self) -> &[Matrix<4>] {
        &self.colour
    }

    /// How far the images are continued.
    pub fn margins(&self) -> Margins {
        self.margins
    }

    /// Images [N, 3, H, W] → augmented images [N, 3, H, W].
    ///
    /// The warp is made even where nothing moves, so that images look alike at every p.
    pub fn apply(&self, x: Dual<4>) -> Dual<4> {
        colour::recolour(self.warp(x), &self.colour)
    }

    /// The geometric part alone: [N, C, H, W] → [N, C, H, W].
    pub fn warp(&self, x: Dual<4>) -> Dual<4> {
        geometry::warp(x, &self.inverse, self.margins)
    }
}
