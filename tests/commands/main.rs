//! The commands, run from outside as users run them, on files that the library makes.

#[path = "../common/mod.rs"]
mod common;

mod attention_gan;
mod baselines;
mod cli;
mod clip;
mod clip2gan;
mod demo;
mod directions;
mod evaluate;
mod hostile;
mod integrity;
mod stackgan;
mod style;
mod whole;
