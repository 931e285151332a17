//! Kernels for the processor, on plain slices: f32, NCHW, contiguous.

pub mod warp;
