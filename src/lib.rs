//! `cigan`: text to image synthesis and editing by cycle-consistent inversion of a StyleGAN2-ADA.
//!
//! The rooms follow the pipeline of the paper ("Cycle-Consistent Inverse GAN for Text-to-Image
//! Synthesis", ACM MM 2021): [`data`] → [`stylegan`] → [`inversion`] → [`text`] → [`guidance`].
//! `docs/ARCHITECTURE.md` draws them.

pub mod cli;
pub mod data;
pub mod device;
pub mod draws;
pub mod error;
pub mod evaluation;
pub mod interrupt;
pub mod kernels;
pub mod language;
pub mod metrics;
pub mod model;
pub mod nn;
pub mod picture;
pub mod report;
pub mod serve;
pub mod settings;
pub mod studio;
pub mod systems;
pub mod tensorfile;
pub mod train;
pub mod vision;
pub mod weights;

pub use error::{Error, Result};
