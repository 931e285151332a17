//! Losses and draws of pairs that several GAN systems share.

pub mod adversarial;
pub mod gradient_penalty;
pub mod matching;
pub mod mismatched_images;

pub use adversarial::AdversarialLoss;
pub use matching::MatchingSettings;
pub use mismatched_images::MismatchedImages;
