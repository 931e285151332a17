//! Networks, losses, optimisers and metrics against files of expected values, which lie beside
//! these modules and are made by `scripts/make_goldens.py` and its neighbours.

#[path = "../common/mod.rs"]
mod common;

mod adam;
mod augment;
mod inception;
mod inversion;
mod layers;
mod metrics;
mod official;
mod perceptual;
mod stylegan;
mod text;
