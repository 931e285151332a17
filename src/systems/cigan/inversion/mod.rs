//! Stage 2: an encoder that inverts images into the latent space of G, trained with cycle
//! consistency (paper §3.2).

pub mod codes;
pub mod encoder;
pub mod evaluate;
pub mod latent_discriminator;
pub mod losses;
pub mod pool;
pub mod project;
pub mod section;
pub mod settings;
pub mod stage;
pub mod train;
pub mod tune;

pub use encoder::Encoder;
pub use latent_discriminator::LatentDiscriminator;
pub use section::INVERSION;
pub use settings::{EncoderSettings, InversionSettings, Space};
