//! Parts that all GAN systems share: adversarial losses, penalties, and the latents of seeds.

pub mod adversarial;
pub mod gradient_penalty;
pub mod latents;
pub mod matching;

pub use adversarial::AdversarialLoss;
pub use latents::{latents, step_noise};
pub use matching::MatchingSettings;
