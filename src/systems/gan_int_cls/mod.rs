//! GAN-INT-CLS (Reed et al. 2016), the first GAN that generates images from sentences; a
//! baseline.
//!
//! A generator maps z and the vector of a caption to an image. The discriminator also rejects real
//! images with captions of another class (CLS), and the generator is also trained on means of two
//! captions (INT). The text encoder of [`damsm`](super::damsm) encodes the captions. It is
//! trained first and stays fixed.

mod checks;
pub mod discriminator;
pub mod generator;
pub mod losses;
pub mod section;
pub mod settings;
pub mod stage;
pub mod system;
pub mod train;

pub use discriminator::Discriminator;
pub use generator::Generator;
pub use section::GAN_INT_CLS;
pub use settings::{GanIntClsNetwork, GanIntClsSettings, Variant};
