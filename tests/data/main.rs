//! From files on the disk to batches: every layout, and what is wrong with real files.
//!
//! The tests write their own sources; only `real.rs` reads photographs, where they are present.

#[path = "../common/program.rs"]
#[allow(dead_code)]
mod program;

mod cub;
mod fixtures;
mod folder;
mod output;
mod pictures;
mod real;
mod recipe1m;
mod splits;
mod stream;
mod synth;
mod zips;
