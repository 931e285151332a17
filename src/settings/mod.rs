//! Settings in layers: preset < file < flags, merged as TOML tables before they become structs.
//!
//! The defaults themselves stand with each stage; presets are TOML files in `configs/`.

pub mod layers;
pub mod presets;

pub use layers::{Layers, differences};

/// The table of settings for drawing and editing, which no stage trains.
pub const GUIDANCE: &str = "guidance";
/// The table of settings of a run, which every stage has.
pub const RUN: &str = "run";
