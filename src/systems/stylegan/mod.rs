//! StyleGAN2-ADA (paper §3.1; Karras et al. 2020a, 2020b): the generator that CI-GAN inverts,
//! unconditional or conditioned on classes.

pub mod augment;
pub(in crate::systems) mod benchmark;
mod checks;
mod collapse;
pub mod conditioning;
pub mod discriminator;
pub(in crate::systems) mod draws;
pub mod features;
pub mod generator;
pub mod grow;
pub mod labels;
pub mod loaded;
pub mod losses;
pub mod mapping;
pub mod official;
mod penalty;
pub mod precision;
pub mod sample;
pub mod sampler;
pub mod section;
pub mod settings;
pub(crate) mod shapes;
pub mod stage;
pub mod styles;
mod sum;
pub mod synthesis;
pub mod system;
pub mod train;
pub mod transfer;
pub mod vision;

pub use discriminator::Discriminator;
pub use features::DiscriminatorFeatures;
pub use generator::Generator;
pub use labels::Labels;
pub use mapping::Mapping;
pub use section::STYLEGAN;
pub use settings::{NetworkSettings, RandomNumbers, StyleganSettings};
pub use synthesis::{LayerCodes, Noise, Synthesis};
