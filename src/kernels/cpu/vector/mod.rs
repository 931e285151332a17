//! Functions on vectors of 16 floats, compiled once for each instruction set.
//!
//! They are generic over `Simd`, run on the calling thread, and describe their operands by
//! pointers and strides. `super::table` compiles them; nothing here knows of it, of threads or of
//! layers.
//!
//! | file | contents |
//! |-|-|
//! | `simd` | the vectors |
//! | `gemm` | the matrix product that every convolution ends in |
//! | `planes` | planes (NCHW) to lanes (16 channels of a pixel) and back |
//! | `patches`, `winograd` | pixels as rows of matrices |
//! | `fir` | a filter along one axis |
//! | `pointwise`, `sums`, `group_norm`, `adam` | loops over elements |

pub mod adam;
pub mod fir;
pub mod gemm;
pub mod group_norm;
pub mod patches;
pub mod planes;
pub mod pointwise;
pub mod simd;
pub mod sums;
pub mod winograd;
