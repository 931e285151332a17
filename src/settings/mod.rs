//! Settings in layers: preset < file < flags, merged as TOML tables before they become structs.
//!
//! Each stage defines its own defaults. Presets are TOML files in `configs/`.

pub mod layers;
pub mod limits;
pub mod presets;
pub mod seal;

pub use layers::{Layers, differences};
pub use limits::Checked;

/// Name of the settings table for generating and editing images, which belongs to no stage.
pub const GUIDANCE: &str = "guidance";
/// Name of the settings table of a run, which every stage reads.
pub const RUN: &str = "run";
