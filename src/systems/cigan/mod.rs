//! CI-GAN (paper §3.2 to §3.4): inversion, text alignment and text-guided optimisation of an
//! unconditional [`stylegan`](super::stylegan) (§3.1).

mod benchmark;
mod complete;
pub mod guidance;
pub mod inversion;
mod loaded;
mod strength;
pub mod system;
pub mod text;
