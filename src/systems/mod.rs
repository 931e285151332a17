//! The systems that can be trained, and their registry.
//!
//! | system | folder |
//! |-|-|
//! | StyleGAN2-ADA, the first stage of CI-GAN (paper §3.1) | [`stylegan`] |
//! | CI-GAN: inversion, text alignment, guided optimisation (§3.2 to §3.4) | [`cigan`] |
//! | text-conditional StyleGAN2-ADA, a baseline | [`stylegan_text`] |
//! | GAN-INT-CLS, a baseline | [`gan_int_cls`] |
//! | StackGAN++, a baseline | [`stackgan`] |
//! | AttnGAN and MirrorGAN, baselines | [`attention_gan`] |
//! | CLIP2GAN, a baseline | [`clip2gan`] |
//! | DAMSM, the image–text encoder of the baselines | [`damsm`] |
//! | the captioner of MirrorGAN | [`captioner`] |
//! | the style encoder of the baselines | [`style`] |
//! | CLIP, an image–text encoder that is imported | [`clip`] |
//!
//! To add a system, add a folder that implements [`System`], name it here, and add it to [`SYSTEMS`]
//! in `registry.rs`. Losses that several systems share are in [`gan`], and what GANs that read
//! captions share is in [`text_gan`].

pub mod abilities;
pub mod attention_gan;
mod benchmark;
pub mod captioner;
pub mod cigan;
pub mod clip;
pub mod clip2gan;
pub mod damsm;
pub mod encoding;
pub mod gan;
pub mod gan_int_cls;
pub mod guidance;
mod import;
mod pipeline;
pub mod ranking;
mod registry;
pub mod requests;
pub mod retrieval;
pub mod similarity;
pub mod stackgan;
pub mod style;
pub mod stylegan;
pub mod stylegan_text;
mod system;
pub mod text_gan;
mod vocabulary;

pub use crate::train::evaluator::{ImageSampler, SampleNoise};
pub use abilities::{
    AttributeEditing, ImageDescriber, LatentSpace, NoiseSpace, StyleReader, StyleSpace, TextCodes,
    TextToImage,
};
pub use benchmark::{Benchmark, BenchmarkRequest};
pub use import::{Import, ImportOption, ImportOptions, ImportedModel};
pub use pipeline::{Pipeline, PipelineStage, PlannedTraining};
pub use registry::{Registry, SYSTEMS, of, open, open_at_scale};
pub use similarity::{ImageTextSimilarity, Similarity};
pub use system::{Capabilities, Layout, Loaded, System};
