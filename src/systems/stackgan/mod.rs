//! StackGAN++ (Zhang et al. 2019, its second version), a baseline: a GAN that generates an image at
//! several sizes at once.
//!
//! A generator has a stage for each size, and a discriminator judges each size. Every discriminator
//! decides whether an image is real, and whether it fits its caption. Captions are read by the text
//! encoder of [`damsm`](super::damsm), which is trained first and stays fixed. Without captions, z
//! takes the place of the condition.

mod checks;
pub mod colour;
pub mod drawing;
pub mod generator;
pub mod losses;
pub mod section;
pub mod settings;
pub mod stage;
pub mod system;
pub mod train;
pub mod unconditional;

pub use generator::Generator;
pub use section::STACKGAN;
pub use settings::{Heads, Sides, StackganNetwork, StackganSettings};
