//! A text-conditional StyleGAN2-ADA, the baseline for CI-GAN.
//!
//! It trains the networks of [`stylegan`](super::stylegan) on the same data, with the feature of a
//! caption instead of the one-hot class. Captions condition the generator directly, so generating
//! needs no optimisation. Inversion and editing need an unconditional model.

pub mod captions;
mod loaded;
pub mod section;
pub mod sentence;
pub mod stage;
pub mod system;

pub use captions::CaptionConditioning;
pub use section::STYLEGAN_TEXT;
pub use sentence::Sentences;
