//! Text-guided optimisation of latents (paper §3.4, Eq. 9): generating and editing.

pub mod edit;
pub mod generate;
mod marks;
pub mod objective;

pub use objective::Guidance;
