//! Captioned images: from files on the disk to training batches.
//!
//! [`sources`] list the images of a dataset, [`prepare()`] converts them to one [`Archive`] of
//! square images, and a [`Loader`] reads the batches that a [`Sampler`] draws from it. [`synth`]
//! draws captioned birds whose attributes are known, for demonstrations, tests and measurements.
//!
//! Pixels are `[N, H, W, 3]`, RGB, 8 bit.

mod archive;
mod bounded;
mod budget;
mod crop;
mod decode;
mod formats;
mod info;
mod jpeg;
mod loader;
mod manifest;
mod name_lists;
mod own_pictures;
mod pages;
mod photo;
mod png_chunks;
mod prepare;
mod record;
mod sampler;
mod saved_pictures;
mod shared_file;
pub mod sources;
pub mod synth;
mod text;
mod zip_file;

pub use archive::{Archive, ArchiveWriter, spread};
pub(crate) use crop::to_square;
pub use crop::{BoundingBox, Crop};
pub use info::{Info, words};
pub use loader::{Batch, Loader, mirror};
pub(crate) use manifest::MAX_CLASSES;
pub use manifest::Manifest;
pub use own_pictures::is_own;
pub use photo::{Photo, open_photo, open_photos, photo};
pub use prepare::{PrepareEvent, PrepareOptions, SourceOptions, Summary, prepare};
pub use record::{ImageRecord, Provenance, Skipped, Split};
pub use sampler::{Item, Sampler};
pub use saved_pictures::SavedPictures;
pub use sources::{CaptionSource, CubSplit, Format};
