//! Settings in layers: preset < file < flags, merged as TOML tables before they become structs.
//!
//! The defaults themselves stand with each stage; presets are TOML files in `configs/`.

pub mod layers;
pub mod presets;

pub use layers::{Layers, differences};
