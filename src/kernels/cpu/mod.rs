//! Kernels for the processor, on plain slices: f32, NCHW, contiguous.
//!
//! | file | contents |
//! |-|-|
//! | [`conv`] | convolution, its data gradient (also the transposed convolution), its weight gradient |
//! | [`upfirdn`] | zero insertion, FIR filter, decimation |
//! | [`pointwise`] | bias, noise and activation; factors of planes; sums over planes |
//! | [`group_norm`] | group normalisation with its activation |
//! | [`warp`] | bilinear sampling along an affine map, and its adjoint |
//! | [`lstm`] | a recurrent layer over sequences of different lengths |
//! | [`adam`] | the optimiser's step, fused |
//! | `forward`, `data_gradient`, `weight_gradient` | the three products of a convolution |
//! | `weights` | the weight as a matrix, and back |
//! | `lowered` | how a convolution is arranged as matrix products |
//! | `target` | where a pass finds its values and leaves its results |
//! | `output` | where a convolution writes its result, and what it does with it then |
//! | `shape` | a convolution's description and operands |
//! | `blocks`, `scratch` | division of work, working memory |
//! | `table` | the choice of instruction set |
//! | `vector/` | everything that is compiled for each instruction set |
//!
//! Imports run down this table. Work is split over rayon's current pool. Every split and every order
//! of summation depends on the shapes and the number of threads alone, so results repeat to the bit.

pub mod adam;
mod blocks;
pub mod conv;
mod data_gradient;
mod forward;
pub mod group_norm;
mod lowered;
pub mod lstm;
pub mod output;
pub mod pointwise;
mod scratch;
pub mod shape;
mod table;
pub mod target;
pub mod upfirdn;
mod vector;
pub mod warp;
mod weight_gradient;
mod weights;

pub use table::{instruction_sets, instructions, use_instructions};

#[cfg(test)]
mod testing;
