//! The training of the style encoder, which extends the model of a baseline.
//!
//! S learns to find the noise z of images that the generator draws for training captions. It never
//! sees a real image. The network itself is in [`text_gan::style`](super::text_gan::style), because
//! the models of the baselines contain it.

mod checks;
pub mod settings;
pub mod stage;
pub mod system;
pub mod train;
pub mod transfer;
