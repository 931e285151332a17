//! CLIP2GAN, a baseline (Wang et al. 2022): a mapper from vectors of images to codes of a frozen
//! StyleGAN.
//!
//! An encoder of images and texts, such as CLIP, encodes a training image, and the mapper learns the
//! code whose image is the training image. No caption takes part. As the encoder places texts near
//! images that fit them, the mapper maps texts to codes as well, and differences between texts to
//! directions in which images can be edited.

mod checks;
pub mod drawing;
pub mod encoders;
pub mod loaded;
pub mod losses;
pub mod mapper;
pub mod noise;
pub mod section;
pub mod settings;
pub mod stage;
pub mod system;
pub mod train;
pub mod vectors;

pub use encoders::{CentredEncoders, Encoders};
pub use mapper::{Mapper, MapperSizes};
pub use noise::{Noise, NoiseKind};
pub use section::CLIP2GAN;
pub use settings::{Clip2GanNetwork, Clip2GanSettings};
