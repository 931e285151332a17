//! Kernels for the processor, on plain slices: f32, NCHW, contiguous.
//!
//! | file | what it holds |
//! |-|-|
//! | [`conv`] | convolution, its data gradient (also the transposed convolution), its weight gradient |
//! | [`upfirdn`] | zero insertion, FIR filter, decimation |
//! | [`pointwise`] | bias, noise and activation; modulation; sums over planes |
//! | [`warp`] | bilinear sampling along an affine map, and its adjoint |
//! | [`lstm`] | a recurrent layer over sequences of different lengths |
//! | [`adam`] | the optimiser's step, fused |
//! | `lowered` | how a convolution is arranged as matrix products; `forward`, `data_gradient` and `weight_gradient` carry it out |
//! | `lowering`, `winograd`, `fir`, `planes` | what is done to pixels on the way: patches, transforms, filters, layout |
//! | `weights` | the weight as a matrix, and back |
//! | `gemm` | the matrix product |
//! | `simd`, `isa` | vectors, and the choice of instruction set |
//! | `blocks`, `scratch` | division of work, working memory |
//!
//! Work is split over rayon's current pool. Every split and every order of summation depends on
//! the shapes and the number of threads alone, so results repeat to the bit.

pub mod adam;
mod blocks;
pub mod conv;
mod data_gradient;
mod fir;
mod forward;
mod gemm;
pub mod group_norm;
mod isa;
mod lowered;
mod lowering;
pub mod lstm;
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
