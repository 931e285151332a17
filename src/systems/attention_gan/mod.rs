//! GANs with attention to the words of a caption, baselines: AttnGAN (Xu et al. 2018) and MirrorGAN
//! (Qiao et al. 2019).
//!
//! They generate an image at several sizes, like StackGAN++. Every stage after the first one attends
//! to the vectors of the words, which DAMSM encodes; in MirrorGAN also to the vector of the sentence.
//! AttnGAN is trained with DAMSM's loss on its images, and MirrorGAN with the likelihood of the
//! caption that another network reads off them.

pub mod attention;
pub mod captions;
mod checks;
pub mod drawing;
pub mod generator;
pub mod losses;
mod maps;
pub mod section;
pub mod settings;
pub mod stage;
pub mod system;
pub mod train;

pub use generator::Generator;
pub use section::{ATTN_GAN, MIRROR_GAN};
pub use settings::{AttentionGanNetwork, AttentionGanSettings, SentenceAttention};
