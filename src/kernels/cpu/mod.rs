//! Kernels for the processor, on plain slices: f32, NCHW, contiguous.
//!
//! | file | what it holds |
//! |-|-|
//! | [`conv`] | convolution, its data gradient (also the transposed convolution), its weight gradient |
//! | [`upfirdn`] | zero insertion, FIR filter, decimation |
//! | [`warp`] | bilinear sampling along affine maps, and its adjoint |
//! | [`pointwise`] | bias + activation, modulation, sums over planes |
//! | [`adam`] | the optimiser's step, fused |
//! | `lowering`, `winograd` | how a convolution becomes matrix products |
//! | `gemm`, `planes`, `simd`, `isa` | the matrix product, layout changes, vectors, the choice of instruction set |
//!
//! Work is split over rayon's current pool. Every split and every order of summation depends on
//! the shapes and the number of threads alone, so results repeat to the bit.

pub mod adam;
mod blocks;
pub mod conv;
mod data_gradient;
mod fir;
mod gemm;
mod isa;
mod lowered;
mod lowering;
mod planes;
pub mod pointwise;
mod scratch;
mod simd;
pub mod upfirdn;
pub mod warp;
mod weight_gradient;
mod weights;
mod winograd;

#[cfg(test)]
mod testing;
