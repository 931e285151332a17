//! Operations that the networks are made of.

pub mod cpu;
