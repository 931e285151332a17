//! A captioner: an image → the caption that describes it, the STREAM of MirrorGAN (Qiao et al. 2019).
//!
//! MirrorGAN's generator is trained so that this network reads the caption off its images. It extends
//! a model of [`damsm`](super::damsm): it has the same vocabulary, and its image encoder starts from
//! the weights of DAMSM's. The published one is a ResNet-152, whose trained weights were not
//! released.

mod checks;
mod loaded;
pub mod network;
pub mod section;
pub mod settings;
pub mod stage;
pub mod system;
pub mod train;

pub use network::Captioner;
pub use section::{CAPTIONER, load_captioner};
pub use settings::{CaptionerNetwork, CaptionerSettings};
