//! Text-guided optimisation of latents (paper §3.4, Eq. 9): generating and editing.

pub mod edit;
pub mod generate;
pub mod objective;
pub mod settings;

pub use objective::{Guidance, Guided};
pub use settings::GuidanceSettings;
