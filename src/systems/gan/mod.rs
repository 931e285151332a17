//! Losses shared by several GAN systems.

pub mod adversarial;
pub mod gradient_penalty;
pub mod matching;

pub use adversarial::AdversarialLoss;
pub use matching::MatchingSettings;
