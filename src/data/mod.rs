//! Captioned images, from the layouts in which they are found to batches.
//!
//! [`sources`] list what is on the disk, [`prepare`] turns it into one [`Archive`] of square
//! images, and [`Sampler`] and [`Loader`] make the training stream of it. [`synth`] draws captioned
//! birds whose attributes are known, for demonstrations, tests and measurements.
//!
//! Pixels leave this room as `[N, H, W, 3]`, RGB, 8 bit.

mod archive;
mod crop;
mod decode;
mod info;
mod loader;
mod photo;
mod prepare;
mod record;
mod sampler;
pub mod sources;
pub mod synth;

pub use archive::{Archive, ArchiveWriter, spread};
pub use crop::{BoundingBox, Crop};
pub use info::{Info, words};
pub use loader::{Batch, Loader, mirror};
pub use photo::{open_photo, photo};
pub use prepare::{PrepareEvent, PrepareOptions, Summary, prepare};
pub use record::{ImageRecord, Manifest, Provenance, Skipped, Split};
pub use sampler::{Item, Sampler};
pub use sources::{CubSplit, Format};
