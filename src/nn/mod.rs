//! Layers, written once for values with an optional tangent ([`Dual`]), and tools for training
//! them: Adam, moving averages, and access to parameters by name.

pub mod adam;
pub mod attention;
pub mod batch_norm;
pub mod bicubic;
pub mod contrast;
pub mod conv;
pub mod dual;
pub mod ema;
pub mod gated;
pub mod half;
pub mod init;
pub mod layer_norm;
pub mod linear;
pub mod minibatch_std;
pub mod modulated;
pub mod packed;
pub mod params;
pub mod plain;
pub mod resample;
pub mod residual;
pub mod resize;
pub mod spectral;
pub mod strided;
pub mod sums;
pub mod transformer;

pub use adam::{Adam, AdamSettings};
pub use attention::SelfAttention;
pub use batch_norm::{BatchNorm, Statistics};
pub use conv::ConvLayer;
pub use dual::Dual;
pub use init::Init;
pub use layer_norm::LayerNorm;
pub use linear::Linear;
pub use modulated::{ModulatedConv, ToRgb};
pub use plain::{GroupNorm, PlainConv, PlainLinear};
pub use spectral::SpectralDownConv;
pub use strided::{DownConv, UpConv};
pub use transformer::{BlockSizes, Gelu, TransformerBlock};
