//! The library, called directly: kernels, losses, training loops and the registry of systems.

#[path = "../common/mod.rs"]
mod common;

mod conditional;
mod kernels;
mod project;
mod run;
mod system;
mod train_inversion;
mod train_stylegan;
mod train_text;
