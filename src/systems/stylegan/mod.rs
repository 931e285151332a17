//! Stage 1: a StyleGAN2-ADA, unconditional in the paper and here unless classes or texts are asked
//! for (Karras et al. 2020a, 2020b).

pub mod augment;
mod condition;
pub mod discriminator;
mod drawn;
pub mod features;
pub mod generator;
pub mod labels;
pub mod losses;
pub mod mapping;
pub mod official;
pub mod sentence;
pub mod settings;
mod sum;
pub mod synthesis;
pub mod train;
pub mod transfer;

pub use discriminator::Discriminator;
pub use features::DiscriminatorFeatures;
pub use generator::Generator;
pub use labels::Labels;
pub use mapping::Mapping;
pub use sentence::Sentences;
pub use settings::{NetworkSettings, SentenceSettings, StyleganSettings};
pub use synthesis::{Noise, Synthesis};
