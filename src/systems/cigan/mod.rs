//! CI-GAN (paper §3.2 to §3.4): inversion, text alignment, text-guided optimisation.

pub mod guidance;
pub mod inversion;
pub mod text;
