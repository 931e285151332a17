//! DAMSM (Xu et al. 2018, AttnGAN): an encoder of images and one of texts whose vectors agree for
//! matching pairs.
//!
//! It encodes captions for the text-to-image baselines, and ranks images by their agreement with a
//! prompt. The text encoder is that of the publication. The image encoder is
//! trained from scratch on the same archive, because the published one starts from the weights of
//! an Inception network.

mod checks;
mod codes;
pub mod image;
pub mod loaded;
pub mod losses;
pub mod section;
pub mod settings;
pub mod stage;
pub mod system;
pub mod train;
pub mod views;

pub use codes::ImageCodes;
pub use image::ImageTower;
pub use loaded::Damsm;
pub use losses::DamsmLoss;
pub use section::DAMSM;
pub use settings::{DamsmNetwork, DamsmSettings};
pub use system::{ENCODER, WITHOUT_CAPTIONS};
