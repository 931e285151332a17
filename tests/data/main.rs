//! The data layer, from files on the disk to batches: every layout, and broken files.
//!
//! The tests write their own sources. Only `real.rs` reads photographs, if they are present.

#[path = "../common/program.rs"]
#[allow(dead_code)]
mod program;

mod attributes;
mod checked;
mod coco;
mod cub;
mod documents;
mod fixtures;
mod folder;
mod jpeg;
mod layouts;
mod limits;
mod links;
mod lost;
mod memory;
mod names;
mod odd_captions;
mod output;
mod own_results;
mod pictures;
mod real;
mod recipe1m;
mod rows;
mod splits;
mod stated_splits;
mod stream;
mod synth;
mod trees;
mod unused;
mod zips;
