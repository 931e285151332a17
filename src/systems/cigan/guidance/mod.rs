//! Text-guided optimisation of latent codes (paper §3.4, Eq. 9): generating and editing images.

pub mod edit;
pub mod generate;
mod marks;
pub mod objective;
pub mod similarity;

pub use objective::Guidance;
