//! CI-GAN in Rust: train a generator on captioned images, then generate and edit images from text
//! ("Cycle-Consistent Inverse GAN for Text-to-Image Synthesis", ACM MM 2021).
//!
//! The crate contains the program `cigan` and a library with the functionality of all its commands.
//!
//! # Generating and editing images
//!
//! A [`Model`] is read from a file or from the newest snapshot of a run. A [`Studio`] is a loaded
//! model of any system:
//!
//! ```no_run
//! use cigan::device::{self, Choice};
//! use cigan::studio::Draw;
//! use cigan::{Model, Studio};
//!
//! # fn main() -> cigan::Result<()> {
//! let device = device::open(Choice::Auto)?.device;
//! let studio = Studio::open(&Model::open("models/birds64.safetensors")?, &device)?;
//! let settings = Default::default();
//! let draw = Draw::new("a small bird with a yellow belly", &[0, 1, 2, 3], &settings);
//! for image in studio.images(&studio.draw(&draw, |_| true)?.codes) {
//!     println!("{}×{}", image.width(), image.height());
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Training
//!
//! [`pipeline::train`] runs a stage as its command does, and reports its progress as events:
//!
//! ```no_run
//! use cigan::device::Choice;
//! use cigan::interrupt::Interrupt;
//! use cigan::train::{Event, Request};
//!
//! # fn main() -> cigan::Result<()> {
//! let request = Request {
//!     preset: Some("small32".into()),
//!     data: Some("birds32.zip".into()),
//!     ..Request::default()
//! };
//! let mut show = |event: &Event| println!("{event:?}");
//! cigan::pipeline::train(
//!     "train-stylegan",
//!     &request,
//!     Choice::Auto,
//!     &Interrupt::manual(),
//!     &mut show,
//! )?;
//! # Ok(())
//! # }
//! ```
//!
//! # Modules
//!
//! | module | content |
//! |-|-|
//! | [`data`] | captioned images: sources, the archive, batches, synthetic birds |
//! | [`systems`] | trainable systems, behind one trait and one registry: [`systems::stylegan`] (paper §3.1), [`systems::cigan`] (§3.2 to §3.4), baselines |
//! | [`pipeline`] | training with one call: one stage, all stages of a system, or the demo |
//! | [`train`] | the training loop, run directories, checkpoints, resuming |
//! | [`ranks`] | several processes that train together |
//! | [`model`], [`settings`] | model files and their sections; presets, settings files, limits |
//! | [`device`], [`interrupt`], [`error`] | choosing a device, stopping a computation, errors with hints |
//! | [`studio`] | a loaded model that generates and edits images |
//! | [`evaluation`], [`metrics`] | evaluating models on held-out images (§4) |
//! | [`language`], [`vision`] | text encoders; perceptual networks and features |
//! | [`report`], [`picture`] | HTML pages with charts; grids, GIFs, PNG metadata |
//!
//! `docs/ARCHITECTURE.md` shows how the modules depend on one another. The `examples/` folder
//! contains complete programs. Modules that are not listed here are public only for tests and
//! benchmarks, and may change without notice.

mod atomic_file;
#[doc(hidden)]
pub mod check;
pub mod data;
pub mod device;
pub mod error;
pub mod evaluation;
mod input;
pub mod interrupt;
mod json;
pub mod language;
mod memory;
pub mod metrics;
mod mistaken;
pub mod model;
mod origin;
mod output;
pub mod picture;
pub mod pipeline;
pub mod ranks;
pub mod report;
pub mod settings;
mod shapes;
mod shell;
pub mod studio;
pub mod systems;
pub mod train;
pub mod vision;

#[doc(hidden)]
pub mod cli;
#[doc(hidden)]
pub mod draws;
#[doc(hidden)]
pub mod kernels;
#[doc(hidden)]
pub mod nn;
#[doc(hidden)]
pub mod run_files;
#[doc(hidden)]
pub mod serve;
#[doc(hidden)]
pub mod speed;
#[doc(hidden)]
pub mod tensorfile;
#[doc(hidden)]
pub mod verify;
#[doc(hidden)]
pub mod weights;

pub use burn::tensor::{Device, Tensor};
pub use error::{Error, Result};
pub use evaluation::suite::evaluate;
pub use model::Model;
pub use studio::Studio;
pub use systems::guidance::GuidanceSettings;
pub use tensorfile::TensorFile;
