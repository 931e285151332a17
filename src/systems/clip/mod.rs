//! CLIP (Radford et al. 2021): an encoder of images and one of texts whose vectors agree for matching
//! pairs, trained by others on photographs of the web.
//!
//! It is imported, not trained. It ranks images by their agreement with a prompt.

mod checks;
mod image;
mod import;
pub mod loaded;
mod published;
mod resnet;
pub mod section;
pub mod settings;
pub mod system;
mod text;
mod vit;

pub use loaded::Clip;
pub use section::CLIP;
pub use settings::{ClipNetwork, ImageNetwork, ResnetNetwork, TextNetwork, VitNetwork};
