//! Composing and writing images: grids with captions, scatter plots, GIFs, and PNGs with metadata.

mod animation;
mod compose;
mod convert;
mod gif;
pub mod png;
mod scatter;
mod tensors;
mod text;

pub use animation::{AnimationFormat, encode_apng, encode_webp, write_animation};
pub use compose::{Row, difference, enlarge, enlarge_to, grid, rows, strip};
pub use convert::to_images;
pub use gif::{encode_gif, write_gif};
pub use scatter::{Dots, scatter};
pub use tensors::{as_saved, from_tensor, square_grid, tensor_rows, to_tensor};
