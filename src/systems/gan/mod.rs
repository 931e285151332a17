//! Losses that several GAN systems share.

pub mod adversarial;
pub mod gradient_penalty;
pub mod matching;

pub use matching::MatchingSettings;
