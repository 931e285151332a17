//! Stage 2: an encoder that inverts images into the latent space of G, trained with cycle
//! consistency (paper §3.2).

pub mod codes;
pub mod encoder;
pub mod evaluate;
pub mod latent_discriminator;
pub mod losses;
pub mod pool;
pub mod project;
pub mod settings;
pub mod stage;
pub mod train;

pub use encoder::Encoder;
pub use latent_discriminator::LatentDiscriminator;
pub use settings::{EncoderSettings, InversionSettings, Space};

use crate::model::Section;
use crate::systems::stylegan::STYLEGAN;

/// The model section of stage 2, with E and D_w.
pub static INVERSION: Section = Section {
    name: "inversion",
    command: "invert",
    networks: &[train::E, train::D_W],
    training_only: &[train::D_W],
    texts: &[train::PERCEPTUAL],
    tensors: &[train::PERCEPTUAL_UNITS],
    fitted_to: &[&STYLEGAN],
};
