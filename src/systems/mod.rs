//! The systems that can be trained.

pub mod cigan;
pub mod stylegan;
